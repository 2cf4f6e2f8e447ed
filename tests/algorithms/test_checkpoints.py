"""Checkpoints: chunks of rows that are written once, the newest state that can be read, and a kill at any moment."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from algorithms_for_tests import KINDS
from envs_for_tests import line_envs, tiny_skills
from kills_for_tests import Killed, counter
from training_for_tests import assert_equal, everything

from simpl_sb3.algorithms.checkpoints import TrainingCheckpointCallback, load_checkpoint, newest_checkpoint
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.errors import ModelFileError
from simpl_sb3.skills.vec_env import SkillVecEnv

TOTAL = 300
SETTINGS = {**KINDS[SkillPriorPEARL], "gradient_steps": 2, "buffer_size": 30, "context_buffer_size": 25}


def envs(seed: int) -> SkillVecEnv:
    env = SkillVecEnv(line_envs(4), tiny_skills())
    env.seed(seed)
    return env


def learn(folder: Path, kill_at: int | None = None, total: int = TOTAL) -> SkillPriorPEARL:
    """Learn on, or from the start; end abruptly after some checkpoints."""
    again = newest_checkpoint(folder) is not None
    env = envs(7 if again else 1)
    model = (
        load_checkpoint(SkillPriorPEARL, folder, env, device="cpu")
        if again
        else SkillPriorPEARL("MlpPolicy", env, **SETTINGS)
    )
    callback = TrainingCheckpointCallback(folder, seconds=0.0, more={"count": counter(kill_at)})
    model.learn(total - model.num_timesteps, callback, reset_num_timesteps=not again)
    return model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a training is that was left alone."""
    return everything(learn(tmp_path_factory.mktemp("whole")))


def test_killed_again_and_again_it_ends_as_if_left_alone(whole: dict[str, Any], tmp_path: Path) -> None:
    kills = random.Random(0)
    for _ in range(8):
        with pytest.raises(Killed):
            learn(tmp_path, kills.randint(2, 4))
        random.seed(kills.random())
        np.random.seed(kills.randint(0, 9))  # noqa: NPY002 - what the next process would begin with
    assert_equal(everything(learn(tmp_path)), whole)


def test_only_what_is_needed_stays(tmp_path: Path) -> None:
    learn(tmp_path)
    states, chunks = sorted(tmp_path.glob("state_*")), sorted(tmp_path.glob("rows_*"))
    assert len(states) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in (*chunks, *states)]
    number = int(states[-1].stem.removeprefix("state_"))
    assert number > len(chunks) > 2  # the rows of the first chunks are overwritten


def test_a_chunk_holds_only_what_is_new(tmp_path: Path) -> None:
    learn(tmp_path, total=60)
    rows = 0
    for path in sorted(tmp_path.glob("rows_*")):
        with np.load(path) as arrays:
            rows += len(arrays["context_buffer.rows"])
    model = load_checkpoint(SkillPriorPEARL, tmp_path, envs(3), device="cpu")
    assert rows == model.context_buffer.written.sum()


def test_the_one_before_serves_where_the_newest_is_damaged(whole: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Killed):
        learn(tmp_path, 6)
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    newest.write_bytes(newest.read_bytes()[:2000])
    assert_equal(everything(learn(tmp_path)), whole)


def test_a_missing_chunk_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"No checkpoint in .*expected state_00000001\.zip"):
        load_checkpoint(SkillPriorPEARL, tmp_path, envs(0))
    learn(tmp_path, total=60)
    for path in tmp_path.glob("rows_*"):
        path.unlink()
    with pytest.raises(ModelFileError, match=r"state_\d+\.zip is no checkpoint: FileNotFoundError"):
        load_checkpoint(SkillPriorPEARL, tmp_path, envs(0))


def test_no_checkpoint_before_its_time(tmp_path: Path) -> None:
    model = SkillPriorPEARL("MlpPolicy", envs(0), **SETTINGS)
    model.learn(60, TrainingCheckpointCallback(tmp_path, seconds=1e6))
    assert not list(tmp_path.iterdir())


def test_another_learning_into_a_folder_that_is_used_and_into_another_one(tmp_path: Path) -> None:
    """The newest checkpoint is always that of the last learning, with all of its rows."""
    old = learn(tmp_path / "used", total=60)
    model = SkillPriorPEARL("MlpPolicy", envs(5), **SETTINGS)
    for folder in ("used", "used", "another"):
        model.learn(40, TrainingCheckpointCallback(tmp_path / folder, seconds=0.0), reset_num_timesteps=False)
        again = load_checkpoint(SkillPriorPEARL, tmp_path / folder, envs(3), device="cpu")
        assert again.num_timesteps == model.num_timesteps > 0
        assert (again.replay_buffer.rows == model.replay_buffer.rows).all()
    assert old.num_timesteps != model.num_timesteps
