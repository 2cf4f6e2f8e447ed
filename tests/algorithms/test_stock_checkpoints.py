"""A stock algorithm's training that was killed ends as if left alone, to the bit; what cannot go on is said."""

import random
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from kills_for_tests import Killed, counter, write_half
from stock_for_tests import SMALL, LineEnvs, made
from training_for_tests import assert_equal, flatten

from simpl_sb3 import PRETRAINED, make_skill_vec_env
from simpl_sb3.algorithms.adaptation_checkpoints import AdaptationCheckpoints
from simpl_sb3.algorithms.checkpoints import newest_checkpoint
from simpl_sb3.algorithms.stock_checkpoints import StockCheckpointCallback, learned, take_up
from simpl_sb3.domains import find_domain
from simpl_sb3.errors import ModelFileError, SettingsError
from simpl_sb3.methods import METHODS

METHOD_NAMES = ("sac-her", "rl2")
SKILLS = PRETRAINED / "maze-fast" / "skills.safetensors"
SETTINGS: dict[str, dict[str, Any]] = {
    "sac-her": {**SMALL["sac-her"], "buffer_size": 100},  # overwritten before the end
    "rl2": {**SMALL["rl2"], "episodes_per_trial": 2},
}
TOTAL = {"sac-her": 240, "rl2": 320}


class Mazes:
    """Four mazes with short episodes, whose vector form gives its state."""

    def __init__(self, seed: int, max_episode_steps: int = 70) -> None:
        self.goals, self.seed, self.steps = find_domain("maze").goals, seed, max_episode_steps
        env = gym.make("SimplMaze-v0")
        self.observation_space, self.action_space = env.observation_space, env.action_space
        env.close()

    def __call__(self, skills: Any, n_envs: int, /) -> Any:
        return make_skill_vec_env(
            "SimplMaze-v0", skills, n_envs, seed=self.seed, train_tasks="easy", max_episode_steps=self.steps
        )


def model_of(method: str, seed: int = 0) -> Any:
    return METHODS[method].make_model(
        SKILLS, SETTINGS[method], Mazes(seed), n_envs=4, seed=seed, device="cpu", verbose=0
    )


def learn(method: str, folder: Path, kill_at: int | None = None, total: int | None = None) -> Any:
    """Learn on, or from the start, which another seed then does not change; end abruptly after some checkpoints."""
    again = newest_checkpoint(folder) is not None
    model = model_of(method, 9 if again else 0)
    if again:
        assert take_up(model, folder) is model
    callback = StockCheckpointCallback(folder, seconds=0.0, more={"count": counter(kill_at)})
    total = total or TOTAL[method]
    model.learn(total - model.num_timesteps, callback, reset_num_timesteps=not again)
    return model


