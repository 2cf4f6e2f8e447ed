"""A training that was stopped at a border goes on to the bit: parameters, optimisers, buffers, generators, counters."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from algorithms_for_tests import KINDS, Kind, both, rewrite
from envs_for_tests import LineEnv, line_envs, tiny_skills
from gymnasium.spaces import Box
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv
from training_for_tests import assert_equal, everything

from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.algorithms.training_state import record_again, recorded
from simpl_sb3.errors import ModelFileError
from simpl_sb3.skills.vec_env import SkillVecEnv, make_skill_vec_env
from simpl_sb3.skills.wrapper import SkillActionWrapper

TOTAL = 90
MAZE_SKILLS = tiny_skills(Box(-50.0, 50.0, (4,), np.float32), Box(-1.0, 1.0, (2,), np.float32))


def lines(seed: int) -> VecEnv:
    env = SkillVecEnv(line_envs(4), tiny_skills())
    env.seed(seed)
    return env


def mazes(seed: int) -> VecEnv:
    goals = {"train_tasks": "train-40", "max_episode_steps": 17}
    env = make_skill_vec_env("SimplMaze-v0", MAZE_SKILLS, 3, seed=seed, check_env=False, **goals)
    env.set_attr("train_tasks", env.get_attr("train_tasks")[0][:3])
    return env


def plain(kind: type[VecEnv]) -> Callable[[int], VecEnv]:
    def make_plain(seed: int) -> VecEnv:
        env = kind([make_one] * 2)  # type: ignore[arg-type]
        env.seed(seed)
        return env

    return make_plain


def make_one() -> SkillActionWrapper:
    return SkillActionWrapper(LineEnv(), tiny_skills())


class KeepAll(BaseCallback):
    """A file at each border."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.paths = folder, list[Path]()

    def _on_training_start(self) -> None:
        self.model.border_calls.append(self.keep)  # type: ignore[attr-defined]

    def keep(self) -> None:
        self.paths.append(self.folder / f"{len(self.paths)}.zip")
        self.model.save(self.paths[-1], with_training_state=True)  # type: ignore[call-arg]

    def _on_step(self) -> bool:
        return True


SETTINGS: dict[Kind, dict[str, Any]] = {
    SkillPriorSAC: {"train_freq": 3, "gradient_steps": 3, "buffer_size": 40},
    SkillPriorPEARL: {"gradient_steps": 3, "learning_rate": ("linear", 1e-3, 1e-5), "exploration_latent_skills": 2},
}


@pytest.mark.parametrize(
    ("kind", "envs"),
    [
        (SkillPriorPEARL, lines),
        (SkillPriorPEARL, mazes),
        (SkillPriorPEARL, plain(DummyVecEnv)),
        pytest.param(SkillPriorPEARL, plain(SubprocVecEnv), marks=pytest.mark.slow),  # processes import torch anew
        (SkillPriorSAC, mazes),
    ],
)
def test_it_goes_on_from_each_border_to_the_bit(kind: Kind, envs: Callable[[int], VecEnv], tmp_path: Path) -> None:
    keep = KeepAll(tmp_path)
    model = kind("MlpPolicy", envs(1), **(KINDS[kind] | SETTINGS[kind]))  # type: ignore[arg-type]
    model.learn(TOTAL, keep)
    expected = everything(model)
    chosen = keep.paths if len(keep.paths) <= 6 else [*keep.paths[:4], *keep.paths[-2:]]
    middle = 0
    for path in chosen:
        env = envs(50)  # another seed
        again = kind.load(path, env=env, device="cpu")
        middle += again._state is not None and again._state.data["updates_left"] > 0
        random.seed(9)
        again.learn(TOTAL - again.num_timesteps, reset_num_timesteps=False)
        assert_equal(everything(again), expected)
        env.close()
    assert middle >= 1  # some borders lie between two updates
    model.env.close()  # type: ignore[union-attr]


@both
def test_without_the_state_nothing_changes(kind: Kind, tmp_path: Path) -> None:
    """A plain file holds none; and a learning that begins anew does not take up what there is."""
    env = lines(0)
    model = kind("MlpPolicy", env, **KINDS[kind]).learn(30)  # type: ignore[arg-type]
    model.save(tmp_path / "plain")
    assert kind.load(tmp_path / "plain.zip")._state is None
    model.save(tmp_path / "whole", with_training_state=True)
    assert (tmp_path / "whole.zip").stat().st_size > (tmp_path / "plain.zip").stat().st_size
    again = kind.load(tmp_path / "whole", env=lines(1), device="cpu")
    assert again._state is not None
    again.learn(10)
    assert again._state is None
    assert again.num_timesteps <= 10 + 4 * 4
    assert kind.load(tmp_path / "whole").num_timesteps == model.num_timesteps  # for prediction, without environment


def test_other_environments_are_said(tmp_path: Path) -> None:
    model = SkillPriorPEARL("MlpPolicy", lines(0), **KINDS[SkillPriorPEARL]).learn(30)
    model.save(tmp_path / "whole", with_training_state=True)
    fewer = SkillVecEnv(line_envs(2), tiny_skills())
    again = SkillPriorPEARL.load(tmp_path / "whole", env=fewer, device="cpu")
    with pytest.warns(UserWarning, match="it goes on with new episodes, and not to the bit"):
        again.learn(10, reset_num_timesteps=False)
    assert again.num_timesteps > model.num_timesteps


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("training.json", b"{}"),
        ("training.json", b"["),
        ("training.npz", b"nothing"),
        ("replay_buffer.npz", b"nothing"),
    ],
)
def test_a_damaged_state_is_one_error(member: str, content: bytes, tmp_path: Path) -> None:
    model = SkillPriorPEARL("MlpPolicy", lines(0), **KINDS[SkillPriorPEARL]).learn(30)
    model.save(tmp_path / "whole", with_training_state=True)
    broken = rewrite(tmp_path / "whole.zip", tmp_path / "broken.zip", lambda members: members.update({member: content}))
    with pytest.raises(ModelFileError, match=r"training state"):
        SkillPriorPEARL.load(broken, env=lines(1), device="cpu").learn(10, reset_num_timesteps=False)


def test_what_waits_for_the_log_is_written_with_the_same_digits() -> None:
    logger, later = Logger(None, []), Logger(None, [])
    waiting = {"a": np.float32(4.0149094e-05), "b": 0.1, "c": 3, "d": np.int64(4), "e": "text"}
    for name, value in waiting.items():
        logger.record(name, value, exclude="stdout" if name == "a" else None)
    record_again(later, json.loads(json.dumps(recorded(logger))))
    assert {name: str(value) for name, value in later.name_to_value.items()} == {
        name: str(value) for name, value in waiting.items() if name != "e"
    }
    assert later.name_to_excluded["a"] == ("stdout",)
    record_again(later, {"before": [0.5, []]})  # of an earlier release
    assert later.name_to_value["before"] == 0.5
    with pytest.raises(ValueError, match="expected a number's"):
        record_again(later, {"f": [1, [], "U3"]})
