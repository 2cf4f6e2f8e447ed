"""Presets name settings that exist, and settings from the command line are checked by name and kind."""

import json
from collections.abc import Callable
from inspect import signature
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from simpl_sb3 import (
    PRESETS,
    AdaptationSettings,
    DemonstrationDataset,
    Episode,
    SimplError,
    SkillExtractor,
    SkillPriorPEARL,
    make_skill_vec_env,
    preset,
)
from simpl_sb3.experiments.presets import parse_overrides
from simpl_sb3.experiments.stages import find_tasks

STAGES: dict[str, Callable[..., Any]] = {
    "extract": SkillExtractor,
    "meta_train": SkillPriorPEARL,
    "adapt": AdaptationSettings,
    "spirl": AdaptationSettings,
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_settings_and_tasks_that_exist(name: str) -> None:
    chosen = preset(name)
    assert chosen.name == name
    for stage, target in STAGES.items():
        assert set(getattr(chosen, stage)) <= set(signature(target).parameters)
        assignments = [f"{key}={json.dumps(value)}" for key, value in getattr(chosen, stage).items()]
        assert parse_overrides(assignments, target) == getattr(chosen, stage)
    assert AdaptationSettings(**chosen.adapt).n_episodes == 205
    assert AdaptationSettings(**chosen.spirl).n_exploration_episodes == 0
    train, test = find_tasks(chosen.env_id, chosen.train_tasks), find_tasks(chosen.env_id, chosen.test_tasks)
    assert train
    assert test
    assert not set(train) & set(test)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_construct(name: str) -> None:
    """What they describe, from demonstrations to a meta-policy over all training tasks, before anything is learnt."""
    chosen = preset(name)
    env = gym.make(chosen.env_id)
    spaces: Any = env.observation_space, env.action_space
    env.close()
    shown = (Episode(np.zeros((13, *spaces[0].shape)), np.zeros((12, *spaces[1].shape))) for _ in range(2))
    dataset = DemonstrationDataset.from_episodes(shown, *spaces)
    skills = SkillExtractor(dataset, seed=0, device="cpu", **chosen.extract).model.freeze()
    tasks = find_tasks(chosen.env_id, chosen.train_tasks)
    envs = make_skill_vec_env(chosen.env_id, skills, 2, train_tasks=tasks, **chosen.meta_train_env)
    model = SkillPriorPEARL("MlpPolicy", envs, seed=0, device="cpu", **chosen.meta_train)
    assert model.task_names == tuple(task.name for task in tasks)
    assert model.predict(envs.reset())[0].shape == (2, 10)
    envs.close()


def test_published_sizes() -> None:
    chosen = preset("maze-paper")
    assert (chosen.n_trajectories, len(find_tasks(chosen.env_id, chosen.train_tasks))) == (3046, 40)
    assert (chosen.meta_train["context_sizes"], chosen.meta_train["tasks_per_update"]) == ((4, 8192), (4, 26))
    assert (chosen.meta_train["batch_size"], chosen.meta_train["learning_rate"]) == (1024, 3e-4)
    assert not chosen.meta_train["hindsight"]
    assert chosen.meta_train["exploration"] == "prior"


def test_published_sizes_of_the_kitchen() -> None:
    chosen = preset("kitchen-paper")
    assert len(find_tasks(chosen.env_id, chosen.train_tasks)) == 23
    assert chosen.meta_timesteps * 10 == 6_400_000  # env steps: 500 epochs of two episodes per task are 6,440,000
    assert (len(chosen.extract["decoder_hidden"]), len(chosen.extract["prior_hidden"])) == (6, 7)
    assert chosen.extract["kl_weight"] == 5e-4
    for stage, expected in {
        "meta_train": {
            "net_arch": (128,) * 5,
            "task_latent_dim": 6,
            "batch_size": 256,
            "buffer_size": 3000,
            "context_buffer_size": 3000,
            "context_sizes": (2, 1024),
            "tasks_per_update": (3, 27),
            "skill_kl_targets": (0.1, 4.0),
            "skill_kl_multipliers": (0.05, 0.03),
            "latent_kl_targets": (2.0, 10.0),
            "latent_kl_multipliers": (1e-3, 1e-4),
            "kl_clip": 6.0,
        },
        "adapt": {"skill_kl_target": 5.0, "kl_clip": 20.0, "batch_size": 256, "updates_per_skill": 1.0},
        "spirl": {"skill_kl_target": 5.0, "kl_clip": 10.0, "skill_kl_multiplier": 1.0, "net_arch": (128,) * 5},
    }.items():
        assert expected.items() <= getattr(chosen, stage).items()


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(SimplError, match="No preset 'maze': expected one of maze-paper, maze-fast"):
        preset("maze")


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("n_episodes=40", 40),
        ("learning_rate=3e-4", 3e-4),
        ("gamma=1", 1),
        ("context_size=null", None),
        ("net_arch=[256, 256]", (256, 256)),
        ("exploration=prior", "prior"),
        ("reuse_exploration=false", False),
    ],
)
def test_overrides(assignment: str, value: object) -> None:
    settings = parse_overrides([assignment], AdaptationSettings)
    assert settings == {assignment.partition("=")[0]: value}
    AdaptationSettings(**settings)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("n_episode=40", "expected name=value with one of the names n_episodes, "),
        ("n_episodes", "expected name=value"),
        ("n_episodes=forty", "expected int"),
        ("n_episodes=4.5", "expected int"),
        ("n_episodes=true", "expected int"),
        ("gamma=high", "expected float"),
        ("reuse_exploration=1", "expected bool"),
        ("net_arch=256", r"expected tuple\[int, \.\.\.\]"),
        ('net_arch=[256, "x"]', r"expected tuple\[int, \.\.\.\]"),
        ("context_size=all", r"expected int \| None"),
    ],
)
def test_overrides_that_do_not_fit_are_refused(assignment: str, expected: str) -> None:
    with pytest.raises(SimplError, match=f"^--set .*{expected}"):
        parse_overrides([assignment], AdaptationSettings)


def test_a_pair_is_two() -> None:
    assert parse_overrides(["context_sizes=[4, 8]"], SkillPriorPEARL.__init__) == {"context_sizes": (4, 8)}
    with pytest.raises(SimplError, match=r"tuple\[int, int\]"):
        parse_overrides(["context_sizes=[4]"], SkillPriorPEARL.__init__)


@pytest.mark.parametrize("name", ["self", "env", "seed", "device", "_init_setup_model"])
def test_what_has_an_option_of_its_own_is_not_a_setting(name: str) -> None:
    with pytest.raises(SimplError, match="expected name=value"):
        parse_overrides([f"{name}=0"], SkillPriorPEARL.__init__)


@pytest.mark.parametrize(
    "wrong",
    [{"exploration": "random"}, {"n_episodes": 0}, {"n_episodes": 5}, {"n_exploration_episodes": -1}]
    + [{"n_steps": 0}, {"batch_size": 0}, {"buffer_size": 0}, {"skill_kl_multiplier": 0.0}],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SimplError, match="expected"):
        AdaptationSettings(**wrong)
