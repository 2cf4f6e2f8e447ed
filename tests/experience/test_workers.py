"""Environments in processes of their own that raise, die and hang."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from algorithms_for_tests import KINDS, PEARL, Kind, both
from envs_for_tests import LineEnv, LineTask, tiny_skills
from stable_baselines3.common.vec_env import SubprocVecEnv

from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import EnvironmentSpecError
from simpl_sb3.skills.asking import sendable
from simpl_sb3.skills.wrapper import SkillActionWrapper

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


SCRIPT = """
import sys
sys.path[:0] = PATHS
from algorithms_for_tests import PEARL
from envs_for_tests import LineEnv, LineTask, tiny_skills
from stable_baselines3.common.vec_env import SubprocVecEnv

from simpl_sb3 import SkillActionWrapper, SkillPriorPEARL

class Task(LineTask):
    pass

class Env(LineEnv):
    test_tasks = (Task(2.0), Task(-2.0))

    def __init__(self):
        super().__init__(train_tasks=(Task(1.5), Task(-1.5)))

    def set_task(self, task):
        assert task in self.train_tasks + self.test_tasks, (task, type(task))
        super().set_task(task)

def make():
    return SkillActionWrapper(Env(), tiny_skills())

if __name__ == "__main__":
    tasks = Env.test_tasks
    model = SkillPriorPEARL("MlpPolicy", SkillActionWrapper(Env(), tiny_skills()), **PEARL)
    quick = {"n_episodes": 2, "n_exploration_episodes": 1, "initial_updates": 1, "batch_size": 8}
    env = SubprocVecEnv([make], start_method=sys.argv[1])
    model.adapt(env, tasks[0], **quick)  # tasks of this process, before it has seen one of theirs
    model.set_env(env)
    model.learn(20)
    assert env.get_attr("test_tasks") == [tasks]
    assert env.get_attr("task")[0] in Env().train_tasks
    env.close()
    print("learned")
"""


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


def test_tasks_whose_class_has_no_name() -> None:
    """They come from a worker, and go there, with their class; it stays the same."""

    class Task(LineTask):
        pass

    class Env(LineEnv):
        def set_task(self, task: Any) -> None:
            assert type(task) is Task
            super().set_task(task)

    def make() -> SkillActionWrapper:
        return SkillActionWrapper(Env(train_tasks=(Task(1.5), Task(-1.5))), tiny_skills())

    assert sendable(Task(1.5)) == Task(1.5)  # known before the worker is forked, as what spawn sends is
    assert ForkingPickler.loads(ForkingPickler.dumps([Task(1.5)])) == [Task(1.5)]
    env = SubprocVecEnv([make], start_method="fork")
    model = SkillPriorPEARL("MlpPolicy", env, **PEARL).learn(20)
    assert model.train_tasks == (Task(1.5), Task(-1.5))
    env.env_method("set_task", Task(2.0))
    assert env.get_attr("task") == [Task(2.0)]
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
def test_environment_and_tasks_of_the_script_that_runs(start_method: str, tmp_path: Path) -> None:
    """Their classes have no name that a worker could import: they are sent along, and stay the same classes."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("PATHS", repr([path for path in sys.path if path])))
    done = subprocess.run([sys.executable, script, start_method], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("learned\n", 0), done.stderr


def test_a_process_is_not_asked_for_what_its_environment_has_not(capfd: pytest.CaptureFixture[str]) -> None:
    """It would end, with a traceback of its own."""
    env = SubprocVecEnv([LineEnv], start_method="fork")
    with pytest.raises(EnvironmentSpecError, match="this environment has none: wrap it in"):
        SkillPriorSAC("MlpPolicy", env)
    env.close()
    assert capfd.readouterr().err == ""


@both
def test_an_environment_that_cannot_be_reset_is_told(kind: Kind) -> None:
    class Broken(LineEnv):
        def reset(self, **_: Any) -> Any:
            raise RuntimeError("no simulator here")

    env = SubprocVecEnv([lambda: SkillActionWrapper(Broken(), tiny_skills())], start_method="fork")
    model = kind("MlpPolicy", env, **KINDS[kind])  # type: ignore[arg-type]
    with pytest.raises(EnvironmentSpecError, match="A process of an environment ended: its own error stands above"):
        model.learn(10)
