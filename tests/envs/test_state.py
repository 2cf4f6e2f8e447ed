"""The state of a vector environment: another one goes on from it, to the bit, in the middle of an episode."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import simpl_envs  # noqa: F401 - registers the environments

ENVS = [("SimplMaze-v0", {}), ("SimplKitchen-v0", {"physics": "fast"}), ("SimplKitchen-v0", {})]


def make(env_id: str, number: int = 3, **arguments: Any) -> Any:
    return gym.make_vec(env_id, number, vectorization_mode="vector_entry_point", max_episode_steps=30, **arguments)


def live(env: Any, steps: int, seed: int) -> list[tuple[Any, ...]]:
    """What random actions bring, reset by the environment itself."""
    rng = np.random.default_rng(seed)
    return [env.step(rng.uniform(-1, 1, env.action_space.shape)) for _ in range(steps)]


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, np.ndarray) and first.dtype == object:
        return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    return bool(np.array_equal(first, second))


@pytest.mark.parametrize(("env_id", "arguments"), ENVS)
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_another_environment_goes_on_to_the_bit(env_id: str, arguments: dict[str, Any], mode: AutoresetMode) -> None:
    env = make(env_id, autoreset_mode=mode, **arguments)
    env.reset(seed=7)
    tasks = [env.test_tasks[i] for i in range(3)]
    for i, task in enumerate(tasks):
        env.set_task(task, [i])
    live(env, 41, 0)  # beyond an end
    env.set_active(np.array([True, False, True]))
    live(env, 2, 1)
    state = env.get_state()
    assert all(isinstance(array, np.ndarray) and array.dtype != object for array in state.values())
    expected = live(env, 45, 2)

    other = make(env_id, autoreset_mode=mode, **arguments)
    for i, task in enumerate(tasks):
        other.set_task(task, [i])
    other.set_state(state)
    found = live(other, 45, 2)
    assert all(equal(a, b) for one, two in zip(expected, found, strict=True) for a, b in zip(one, two, strict=True))
    env.close()
    other.close()


def test_what_is_taken_is_a_copy() -> None:
    env = make("SimplMaze-v0")
    env.reset(seed=0)
    state = env.get_state()
    before = {name: array.copy() for name, array in state.items()}
    live(env, 5, 0)
    assert equal(state, before)
    env.set_state(state)
    live(env, 5, 0)
    assert equal(state, before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("states", np.zeros((4, 4))),
        ("states", np.zeros((3, 4), np.int64)),
        ("rngs", np.zeros(3)),
        ("elapsed", None),
    ],
)
def test_a_state_of_something_else_is_refused(name: str, value: Any) -> None:
    env = make("SimplMaze-v0")
    env.reset(seed=0)
    state = env.get_state()
    broken = {key: array for key, array in {**state, name: value}.items() if array is not None}
    live(env, 3, 0)
    before = env.get_state()
    with pytest.raises(ValueError, match=f"Expected {name} of shape"):
        env.set_state(broken)
    assert equal(env.get_state(), before)
