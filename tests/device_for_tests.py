"""
Everything that learns, small, on a device that is not the host: ``python device_for_tests.py cuda``, or ``pretended``.

The pretended device computes on the host, but its tensors count as elsewhere: an operation on tensors of both places
fails as it does with a GPU, and so does `numpy()` of one.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from envs_for_tests import ACTIONS, OBSERVATIONS, LineEnv, tiny_skills
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from simpl_sb3 import (
    DemonstrationDataset,
    Episode,
    PrimitiveActions,
    SkillActionWrapper,
    SkillExtractor,
    SkillModel,
    SkillPriorMAML,
    SkillPriorMTRL,
    SkillPriorPEARL,
    SkillPriorSAC,
    SkillVecEnv,
    make_skill_vec_env,
)

PRETENDED = "pretended"
CROSSING = ("aten::_to_copy", "aten::copy_", "aten::index", "aten::index_put_", "aten::_index_put_impl_")
"""Between a GPU and the host these work; indices may be on the host."""
HostGenerator = th.Generator


class DeviceTensor(th.Tensor):
    """A tensor on the pretended device; ``inner`` holds its numbers, on the host."""

    inner: th.Tensor

    @staticmethod
    def __new__(cls: type["DeviceTensor"], inner: th.Tensor) -> "DeviceTensor":
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        made = th.Tensor._make_wrapper_subclass(cls, inner.shape, device=f"{PRETENDED}:0", **layout)  # type: ignore[attr-defined]
        made.inner = inner
        return made  # type: ignore[no-any-return]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.inner.tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:  # files hold tensors, and load them to a device
        return self.inner.detach().__reduce_ex__(protocol)


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation, on the host, with the result where torch would have it."""
    flat, shape = pytree.tree_flatten((args, kwargs))
    tensors = [value for value in flat if isinstance(value, th.Tensor)]
    there = {id(value.inner): value for value in tensors if isinstance(value, DeviceTensor)}
    here = [value for value in tensors if not isinstance(value, DeviceTensor) and value.dim() > 0]
    name = func._schema.name
    if there and here and name not in CROSSING:
        raise RuntimeError(f"{name}: a tensor of shape {tuple(here[0].shape)} on the host, beside some on the device")
    device = kwargs.get("device")
    stays = isinstance(args[0], DeviceTensor) if name == "aten::copy_" else bool(there)
    on_device = stays if device is None else th.device(device).type == PRETENDED
    inner = [value.inner if isinstance(value, DeviceTensor) else value for value in flat]
    inner_args, inner_kwargs = pytree.tree_unflatten(inner, shape)
    where = {} if device is None else {"device": "cpu"}
    result = func(*inner_args, **{key: value for key, value in inner_kwargs.items() if key != "pin_memory"} | where)
    if not on_device:
        return result

    def wrapped(value: Any) -> Any:
        if not isinstance(value, th.Tensor):
            return value
        return there[id(value)] if id(value) in there else DeviceTensor(value)

    result = pytree.tree_map(wrapped, result)
    return return_and_correct_aliasing(func, args, kwargs, result) if there else result


class DeviceModule:
    """What torch asks of a kind of device."""

    is_available = is_initialized = staticmethod(lambda: True)
    current_device = staticmethod(lambda: 0)
    device_count = staticmethod(lambda: 1)
    _is_in_bad_fork = staticmethod(lambda: False)
    manual_seed = manual_seed_all = staticmethod(lambda seed: None)
    get_rng_state = staticmethod(lambda device=None: th.get_rng_state())
    set_rng_state = staticmethod(lambda state, device=None: None)


class _AnyGenerator(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, HostGenerator)

    def __call__(cls, device: Any = "cpu") -> th.Generator:
        return HostGenerator()


class DeviceGenerator(metaclass=_AnyGenerator):
    """A generator of any device is one of the host."""


def _make(func: Any, *args: Any, **kwargs: Any) -> Any:
    return compute(func, args, kwargs)


def _copy_from(source: th.Tensor, target: th.Tensor, non_blocking: bool = False) -> Any:
    return compute(th.ops.aten.copy_.default, (target, source), {})