def everything(model: Any) -> dict[str, Any]:
    """All that a training is, by name."""
    found = dict(flatten(learned(model)))
    found |= {name: getattr(model, name) for name in ("num_timesteps", "_n_updates", "_episode_num")}
    found["ep_info"] = [(info["r"], info["l"]) for info in model.ep_info_buffer]
    found |= {f"env.{name}": part for name, part in model.env.get_state().items()}
    found["generators"] = [random.random(), np.random.rand(), *model.action_space.sample()]  # noqa: NPY002
    if (buffer := getattr(model, "replay_buffer", None)) is not None:
        found |= {name: getattr(buffer, name) for name in ("pos", "full", "ep_length", "rewards", "dones", "timeouts")}
        found |= {f"seen.{name}": part for name, part in buffer.next_observations.items()}
        seen = [info["skill_observations"] for info in buffer.infos.reshape(-1)]
        found["seen"] = np.concatenate(seen)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What trainings are that were left alone."""
    return {name: everything(learn(name, tmp_path_factory.mktemp("whole"))) for name in METHOD_NAMES}


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_killed_again_and_again_it_ends_as_if_left_alone(
    method: str, whole: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    kills = random.Random(0)
    for _ in range(4):
        with pytest.raises(Killed):
            learn(method, tmp_path, kills.randint(2, 3))
        random.seed(kills.random())
        np.random.seed(kills.randint(0, 9))  # noqa: NPY002 - what the next process would begin with
    assert_equal(everything(learn(method, tmp_path)), whole[method])


def test_the_buffer_was_overwritten_and_only_what_is_needed_stays(tmp_path: Path) -> None:
    model = learn("sac-her", tmp_path)
    assert model.replay_buffer.full
    chunks, states = sorted(tmp_path.glob("rows_*")), sorted(tmp_path.glob("state_*"))
    assert len(states) == 2
    assert 2 < len(chunks) < int(states[-1].stem.removeprefix("state_"))
    assert sorted(tmp_path.iterdir()) == [*chunks, *states]


def test_without_a_buffer_no_rows_are_written(tmp_path: Path) -> None:
    learn("rl2", tmp_path, total=96)
    write_half(tmp_path / "rows_00000009.npz")
    learn("rl2", tmp_path, total=192)
    assert {path.name[:6] for path in tmp_path.iterdir()} == {"state_"}


def test_the_one_before_serves_where_the_newest_is_damaged(whole: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(Killed):
        learn("sac-her", tmp_path, 5)
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    newest.write_bytes(newest.read_bytes()[:2_000])
    assert_equal(everything(learn("sac-her", tmp_path)), whole["sac-her"])


def test_what_is_no_checkpoint_of_such_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"No checkpoint in .*expected state_00000001\.zip"):
        take_up(model_of("rl2"), tmp_path)
    learn("rl2", tmp_path, total=32)
    with pytest.raises(ModelFileError, match=r"state_\d+\.zip: the tensors actor\..* are missing"):
        take_up(model_of("sac-her"), tmp_path)
    other = METHODS["rl2"].make_model(SKILLS, SETTINGS["rl2"], Mazes(0), n_envs=2, seed=0, device="cpu", verbose=0)
    with pytest.raises(ModelFileError, match="The policy remembers"):
        take_up(other, tmp_path)
    for path in tmp_path.glob("state_*"):
        path.write_bytes(b"")
    with pytest.raises(ModelFileError, match="is no checkpoint"):
        take_up(model_of("rl2"), tmp_path)


def test_rows_of_another_buffer_are_refused(tmp_path: Path) -> None:
    learn("sac-her", tmp_path, total=32)
    other = {**SETTINGS["sac-her"], "buffer_size": 40}
    smaller = METHODS["sac-her"].make_model(SKILLS, other, Mazes(0), n_envs=2, seed=0, device="cpu", verbose=0)
    with pytest.raises(ModelFileError, match="The replay buffer's rows are"):
        take_up(smaller, tmp_path)


def test_a_buffer_of_other_rows_is_not_kept(tmp_path: Path) -> None:
    model = model_of("sac-her")
    model.learn(12)
    with pytest.raises(SettingsError, match="reset_num_timesteps=False"):
        model.learn(12, StockCheckpointCallback(tmp_path, seconds=0.0))


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_environments_without_a_state_begin_new_episodes(method: str, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    made(method, tmp_path, LineEnvs()).learn(60, StockCheckpointCallback(folder, seconds=0.0))
    model = made(method, tmp_path, LineEnvs())
    with pytest.warns(UserWarning, match="could not be brought where they were"):
        take_up(model, folder)
    before = model.num_timesteps
    assert before > 0
    model.learn(40, StockCheckpointCallback(folder, seconds=0.0), reset_num_timesteps=False)
    assert model.num_timesteps >= before + 40


# ------------------------------------------------------------ agents that adapt one after the other

ADAPTING: dict[str, dict[str, Any]] = {
    "sac-her": {"n_episodes": 4, "gradient_steps": 2, "batch_size": 8},
    "sac": {"n_episodes": 4, "learning_starts": 100, "net_arch": (8,), "batch_size": 8, "buffer_size": 150},
}


def adapt(
    method: str, source: Path | None, folder: Path | None, kill_at: int | None = None
) -> tuple[list[Any], list[dict[str, Any]]]:
    """Adapt to two goals, or go on; end abruptly after so many episodes, or in the middle of the one after."""
    told: list[Any] = []

    def on_episode(agent: int, episode: int, finished: Any) -> None:
        told.append((agent, episode, finished.episode.actions, finished.episode.next_observations, finished.success))
        if kill_at is not None and len(told) >= kill_at:
            raise Killed

    mazes = Mazes(0, max_episode_steps=40)
    adapter = METHODS[method].make_adapter(source, ADAPTING[method], mazes, "cpu")
    env = mazes(adapter.skills, 2)
    tasks = find_domain("maze").tasks("easy")[:2]
    how = {} if folder is None else {"checkpoints": AdaptationCheckpoints(folder, seconds=0.0, verbose=1)}
    agents = adapter.run(env, tasks, 3, on_episode, **how)
    return told, [dict(flatten(learned(getattr(agent, "model", agent)))) for agent in agents]


@pytest.mark.parametrize("method", ["sac", "sac-her"])
def test_agents_that_are_killed_again_and_again_end_as_if_left_alone(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = None
    if method == "sac-her":
        source = tmp_path / "model.zip"
        learn(method, tmp_path / "meta", total=60).save(source)
    told, agents = adapt(method, source, None)
    folder = tmp_path / "adapt"
    for episodes in (2, 3, 6):  # told again those before
        with pytest.raises(Killed):
            adapt(method, source, folder, episodes)
        np.random.seed(episodes)  # noqa: NPY002 - what the next process would begin with
    told_too, agents_too = adapt(method, source, folder)
    assert "Going on after" in capsys.readouterr().err
    assert [each[:2] for each in told_too] == [each[:2] for each in told]
    for one, other in zip(told, told_too, strict=True):
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(one[2:], other[2:], strict=True))
    for one, other in zip(agents, agents_too, strict=True):
        assert_equal(other, one)
    told_again, agents_again = adapt(method, source, folder)  # nothing is left to do
    assert len(told_again) == len(told)
    assert_equal(agents_again[1], agents[1])
    checkpoints = AdaptationCheckpoints(folder)
    assert checkpoints.exist
    (folder / "agent_00000001" / "done.zip").write_bytes(b"damaged")
    with pytest.raises(ModelFileError, match=r"done\.zip is no adapted agent"):
        adapt(method, source, folder)
    checkpoints.remove()
    assert not folder.exists()
