"""What fuzz.py does to a file: raw damage to its bytes, or a rewriting by someone who knows the format."""

import copy
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch as th

from simpl_sb3.seals import BLANK, KEY, seal, seal_zip

Rng = np.random.Generator
BOMB = 300_000_000  # bytes of zeros
DEEP = "[" * 100_000 + "]" * 100_000
NASTY: list[Any] = [
    *(None, True, False, -1, 0, 1, 0.5, -0.0, 1e9, 1e38, 1e308, -1e38, 10**12, 2**63, 10**30, 10**4000),
    *(float("nan"), float("inf"), "", "x", "0", "-1", "nan", "$\\frac$", "../x", "\ud800", "\0", "x" * 100_000),
    *([], {}, [[]], [-1], [10**9], [10**9, 10**9], ["x"], [None] * 1000, {"a": {}}, {"": 0}, "@DEEP@"),
]


class Code:
    """A pickle that makes a file when it is loaded: the canary."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path(os.environ["FUZZ_CANARY"]),)


def one_of(rng: Rng, values: Any) -> Any:
    """One of several values; of no array's making."""
    return list(values)[int(rng.integers(len(values)))]


# ------------------------------------------------------------ raw bytes


def flip(content: bytes, rng: Rng) -> bytes:
    """One bit."""
    at = int(rng.integers(len(content)))
    return content[:at] + bytes([content[at] ^ (1 << int(rng.integers(8)))]) + content[at + 1 :]


def zeros(content: bytes, rng: Rng) -> bytes:
    """A block of zeros, as a disk leaves one."""
    at, size = int(rng.integers(len(content))), min(len(content), int(rng.integers(1, 512)))
    return content[:at] + bytes(min(size, len(content) - at)) + content[at + size :]


def cut(content: bytes, rng: Rng) -> bytes:
    """The end is missing."""
    return content[: int(rng.integers(len(content)))]


def longer(content: bytes, rng: Rng) -> bytes:
    """Something behind the end."""
    return content + rng.bytes(int(rng.integers(1, 200)))


def shuffled(content: bytes, rng: Rng) -> bytes:
    """One part stands where another was."""
    a, b, size = (int(rng.integers(len(content))) for _ in range(3))
    part = content[a : a + size % 300]
    return content[:b] + part + content[b + len(part) :]


RAW: dict[str, Callable[[bytes, Rng], bytes]] = {each.__name__: each for each in (flip, zeros, cut, longer, shuffled)}


# ------------------------------------------------------------ plain data


def place(data: Any, rng: Rng) -> tuple[Any, Any] | None:
    """A container in nested dicts and lists, and a key of it: found from the top, so that long lists are not all."""
    found, node = None, data
    while isinstance(node, dict | list) and node:
        key = one_of(rng, node) if isinstance(node, dict) else int(rng.integers(len(node)))
        found, node = (node, key), node[key]
        if rng.random() < 0.3:
            break
    return found


def change_plain(data: Any, rng: Rng, nasty: Callable[[Any, Rng], Any]) -> Any:
    """A copy of nested dicts and lists with one part replaced, removed, renamed or doubled."""
    data = copy.deepcopy(data)
    places = [place(data, rng) for _ in range(2)]
    if places[0] is None or places[1] is None:
        return nasty(data, rng)
    node, key = places[0]
    what = rng.integers(10)
    if what == 0:
        del node[key]
    elif what == 1 and isinstance(node, dict):
        node[one_of(rng, ["", "x", "0", 99, -1, f"{key} "])] = node.pop(key)
    elif what == 2:
        other, there = places[1]
        node[key] = copy.deepcopy(other[there]) if other is not node else nasty(node[key], rng)
    else:
        node[key] = nasty(node[key], rng)
    return data


def nasty_plain(value: Any, rng: Rng) -> Any:
    """Anything that JSON holds, or a number of the same kind that is out of range."""
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.3:
        return one_of(rng, [-value, value + 1, value * 1000, value + 0.5, str(value), [value]])
    return one_of(rng, NASTY)


def change_json(content: bytes, rng: Rng) -> bytes:
    """JSON with one part changed, sealed again where it was."""
    data = change_plain(json.loads(content), rng, nasty_plain)
    sealed = isinstance(data, dict) and KEY in data and rng.random() < 0.8
    if isinstance(data, dict) and KEY in data:
        del data[KEY]
    text = json.dumps(data | {KEY: BLANK} if sealed else data).replace('"@DEEP@"', DEEP).encode()
    return seal(text) if sealed else text


