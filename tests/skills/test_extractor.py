"""SkillExtractor: extraction learns, is seeded and resumes to the bit, and says what is wrong with its input."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from torch import nn

from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode
from simpl_sb3.errors import (
    DatasetError,
    DivergenceError,
    ModelFileError,
    SettingsError,
    SimplError,
    SkillMismatchError,
)
from simpl_sb3.skills.extractor import SkillExtractor
from simpl_sb3.skills.fit import check_fit
from simpl_sb3.skills.model import SkillModel

SMALL: dict[str, Any] = {
    "horizon": 5,
    "skill_dim": 4,
    "encoder_hidden": (32,),
    "decoder_hidden": (32, 32, 32),
    "prior_hidden": (32, 32),
}


def reach_dataset(n_episodes: int = 40, seed: int = 0) -> DemonstrationDataset:
    """A point walks to a random goal: its actions are predictable from the window, not from the first observation."""
    rng = np.random.default_rng(seed)
    episodes = []
    for _ in range(n_episodes):
        xy, goal = rng.uniform(-1.0, 1.0, 2), rng.uniform(-1.0, 1.0, 2)
        observations, actions = [xy], []
        for _ in range(30):
            actions.append(np.clip(5.0 * (goal - xy), -1.0, 1.0))
            xy = xy + 0.1 * actions[-1]
            observations.append(xy)
        episodes.append(Episode(np.array(observations), np.array(actions)))
    space = gym.spaces.Box(-2.0, 2.0, (2,))
    return DemonstrationDataset.from_episodes(episodes, space, gym.spaces.Box(-1.0, 1.0, (2,)))


def same_weights(one: nn.Module, two: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), two.state_dict().items(), strict=True)
    return all(name == other and th.equal(tensor, value) for (name, tensor), (other, value) in pairs)


def test_extraction_learns(tmp_path: Path) -> None:
    extractor = SkillExtractor(
        reach_dataset(), **SMALL, batch_size=128, kl_weight=1e-2, seed=0, device="cpu", folder=tmp_path
    )
    start = extractor.evaluate(extractor.train_data)
    model = extractor.learn(400, log_interval=100)
    assert extractor.n_updates == 400
    metrics = extractor.metrics
    for part in ("train", "validation"):
        assert metrics[f"{part}/action_mse"] < 0.1 * start["action_mse"]
        assert 1.0 < metrics[f"{part}/kl"] < 50.0
        assert metrics[f"{part}/prior_kl"] < metrics[f"{part}/kl"]
    # the window tells more about the actions than the first observation
    assert metrics["validation/action_mse"] < 0.5 * metrics["validation/prior_action_mse"]
    assert not model.training
    header = (tmp_path / "progress.csv").read_text().splitlines()[0].split(",")
    assert {"train/action_mse", "validation/kl", "validation/prior_kl", "time/n_updates"} <= set(header)
    assert len((tmp_path / "progress.csv").read_text().splitlines()) == 1 + 4
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_observations_are_standardised_by_the_training_part_unless_asked() -> None:
    dataset = reach_dataset()
    extractor = SkillExtractor(dataset, **SMALL, seed=0)
    observations = extractor.train_data.observations
    np.testing.assert_allclose(extractor.model.observation_mean.numpy(), observations.mean(0), atol=1e-5)
    np.testing.assert_allclose(extractor.model.observation_std.numpy(), observations.std(0), atol=1e-5)
    plain = SkillExtractor(dataset, **SMALL, normalize_observations=False).model
    assert plain.observation_mean.tolist() == [0.0, 0.0]
    assert plain.observation_std.tolist() == [1.0, 1.0]


def test_a_constant_observation_is_no_division_by_zero() -> None:
    episodes = [Episode(np.full((13, 2), 0.35), np.zeros((12, 2))) for _ in range(3)]
    dataset = DemonstrationDataset.from_episodes(episodes, gym.spaces.Box(-1, 1, (2,)), gym.spaces.Box(-1, 1, (2,)))
    extractor = SkillExtractor(dataset, **SMALL, batch_size=8, seed=0)
    extractor.learn(3)
    assert np.isfinite(list(extractor.metrics.values())).all()


@pytest.mark.parametrize("options", [{}, {"norm": "batch", "optimizer": "radam", "learning_rate_decay": "none"}])
def test_seeded_runs_are_equal_to_the_bit_and_leave_the_global_generator_alone(options: dict[str, Any]) -> None:
    state = th.get_rng_state()
    one, two, other = (
        SkillExtractor(reach_dataset(), **SMALL, batch_size=32, seed=seed, **options).learn(5) for seed in (7, 7, 8)
    )
    assert same_weights(one, two)
    assert not same_weights(one, other)
    assert th.equal(state, th.get_rng_state())


def test_a_resumed_run_is_equal_to_the_bit(tmp_path: Path) -> None:
    def make(folder: str) -> SkillExtractor:
        return SkillExtractor(reach_dataset(), **SMALL, norm="batch", batch_size=32, seed=1, folder=tmp_path / folder)

    whole = make("a").learn(12, log_interval=5)
    interrupted = make("b")
    assert interrupted.restore() == 0  # nothing to go back to

    def stop(extractor: SkillExtractor) -> bool:
        return extractor.n_updates < 10

    interrupted.learn(12, log_interval=5, checkpoint_interval=4, callback=stop)
    assert interrupted.n_updates == 10
    assert sorted(path.name for path in (tmp_path / "b").glob("*.pt")) == [
        "checkpoint_00000004.pt",
        "checkpoint_00000008.pt",
    ]
    resumed = make("b")
    assert resumed.restore() == 8
    assert same_weights(resumed.learn(12), whole)


def test_unusable_checkpoints(tmp_path: Path) -> None:
    extractor = SkillExtractor(reach_dataset(), **SMALL, batch_size=8, seed=1, folder=tmp_path)
    extractor.learn(2, checkpoint_interval=2)
    other = SkillExtractor(reach_dataset(), **(SMALL | {"skill_dim": 3}), folder=tmp_path)
    with pytest.raises(ModelFileError, match="of another model"):
        other.restore()
    (tmp_path / "checkpoint_00000003.pt").write_bytes(pickle.dumps(SMALL))
    assert extractor.restore() == 2  # the one before
    with pytest.raises(ModelFileError, match="no checkpoint"):
        extractor.restore(tmp_path / "checkpoint_00000003.pt")
    (tmp_path / "checkpoint_00000002.pt").write_bytes(b"")
    with pytest.raises(ModelFileError, match="no checkpoint"):
        extractor.restore()


def test_bad_settings_and_datasets() -> None:
    dataset = reach_dataset(3)
    every: list[dict[str, Any]] = [
        {"optimizer": "sgd"},
        {"learning_rate_decay": "step"},
        {"batch_size": 0},
        {"kl_weight": -1.0},
        {"validation_fraction": 1.0},
    ]
    for bad in every:
        with pytest.raises(SettingsError, match="expected"):
            SkillExtractor(dataset, **bad)
    with pytest.raises(SimplError, match="norm is 'group'"):
        SkillExtractor(dataset, norm="group")
    with pytest.raises(DatasetError, match="the longest has 30"):
        SkillExtractor(dataset, horizon=31)
    with pytest.raises(SettingsError, match="no folder"):
        SkillExtractor(dataset, **SMALL).learn(1, checkpoint_interval=1)
    with pytest.raises(DivergenceError, match="diverged"):
        SkillExtractor(dataset, **SMALL, learning_rate=1e18, seed=0).learn(20)


def test_without_validation_and_with_one_episode() -> None:
    for extractor in (
        SkillExtractor(reach_dataset(1), **SMALL, seed=0),
        SkillExtractor(reach_dataset(4), **SMALL, seed=0, validation_fraction=0.0),
    ):
        extractor.learn(2)
        assert extractor.validation_data is None
        assert not any(name.startswith("validation/") for name in extractor.metrics)


def test_progress_bar_and_printing(capsys: pytest.CaptureFixture[str]) -> None:
    SkillExtractor(reach_dataset(4), **SMALL, seed=0, verbose=1).learn(2, progress_bar=True)
    captured = capsys.readouterr()
    assert "2/2" in captured.err
    assert "action_mse" in captured.out


def test_skills_remember_the_environment_and_the_dataset_they_come_from(tmp_path: Path) -> None:
    """So that skills of one maze are not taken into another whose numbers have the same shapes."""
    shown = replace(reach_dataset(), id="own/reach-v0", env_id="Reach-v0")
    SkillExtractor(shown, **SMALL, seed=0).learn(1).save(tmp_path / "skills.safetensors")
    skills = SkillModel.load(tmp_path / "skills.safetensors")
    assert (skills.env_id, skills.dataset_id) == ("Reach-v0", "own/reach-v0")
    spaces = skills.observation_space, skills.action_space
    check_fit(skills, *spaces, env_id="Reach-v0")
    check_fit(skills, *spaces)
    with pytest.raises(SkillMismatchError, match=r"demonstrations of Reach-v0 \(dataset own/reach-v0\)"):
        check_fit(skills, *spaces, env_id="SimplMaze-v0")
    check_fit(skills, *spaces, env_id="SimplMaze-v0", check_env=False)


def test_the_kl_weighs_as_much_for_small_motions_as_for_large_ones() -> None:
    """By default 0.04 times the variance of the scaled actions, summed; what was used is in the settings."""
    data = reach_dataset()
    small = replace(data, actions=data.actions / 4)
    used = [SkillExtractor(each, **SMALL, device="cpu", validation_fraction=0.0) for each in (data, small)]
    high = data.action_space.high
    expected = 0.04 * (data.actions / high).var(axis=0, ddof=1).sum()
    assert used[0].settings["kl_weight"] == pytest.approx(expected, rel=1e-2)
    assert used[1].settings["kl_weight"] == pytest.approx(expected / 16, rel=1e-2)
    assert SkillExtractor(data, **SMALL, device="cpu", kl_weight=0.3).settings["kl_weight"] == 0.3
