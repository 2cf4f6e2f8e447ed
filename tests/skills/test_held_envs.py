"""``HeldEnvs``: plain environments that wait where they ended, and speak as Gymnasium's vector environments do."""

from typing import Any

import numpy as np
import pytest
from envs_for_tests import CountingEnv, LineEnv, LineTask, line_envs
from gymnasium.vector import SyncVectorEnv

from simpl_sb3.errors import EnvironmentSpecError
from simpl_sb3.skills.held_envs import HeldEnvs, HeldVectorEnv, infos_of


def test_held_environments_stay_where_they_ended() -> None:
    envs = HeldEnvs([lambda: CountingEnv(terminate_at=2), lambda: CountingEnv(truncate_at=3), CountingEnv])
    envs.reset()
    action = np.zeros((3, 1), np.float32)
    for _ in range(5):
        observations, rewards, terminated, truncated, infos = envs.step(action)
    assert observations.tolist() == [[2, 1], [3, 1], [5, 1]]
    assert rewards.tolist() == [0, 0, 5]
    assert terminated.tolist() == [True, False, False]
    assert truncated.tolist() == [False, True, False]
    assert infos["_count"].tolist() == [False, False, True]
    assert len(envs.envs[0].unwrapped.actions) == 2  # type: ignore[attr-defined]
    observations, infos = envs.reset(options={"reset_mask": np.array([True, False, False])})
    assert observations.tolist() == [[0, 2], [3, 1], [5, 1]]
    assert infos["_count"].tolist() == [True, False, False]
    observations, _, terminated, truncated, _ = envs.step(action)
    assert observations.tolist() == [[1, 2], [3, 1], [6, 1]]
    assert (terminated.tolist(), truncated.tolist()) == ([False] * 3, [False, True, False])


def test_held_environments_take_seeds_and_tasks_one_each() -> None:
    envs = HeldEnvs(line_envs(3))
    observations, infos = envs.reset(seed=5, options={"tasks": [LineTask(1.0), None, LineTask(3.0)]})
    assert infos["task"].tolist() == ["1", LineEnv.train_tasks[0].name, "3"]
    for i in range(3):
        assert np.array_equal(observations[i], LineEnv().reset(seed=5 + i)[0])
    envs.set_task(LineTask(9.0), [1])
    assert [env.unwrapped.task.name for env in envs.envs] == ["1", "9", "3"]  # type: ignore[attr-defined]
    envs.set_task(LineTask(8.0))
    assert [env.unwrapped.task.name for env in envs.envs] == ["8"] * 3  # type: ignore[attr-defined]


def test_held_environments_speak_as_gymnasiums_vector_environments() -> None:
    envs, plain = HeldEnvs(line_envs(3)), SyncVectorEnv(line_envs(3))
    for held_or_plain in (envs, plain):
        held_or_plain.set_attr("limit", [5, 6, 7])
    assert envs.get_attr("limit") == plain.get_attr("limit") == (5, 6, 7)
    assert envs.call("limit") == plain.call("limit") == (5, 6, 7)
    assert envs.call("get_wrapper_attr", "limit") == plain.call("get_wrapper_attr", "limit") == (5, 6, 7)
    assert envs.call("limit", indices=[2, 0]) == (7, 5)
    envs.set_attr("limit", 9)
    assert envs.get_attr("limit") == (9, 9, 9)
    with pytest.raises(EnvironmentSpecError, match="2 values of limit"):
        envs.set_attr("limit", [1, 2])
    assert isinstance(envs, HeldVectorEnv)


def test_infos_of_several_are_those_of_each() -> None:
    infos = {
        "task": np.array(["a", "b", "c"], dtype=object),
        "_task": np.array([True, True, True]),
        "is_success": np.array([True, False, True]),
        "_is_success": np.array([True, False, True]),
        "place": np.arange(6.0).reshape(3, 2),
        "depth": np.arange(3.0),
        "inner": {"found": np.array([False, True, False]), "_found": np.array([False, True, True])},
        "_inner": np.array([True, True, False]),
        "never": np.zeros(3),
        "_never": np.zeros(3, bool),
        "text": "of none",
    }
    several = infos_of(infos, np.array([2, 0, 1]))
    each: list[dict[str, Any]] = [
        {"task": "c", "is_success": True, "place": np.array([4.0, 5.0]), "depth": np.float64(2.0)},
        {"task": "a", "is_success": True, "place": np.array([0.0, 1.0]), "depth": np.float64(0.0), "inner": {}},
        {"task": "b", "place": np.array([2.0, 3.0]), "depth": np.float64(1.0), "inner": {"found": True}},
    ]
    for own, alone in zip(several, each, strict=True):
        assert list(own) == list(alone)
        assert {name: type(value) for name, value in own.items()} == {n: type(v) for n, v in alone.items()}
        assert repr(own) == repr(alone)
    assert infos_of({}, np.array([0, 1])) == [{}, {}]
    assert infos_of(infos, np.array([], int)) == []