def change_text(content: bytes, rng: Rng) -> bytes:
    """A text of lines (CSV, TOML) with one line or one value changed."""
    lines = content.decode().split("\n")
    at, nasty = int(rng.integers(len(lines))), str(one_of(rng, NASTY)).replace("@DEEP@", DEEP)
    what = rng.integers(6)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(at, lines[int(rng.integers(len(lines)))])
    else:
        mark = "=" if "=" in lines[at] else ","
        parts = lines[at].split(mark)
        parts[int(rng.integers(len(parts)))] = nasty
        lines[at] = mark.join(parts)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


# ------------------------------------------------------------ tensors and arrays


def nasty_tensor(value: Any, rng: Rng) -> Any:
    """In place of a tensor, or of anything beside one."""
    others = [None, 3, -1.5, "x", [1, 2], {}, {"a": 1}, (1,), Code(), bytearray(10), 10**30, float("nan"), th.zeros(3)]
    if not isinstance(value, th.Tensor) or rng.random() < 0.3:
        return one_of(rng, others)
    numbers = [0.0, -1.0, 1e-38, 1e15, 1e38, 3e38, float("nan"), float("inf")]
    choices: list[Callable[[], Any]] = [
        *(lambda number=number: th.full_like(value, number) for number in numbers if value.is_floating_point()),
        *(lambda kind=kind: value.to(kind) for kind in (th.float64, th.float16, th.int64, th.bool, th.uint8)),
        lambda: value * 1e30,
        value.flatten,
        lambda: value[None],
        lambda: value.reshape(-1)[:1].as_strided(value.shape, (0,) * value.dim()) if value.numel() else value,
        lambda: th.zeros(1, dtype=value.dtype).expand(10**9),
        lambda: th.zeros(1, dtype=value.dtype).expand(*value.shape[:-1], 10**9),
        lambda: value.reshape(-1)[:-1],
        lambda: value.to_sparse() if value.dim() else value,
        lambda: value.to(th.complex64),
        lambda: th.zeros(value.shape, device="meta"),
        lambda: th.nn.Parameter(value.float()),
        lambda: th.zeros(0),
        lambda: value.t() if value.dim() == 2 else value,
    ]
    return one_of(rng, choices)()


def change_tensors(content: bytes, rng: Rng) -> bytes:
    """What ``torch.save`` wrote, with one part changed; texts that are JSON are changed inside."""
    state = th.load(io.BytesIO(content), weights_only=True)

    def nasty(value: Any, rng: Rng) -> Any:
        if isinstance(value, str) and value.startswith("{") and rng.random() < 0.8:
            return change_json(value.encode(), rng).decode()
        return nasty_tensor(value, rng)

    written = io.BytesIO()
    th.save(change_plain(state, rng, nasty), written)
    return written.getvalue()


def change_array(content: bytes, rng: Rng) -> bytes:
    """A ``.npy`` with other numbers, another kind, shape or header."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.kind in "US" and array.ndim == 0 and str(array).startswith("{") and rng.random() < 0.7:
        return npy(np.array(change_json(str(array).encode(), rng).decode()))
    if rng.random() < 0.3:
        lies = [(10**9,), (10**12,), (-1,), (2, 10**9), (1,) * 40, ()]
        kinds = [array.dtype.str, "|O", "<f8", "<U9999999", "|V0", "<M8[s]", "<c16"]
        header = {"descr": one_of(rng, kinds), "fortran_order": bool(rng.integers(2)), "shape": one_of(rng, lies)}
        written = io.BytesIO()
        np.lib.format.write_array_header_1_0(written, header)
        return written.getvalue() + array.tobytes()
    changed = array.copy()
    if array.dtype.kind in "fiub" and array.size and rng.random() < 0.6:
        values = {"f": [np.nan, np.inf, 1e38, -1.0, 0.0], "b": [True, False]}.get(array.dtype.kind, [0, 1, 127, 99])
        changed.reshape(-1)[int(rng.integers(array.size))] = one_of(rng, values)
        return npy(changed)
    others: list[Callable[[], np.ndarray]] = [
        lambda: array[None],
        lambda: array.reshape(-1)[:-1],
        lambda: array.astype("U") if array.dtype.kind != "U" else np.zeros(array.shape),
        lambda: np.zeros(0, array.dtype),
        lambda: np.array(3),
        lambda: np.concatenate([array, array]) if array.ndim else array,
        lambda: array.astype(np.complex128) if array.dtype.kind in "fi" else array,
    ]
    return npy(one_of(rng, others)())


def npy(array: np.ndarray) -> bytes:
    """The bytes of a ``.npy``."""
    written = io.BytesIO()
    np.lib.format.write_array(written, array, allow_pickle=True)
    return written.getvalue()


# ------------------------------------------------------------ containers


def change_zip(content: bytes, rng: Rng) -> bytes:
    """A zip with a member changed, exchanged, missing, doubled, packed as a bomb; sealed again, or without a seal."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        kinds = {info.filename: info.compress_type for info in archive.infolist()}
        members = [(name, archive.read(name)) for name in kinds]
    at, what = int(rng.integers(len(members))), rng.integers(14)
    name, old = members[at]
    if what == 0:
        del members[at]
    elif what == 1:
        there = int(rng.integers(len(members)))
        members[at], members[there] = (name, members[there][1]), (members[there][0], old)
    elif what == 2:
        members.append((one_of(rng, [name, f"../{name}", "x", name.upper()]), old))
    elif what == 3:
        members[at] = (name, one_of(rng, [b"", b"\0" * 100, b"{}", b"null", DEEP.encode()]))
    elif what == 4 and rng.random() < 0.2:
        members[at], kinds[name] = (name, bytes(BOMB)), zipfile.ZIP_DEFLATED
    else:
        members[at] = (name, change_member(name, old, rng))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, member in members:
            archive.writestr(zipfile.ZipInfo(name), member, kinds.get(name, zipfile.ZIP_STORED), 1)
    changed = written.getvalue()
    if rng.random() < 0.1:  # the directory lies about sizes, packing, or whether there is a password
        at = changed.rindex(b"PK\x01\x02")
        field = int(one_of(rng, [8, 10, 20, 24, 42]))
        changed = changed[: at + field] + rng.bytes(2) + changed[at + field + 2 :]
        return changed
    return seal_zip(changed) if rng.random() < 0.7 else changed