def pretend() -> None:
    """Make the pretended device known to this process, for good."""
    _setup_privateuseone_for_python_backend(PRETENDED, DeviceModule())
    aten, library = th.ops.aten, th.library.Library("aten", "IMPL")
    library.impl("empty.memory_format", partial(_make, aten.empty.memory_format), "PrivateUse1")
    library.impl("empty_strided", partial(_make, aten.empty_strided.default), "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    th._device_library = library  # type: ignore[attr-defined]  # alive as long as torch is
    th.__future__.set_swap_module_params_on_conversion(True)  # `module.to` keeps its parameters, as with a GPU
    th.Generator = DeviceGenerator  # type: ignore[misc,assignment]


def check_places(device: str) -> None:
    """That a mistake would be seen."""
    made = th.ones(3, device=device)
    assert float((made * 2).sum().cpu()) == 6.0
    for mistake in (lambda: made + th.ones(3), lambda: th.dot(th.ones(3), made), made.numpy):
        try:
            mistake()
        except (RuntimeError, TypeError, IndexError):
            continue
        raise AssertionError("host and device were mixed without an error")


# ------------------------------------------------------------ everything that learns

SMALL: dict[str, Any] = {"net_arch": (8,), "batch_size": 8, "buffer_size": 300, "seed": 0}
META: dict[str, Any] = SMALL | {
    "gradient_steps": 3,
    "tasks_per_update": (1, 2),
    "context_buffer_size": 200,
    "encoder_width": 8,
    "context_sizes": (2, 8),
}
ADAPT: dict[str, Any] = {"n_episodes": 6, "n_exploration_episodes": 3, "initial_updates": 2, "seed": 0}
ORIGIN = np.zeros(OBSERVATIONS.shape, np.float32)


def envs(skills: Any, number: int = 3) -> SkillVecEnv:
    return make_skill_vec_env(LineEnv, skills, number)


def meta_learning(device: str, folder: Path) -> None:
    """SiMPL: meta-training, files, going on, every way to explore, an agent's own learning, a session."""
    skills, path = tiny_skills(), folder / "meta.zip"
    model = SkillPriorPEARL("MlpPolicy", envs(skills), device=device, **META).learn(120)
    assert model.policy.device.type == device
    model.save(path, with_training_state=True)
    again = SkillPriorPEARL.load(path, env=envs(skills), device=device).learn(60, reset_num_timesteps=False)
    assert again.num_timesteps > model.num_timesteps
    tasks = LineEnv.test_tasks
    agents: list[SkillPriorSAC] = []
    for exploration in ("prior", "posterior", "unvisited"):
        agents = again.adapt_tasks(envs(skills, len(tasks)), tasks, exploration=exploration, **ADAPT)
    agents[0].save(folder / "agent.zip")
    SkillPriorSAC.load(folder / "agent.zip", device=device).predict(ORIGIN)
    agents[0].set_env(SkillActionWrapper(LineEnv(), skills))
    agents[0].learn(20, reset_num_timesteps=False)
    session = again.start_adaptation()
    for step in range(60):
        session.act(ORIGIN)
        session.observe(ORIGIN, 0.0, terminated=step % 10 == 9, truncated=False)


def other_methods(device: str, folder: Path) -> None:
    """SPiRL, PEARL, MTRL and BC+MAML's learner."""
    skills = tiny_skills()
    SkillPriorSAC("MlpPolicy", SkillActionWrapper(LineEnv(), skills), device=device, **SMALL).learn(100)
    plain = PrimitiveActions(OBSERVATIONS, ACTIONS)
    SkillPriorPEARL("MlpPolicy", envs(plain), device=device, **META).learn(200)
    mtrl = SkillPriorMTRL("MlpPolicy", envs(skills), device=device, **SMALL | {"gradient_steps": 2}).learn(100)
    mtrl.adapt_tasks(envs(skills, 1), LineEnv.test_tasks[:1], n_episodes=3, seed=0)
    maml = SkillPriorMAML("MlpPolicy", envs(skills), device=device, net_arch=(8,), seed=0).learn(100)
    maml.adapt_tasks(envs(skills, 1), LineEnv.test_tasks[:1], n_episodes=3, seed=0)


def extraction(device: str, folder: Path) -> None:
    """Skills, from a checkpoint on, and their file."""
    rng = np.random.default_rng(0)
    size, width = OBSERVATIONS.shape[0], ACTIONS.shape[0]
    episodes = [
        Episode(rng.normal(size=(31, size)).astype(np.float32), rng.uniform(-1, 1, (30, width)).astype(np.float32))
        for _ in range(8)
    ]
    data = DemonstrationDataset.from_episodes(episodes, OBSERVATIONS, ACTIONS)
    small: dict[str, Any] = {f"{part}_hidden": (8,) for part in ("encoder", "decoder", "prior")}
    small |= {"horizon": 5, "skill_dim": 3, "batch_size": 16, "folder": folder / "skills", "seed": 0, "device": device}
    first = SkillExtractor(data, **small)
    first.learn(10)
    checkpoint = first.save_checkpoint()
    second = SkillExtractor(data, **small)
    second.restore(checkpoint)
    second.learn(20).save(folder / "skills.safetensors")
    SkillModel.load(folder / "skills.safetensors", device=device)


def main(device: str) -> None:
    """Run everything; an error ends it."""
    if device == PRETENDED:
        pretend()
    check_places(device)
    with tempfile.TemporaryDirectory() as folder:
        for part in (extraction, meta_learning, other_methods):
            part(device, Path(folder))
            sys.stdout.write(f"{part.__name__}\n")


if __name__ == "__main__":
    main(sys.argv[1])
