"""Environments in processes of their own that raise, die and hang."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from algorithms_for_tests import KINDS, Kind, both
from envs_for_tests import LineEnv, tiny_skills
from stable_baselines3.common.vec_env import SubprocVecEnv

from simpl_sb3.errors import EnvironmentSpecError
from simpl_sb3.skills.wrapper import SkillActionWrapper

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Faulty(LineEnv):
    """Something happens at its twentieth env step."""

    def __init__(self, fault: Callable[[], Any]) -> None:
        super().__init__()
        self.fault, self.lived = fault, 0

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.lived += 1
        if self.lived == 20:
            self.fault()
        return super().step(action)


def raises() -> None:
    raise RuntimeError("the simulator is gone")


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hangs() -> None:
    time.sleep(1_000)


def learn(kind: Kind, fault: Callable[[], Any]) -> Any:
    def make() -> SkillActionWrapper:
        return SkillActionWrapper(Faulty(fault), tiny_skills())

    env = SubprocVecEnv([make, make], start_method="fork")
    model = kind("MlpPolicy", env, **KINDS[kind])  # type: ignore[arg-type]
    try:
        model.learn(100)
    finally:
        env.waiting = env.waiting and False  # what remains has nothing to say
        for process in env.processes:
            process.kill()
    return model


@both
@pytest.mark.parametrize("fault", [raises, is_killed])
def test_a_process_that_dies_is_told(kind: Kind, fault: Callable[[], Any]) -> None:
    with pytest.raises(EnvironmentSpecError, match="A process of an environment ended: its own error stands above"):
        learn(kind, fault)


@both
def test_a_process_that_hangs_is_ended(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simpl_sb3.experience.workers.WORKER_SECONDS", 1.0)
    started = time.monotonic()
    with pytest.raises(EnvironmentSpecError, match="gave no answer for 1 s, and was ended: it hangs"):
        learn(kind, hangs)
    assert time.monotonic() - started < 60


def test_processes_that_answer_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = next(iter(KINDS))
    assert learn(kind, lambda: None).num_timesteps >= 100
