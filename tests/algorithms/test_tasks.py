"""The training tasks of an environment: found, checked, and one message where they cannot be had."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from envs_for_tests import CountingEnv, tiny_skills
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.tasks import check_given_tasks, default_timesteps, find_tasks, task_of
from simpl_sb3.errors import EnvironmentSpecError, SettingsError
from simpl_sb3.skills.vec_env import SkillVecEnv


@dataclass(frozen=True)
class Goal:
    name: Any


class Asked:
    """A vec env that answers with some tasks, or with an exception."""

    unwrapped = None  # no processes

    def __init__(self, answer: Any, takes: bool | None = True) -> None:
        self.answer, self.takes = answer, takes

    def get_attr(self, name: str) -> list[Any]:
        assert name == "train_tasks"
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer, ()]

    def has_attr(self, name: str) -> bool:
        if self.takes is None:
            raise TypeError("called without a task")
        return self.takes


def ask(answer: Any, expected: tuple[str, ...] = ()) -> tuple[Any, ...]:
    return find_tasks(cast(VecEnv, Asked(answer)), expected)


def test_tasks_are_those_of_the_first_environment() -> None:
    tasks = (Goal("a"), Goal("b"))
    assert ask(list(tasks)) == tasks
    assert ask(tasks, ("a", "b")) == tasks


def test_tasks_that_no_method_takes() -> None:
    with pytest.raises(EnvironmentSpecError, match=r"train_tasks, and no set_task\(task\)"):
        find_tasks(cast(VecEnv, Asked((Goal("a"),), takes=False)))
    assert find_tasks(cast(VecEnv, Asked((Goal("a"),), takes=None)))


@pytest.mark.parametrize("error", [EOFError(), BrokenPipeError(), ConnectionResetError()])
def test_tasks_that_a_worker_cannot_send(error: Exception) -> None:
    """The worker, which pickles them, ends without a word."""
    with pytest.raises(EnvironmentSpecError, match="Expected tasks that can be sent to another process: plain data"):
        ask(error)


@pytest.mark.parametrize("answer", [(), AttributeError("train_tasks"), 3])
def test_an_environment_without_tasks(answer: Any) -> None:
    with pytest.raises(EnvironmentSpecError, match=r"this one has no tasks"):
        ask(answer)


@pytest.mark.parametrize("name", [None, 3, "", "a,b", "a\nb"])
def test_names_that_are_none(name: Any) -> None:
    with pytest.raises(EnvironmentSpecError, match=r"expected a text without commas as task\.name"):
        ask((Goal(name),))


def test_two_tasks_of_one_name_and_other_tasks_than_expected() -> None:
    with pytest.raises(EnvironmentSpecError, match=r"Several tasks have the name a:"):
        ask((Goal("a"), Goal("a"), Goal("b")))
    with pytest.raises(EnvironmentSpecError, match=r"trained on the tasks a, b; the environment has others"):
        ask((Goal("b"), Goal("a")), ("a", "b"))


# ---------------------------------------------------------------- how long to meta-train


class Limited:
    """A vec env with two tasks, and with what tells its time limit."""

    unwrapped = None  # no processes

    def __init__(self, **known: Any) -> None:
        self.known = {"train_tasks": (Goal("a"), Goal("b")), **known}

    def get_attr(self, name: str) -> list[Any]:
        if name not in self.known:
            raise AttributeError(name)
        return [self.known[name]]

    def has_attr(self, name: str) -> bool:
        return True


@pytest.mark.parametrize(
    "known",
    [
        {"spec": SimpleNamespace(max_episode_steps=95)},
        {"spec": None, "_max_episode_steps": 95},
        {"spec": SimpleNamespace(max_episode_steps=None), "_max_episode_steps": 95},
    ],
)
def test_by_default_every_task_is_lived_in_for_32_full_episodes(known: dict[str, Any]) -> None:
    assert default_timesteps(cast(VecEnv, Limited(**known)), horizon=10) == 32 * 2 * 10


def test_without_a_time_limit_the_number_has_to_be_given() -> None:
    with pytest.raises(EnvironmentSpecError, match="tells no time limit"):
        default_timesteps(cast(VecEnv, Limited(spec=None)), horizon=10)


@pytest.mark.parametrize("given", [None, 5, "target", (), (Goal("a"),), ("a", "b")])
def test_tasks_to_adapt_to_that_are_none(given: Any) -> None:
    with pytest.raises(SettingsError, match=r"expected a sequence of as many tasks|is a text: expected a task"):
        check_given_tasks(given, SkillVecEnv([CountingEnv] * 2, tiny_skills()))


def test_the_task_of_an_environment_that_tells_none() -> None:
    assert task_of(cast(VecEnv, SimpleNamespace(get_attr=lambda _: ["a", "b"], unwrapped=None))) == "a"
    with pytest.raises(SettingsError, match="task is None, and the environment tells no task"):
        task_of(SkillVecEnv([CountingEnv], tiny_skills()))
