"""Checks of tensors from a file, before anything takes them: names, shapes, kinds, finite numbers, content hash."""

import hashlib
import io
import os
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch as th
from safetensors import SafetensorError, safe_open

from simpl_sb3.errors import ModelFileError
from simpl_sb3.files import open_regular
from simpl_sb3.seals import KEY, check_seal, open_zip

__all__ = [
    "check_like",
    "check_optimizer_state",
    "check_tensors",
    "content_hash",
    "read_header",
    "read_member",
    "read_safetensors",
    "read_tensors",
]

MAX_SMALL, MAX_PACKED = 1 << 28, 20
"""A member beyond so many bytes may unpack to so many times its size on disk: numbers do not pack well, bombs do."""

_KINDS = {"F32": th.float32, "F64": th.float64, "I64": th.int64}  # all that a skill model holds
_IN_HEADER = {"kind", "schema_version", "settings", "sha256", "format", KEY}
_STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
_IN_PICKLES = {
    "torch._utils _rebuild_tensor_v2",
    "collections OrderedDict",
    *(f"torch {kind}Storage" for kind in _STORAGES),
}
_OTHER_CALLS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
_MOMENTS = frozenset(("step", "exp_avg", "exp_avg_sq"))


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
    if not isinstance(given, Mapping) or not all(
        isinstance(name, str) and isinstance(value, th.Tensor) for name, value in given.items()
    ):
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
    shape or layout than its parameter.

    :param given: what the optimiser's ``state_dict`` had returned, as read
    :param optimizer: Adam or RAdam, over parameters of the same shapes
    :return: a state dict for ``optimizer.load_state_dict``: copies of the file's moments, the optimizer's own groups
        and rates
    :raises ModelFileError: for moments of other shapes or kinds, or that no gradients lead to
    """
    own = optimizer.state_dict()
    parameters = [(parameter, group["betas"]) for group in optimizer.param_groups for parameter in group["params"]]
    if not isinstance(given, Mapping) or not isinstance(given.get("state"), Mapping):
        raise ModelFileError("there is no state of an optimiser")
    state: dict[int, dict[str, th.Tensor]] = {}
    for index, moments in given["state"].items():
        if not isinstance(index, int) or not 0 <= index < len(parameters):
            raise ModelFileError(f"the optimiser has state for a parameter that is none of its {len(parameters)}")
        if not isinstance(moments, Mapping) or moments.keys() != _MOMENTS:
            raise ModelFileError(f"the optimiser's state of parameter {index} is not {', '.join(sorted(_MOMENTS))}")
        parameter, betas = parameters[index]
        state[index] = {name: _checked_moment(index, name, moments[name], parameter) for name in moments}
        if not _reachable(state[index]["exp_avg"], state[index]["exp_avg_sq"], *betas):
            raise ModelFileError(f"the optimiser's moments of parameter {index} are none that gradients lead to")
    return {"state": state, "param_groups": own["param_groups"]}


def _checked_moment(index: int, name: str, moment: Any, parameter: th.Tensor) -> th.Tensor:
    """A copy of a moment, which lies in memory as its parameter does."""
    shape = th.Size([]) if name == "step" else parameter.shape
    fits = isinstance(moment, th.Tensor) and moment.shape == shape and moment.is_floating_point()
    never_below_0 = name in ("step", "exp_avg_sq")
    if not fits or not th.isfinite(moment).all() or (never_below_0 and (moment < 0.0).any()):
        raise ModelFileError(
            f"the optimiser's {name} of parameter {index} does not fit: expected a tensor {tuple(shape)} of "
            "finite numbers"
        )
    copy = th.empty_like(moment if name == "step" else parameter, requires_grad=False)
    return copy.copy_(moment)


def _reachable(mean: th.Tensor, square: th.Tensor, beta1: float, beta2: float) -> bool:
    """
    Whether gradients can lead to these moments. For running means of g and g², by the inequality of Cauchy and Schwarz,
    ``mean² <= square (1 - β1)² / (1 - β2) / (1 - β1² / β2)``; other ones are steps of any size.
    """
    most = (1.0 - beta1) ** 2 / (1.0 - beta2) / (1.0 - beta1**2 / beta2)
    small = 1e-12  # whose squares leave float32
    return bool((mean.abs().double() <= 1.01 * (most * square.double()).sqrt() + small).all())


def read_member(archive: zipfile.ZipFile, name: str, at_most: int) -> bytes:
    """
    A member's content.

    :param at_most: bytes
    :raises ValueError: for a member that unpacks to more than models have
    """
    size, packed = archive.getinfo(name).file_size, archive.getinfo(name).compress_size
    if size > at_most or size > max(MAX_SMALL, MAX_PACKED * packed):
        raise ValueError(f"its member {name} unpacks to {size} bytes")
    return archive.read(name)


def read_tensors(content: bytes) -> Any:
    """
    What ``torch.save`` wrote of dictionaries, lists, texts, numbers and tensors, on the CPU. Torch's own
    ``weights_only`` runs no code, but calls more than these need, such as ``bytearray(10**10)``.

    :param content: of the file
    :raises ValueError: for a file that is damaged or packed otherwise, or holds something else
    """
    with open_zip(io.BytesIO(content), packed=False) as archive:
        if archive.testzip() is not None:  # torch does not ask
            raise ModelFileError("a checksum in it is wrong")
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        for pickled in pickles:
            for opcode, argument, _ in pickletools.genops(archive.read(pickled)):
                if opcode.name in _OTHER_CALLS or (opcode.name == "GLOBAL" and argument not in _IN_PICKLES):
                    raise ModelFileError(f"it holds {argument or opcode.name}: expected tensors, texts and numbers")
    return th.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def read_header(path: str | os.PathLike[str]) -> dict[str, str]:
    """
    The metadata of a safetensors file, once its seal, where it has one, is found to be that of its bytes.

    :raises ModelFileError: for a file that is missing, damaged, or no safetensors file
    """
    if not isinstance(path, str | os.PathLike):
        raise ModelFileError(f"The path of skills is {path!r}: expected skills, or a text or Path.")
    if not Path(path).is_file():
        raise ModelFileError(f"no skill model at {path}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path} is no skill model: not a whole safetensors file ({error})") from error
    if unknown := sorted(metadata.keys() - _IN_HEADER):
        raise ModelFileError(f"{path} is no skill model, or damaged: its header has {', '.join(unknown)}")
    if KEY in metadata:
        try:
            with open_regular(path) as bare:
                check_seal(bare, metadata[KEY])
        except ValueError as error:
            raise ModelFileError(f"{path}: {error}") from None
    return metadata


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


def check_like(name: str, value: Any, expected: th.Tensor) -> None:
    """
    :raises ModelFileError: for something that is not a finite floating-point tensor of the expected shape
    """
    if not isinstance(value, th.Tensor) or not value.is_floating_point() or value.shape != expected.shape:
        given = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, th.Tensor) else type(value).__name__
        raise ModelFileError(f"{name} is {given}: expected a tensor {tuple(expected.shape)} of numbers.")
    if not bool(th.isfinite(value).all()):
        raise ModelFileError(f"{name} holds NaN or infinite numbers.")
