"""Checks of tensors from a file, before anything takes them: names, shapes, kinds, finite numbers, content hash."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch as th
from safetensors import SafetensorError, safe_open

from simpl_sb3.errors import ModelFileError

__all__ = ["check_optimizer_state", "check_tensors", "content_hash", "read_safetensors"]

_KINDS = {"F32": th.float32, "F64": th.float64, "I64": th.int64}  # all that a skill model holds


def content_hash(tensors: Mapping[str, th.Tensor]) -> str:
    """SHA-256 of names, kinds, shapes and numbers, in the order of the names; the same for equal tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(th.uint8).numpy().tobytes())
    return digest.hexdigest()


def _check_shapes(given: Mapping[str, tuple[Any, Any]], expected: Mapping[str, th.Tensor]) -> None:
    """Compare kinds and shapes by name."""
    if missing := sorted(expected.keys() - given.keys()):
        raise ModelFileError(f"the tensors {', '.join(missing)} are missing")
    if unknown := sorted(given.keys() - expected.keys()):
        raise ModelFileError(f"there are tensors that the model does not have: {', '.join(map(str, unknown))}")
    for name, (kind, shape) in given.items():
        own = expected[name]
        if kind != own.dtype or tuple(shape) != tuple(own.shape):
            raise ModelFileError(
                f"tensor {name} is {kind} of shape {tuple(shape)}, expected {own.dtype} of shape {tuple(own.shape)}"
            )


def check_tensors(given: Any, expected: Mapping[str, th.Tensor]) -> None:
    """
    Check a state dict from a file.

    :param given: tensors by name, as read
    :param expected: the model's own state dict; its tensors may be on the "meta" device
    :raises ModelFileError: for other names, shapes or kinds, or numbers that are not finite
    """
    if not isinstance(given, Mapping) or not all(isinstance(value, th.Tensor) for value in given.values()):
        raise ModelFileError("there are no tensors by name")
    _check_shapes({name: (value.dtype, value.shape) for name, value in given.items()}, expected)
    for name, value in given.items():
        if not th.isfinite(value).all():
            raise ModelFileError(f"tensor {name} holds NaN or infinite numbers")
        if str(name).endswith("running_var") and (value < 0.0).any():
            raise ModelFileError(f"tensor {name} holds negative variances")


def check_optimizer_state(given: Any, optimizer: th.optim.Optimizer) -> dict[str, Any]:
    """
    Check an optimiser's state from a file. A fused optimiser writes outside its memory where a moment has another
    shape than its parameter.

    :param given: what the optimiser's ``state_dict`` had returned, as read
    :param optimizer: the one that is to go on, over parameters of the same shapes
    :return: a state dict for ``optimizer.load_state_dict``: the file's moments, the optimizer's own groups and rates
    :raises ModelFileError: for moments of other shapes or kinds, steps below 0, or numbers that are not finite
    """
    own = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not isinstance(given, Mapping) or not isinstance(given.get("state"), Mapping):
        raise ModelFileError("there is no state of an optimiser")
    state: dict[int, dict[str, th.Tensor]] = {}
    for index, moments in given["state"].items():
        if not isinstance(index, int) or not 0 <= index < len(parameters) or not isinstance(moments, Mapping):
            raise ModelFileError(f"the optimiser has state for parameter {index!r} of {len(parameters)}")
        for name, moment in moments.items():
            like = parameters[index]
            shape = th.Size([]) if name == "step" else like.shape
            fits = isinstance(moment, th.Tensor) and moment.shape == shape and moment.is_floating_point()
            never_below_0 = name in ("step", "exp_avg_sq")
            if not fits or not th.isfinite(moment).all() or (never_below_0 and (moment < 0.0).any()):
                raise ModelFileError(
                    f"the optimiser's {name} of parameter {index} does not fit: expected a tensor {tuple(shape)} of "
                    "finite numbers"
                )
        state[index] = dict(moments)
    if state and len({frozenset(moments) for moments in state.values()}) != 1:
        raise ModelFileError("the optimiser's parameters have different kinds of state")
    return {"state": state, "param_groups": own["param_groups"]}


def read_header(path: str | os.PathLike[str]) -> dict[str, str]:
    """
    The metadata of a safetensors file.

    :raises ModelFileError: for a file that is missing or no safetensors file
    """
    if not Path(path).is_file():
        raise ModelFileError(f"no skill model at {path}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path} is no skill model: not a whole safetensors file ({error})") from error


def read_safetensors(path: str | os.PathLike[str], expected: Mapping[str, th.Tensor]) -> dict[str, th.Tensor]:
    """
    The tensors of a safetensors file. Names, shapes and kinds are compared before any tensor is read.

    :param expected: the model's own state dict; its tensors may be on the "meta" device
    :raises ModelFileError: as :func:`check_tensors`
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = list(file.keys())
            slices = {name: file.get_slice(name) for name in names}
            shapes = {name: (_KINDS.get(part.get_dtype()), part.get_shape()) for name, part in slices.items()}
            _check_shapes(shapes, expected)
            tensors = {name: file.get_tensor(name).clone() for name in names}  # not mapped into the file
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"not a whole safetensors file ({error})") from error
    check_tensors(tensors, expected)
    return tensors