def change_member(name: str, content: bytes, rng: Rng) -> bytes:
    """A member of a zip by what it holds; its bytes where nobody knows."""
    for ending, change in BY_ENDING.items():
        if name.endswith(ending) or (name == "data" and ending == ".json"):
            return change(content, rng)
    return one_of(rng, list(RAW.values()))(content or b"-", rng)


def change_safetensors(content: bytes, rng: Rng) -> bytes:
    """A safetensors file with another header, other settings, or other numbers."""
    size = int.from_bytes(content[:8], "little")
    header, numbers = json.loads(content[8 : 8 + size]), content[8 + size :]
    metadata = header["__metadata__"]
    metadata.pop(KEY, None)
    what = rng.integers(4)
    if what == 0:
        header = change_plain(header, rng, nasty_plain)
    elif what == 1:
        metadata["settings"] = change_json(metadata["settings"].encode(), rng).decode("utf-8", "surrogatepass")
    elif what == 2:
        header["__metadata__"] = change_plain(metadata, rng, lambda value, rng: str(one_of(rng, NASTY)))
    else:
        values = np.frombuffer(numbers, np.float32).copy()
        values[int(rng.integers(len(values)))] = one_of(rng, [np.nan, np.inf, 1e38, -1e38, -1.0, 0.0, 1e-42])
        numbers = values.tobytes()
    sealed = rng.random() < 0.7 and isinstance(header.get("__metadata__"), dict)
    if sealed:
        header["__metadata__"][KEY] = BLANK
    text = json.dumps(header).replace('"@DEEP@"', DEEP).encode()
    changed = len(text).to_bytes(8, "little") + text + numbers
    return seal(changed) if sealed else changed


def change_hdf5(content: bytes, rng: Rng) -> bytes:
    """An HDF5 file with one array or attribute changed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.hdf5"
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            name = one_of(rng, names)
            node = file[name]
            if rng.random() < 0.2 and len(node.attrs):
                node.attrs[one_of(rng, list(node.attrs))] = one_of(rng, [-1, 10**12, np.nan, "x", [], "{", b"\xff"])
                return _closed(file, path)
            shape = node.shape if isinstance(node, h5py.Dataset) else (3,)
            del file[name]
            what = rng.integers(8)
            if what == 0:
                file.create_group(name)
            elif what == 1:
                file.create_dataset(name, (10**9, *shape[1:]), "f4", chunks=(1, *shape[1:]), fillvalue=0)
            elif what == 2:
                file[name] = np.array(["x"] * 3, dtype="S")
            elif what < 7:
                value = one_of(rng, [np.nan, np.inf, 1e38, 0.0, 130.0])
                file[name] = np.full(shape, value, one_of(rng, ["f2", "f4", "f8"]))
        return path.read_bytes()


def _closed(file: h5py.File, path: Path) -> bytes:
    file.close()
    return path.read_bytes()


BY_ENDING: dict[str, Callable[[bytes, Rng], bytes]] = {
    ".zip": change_zip,
    ".npz": change_zip,
    ".pt": change_zip,
    ".safetensors": change_safetensors,
    ".json": change_json,
    ".hdf5": change_hdf5,
    ".pth": change_tensors,
    ".npy": change_array,
    ".csv": change_text,
    ".toml": change_text,
    ".txt": change_text,
}
