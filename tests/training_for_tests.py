"""All that a training is, and whether two are the same to the bit."""

import random
from typing import Any

import numpy as np
import torch as th


def everything(model: Any) -> dict[str, Any]:
    """All that a training is, by name."""
    found = {f"policy.{name}": value for name, value in model.policy.state_dict().items()}
    for name, value in flatten(model.learner.state_dict()):
        found[f"learner.{name}"] = value
    for name, buffer in model._buffers().items():
        found |= {f"{name}.{part}": value for part, value in buffer.state().items()}
    counters = ("num_timesteps", "_n_updates", "_episode_num", "num_env_steps", "num_meta_iterations")
    found |= {name: getattr(model, name) for name in counters if hasattr(model, name)}
    found |= {f"results.{name}": list(values) for name, values in model._results.items()}
    found["ep_info"] = [(info["r"], info["l"]) for info in model.ep_info_buffer]
    found["generators"] = [random.random(), np.random.rand(), th.rand(()).item()]  # noqa: NPY002
    return found


def flatten(state: Any, name: str = "") -> list[tuple[str, Any]]:
    if isinstance(state, dict):
        return [pair for key, value in state.items() for pair in flatten(value, f"{name}.{key}")]
    return [(name, state)]


def assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    different = [name for name in expected if not same(found[name], expected[name])]
    assert not different


def same(one: Any, two: Any) -> bool:
    if isinstance(one, th.Tensor | np.ndarray):
        return bool((np.asarray(one) == np.asarray(two)).all())
    return one == two
