"""
Checkpoints from which a training goes on to the bit, also after it was killed.

::

    rows_00000007.npz     rows that all buffers got since the chunk before; written once, never changed
    state_00000012.zip    the model with its training state, and which chunks hold its rows; the two newest are kept

A chunk is written before the state that names it, and each file whole or not at all.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import GymEnv

from simpl_sb3.algorithms import files
from simpl_sb3.algorithms.arrays import arrays_of, npz_bytes
from simpl_sb3.algorithms.base import SkillAlgorithm
from simpl_sb3.algorithms.training_state import capture
from simpl_sb3.errors import ModelFileError
from simpl_sb3.files import write_atomically

__all__ = ["TrainingCheckpointCallback", "load_checkpoint", "newest_checkpoint"]

STATE, ROWS = "state_{:08d}.zip", "rows_{:08d}.npz"
N_KEPT = 2
Model = TypeVar("Model", bound=SkillAlgorithm)


class TrainingCheckpointCallback(BaseCallback):
    """
    Writes a checkpoint now and then, between two meta-iterations (or rounds of an agent) or two updates. To go on::

        model = load_checkpoint(SkillPriorPEARL, folder, env)
        model.learn(total - model.num_timesteps, TrainingCheckpointCallback(folder), reset_num_timesteps=False)

    :param folder: of the checkpoints; the callback removes older ones of its own
    :param seconds: of training between two checkpoints, at least
    :param more: functions that give plain data to keep with each, by name, such as a caller's own counters
    :param verbose: 1 prints each
    """

    def __init__(
        self,
        folder: str | Path,
        seconds: float = 60.0,
        more: Mapping[str, Callable[[], Any]] = {},
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose)
        self.folder, self.seconds, self.more = Path(folder), seconds, more

    def _on_training_start(self) -> None:
        model: Any = self.model
        newest = newest_checkpoint(self.folder)
        taken_up = model.checkpoint
        if taken_up is None or taken_up["folder"] != self.folder.resolve():  # its chunks are not here
            taken_up = {"number": 0 if newest is None else int(newest.stem.removeprefix("state_")), "chunks": []}
        self._number: int = taken_up["number"]
        self._chunks: list[dict[str, Any]] = list(taken_up["chunks"])
        self._last = time.perf_counter()
        model.border_calls.append(self._write_if_due)

    def _on_step(self) -> bool:
        return True

    def _write_if_due(self) -> None:
        if time.perf_counter() - self._last >= self.seconds:
            self.write()
            self._last = time.perf_counter()

    def write(self) -> Path:
        """
        A checkpoint of the model as it is; at a border only.

        :return: the file of the state
        """
        model, earlier = self.model, self._chunks
        assert isinstance(model, SkillAlgorithm)
        before = self._chunks[-1]["written"] if self._chunks else {}
        state = capture(model, {name: np.array(numbers, np.int64) for name, numbers in before.items()})
        self._number += 1
        rows = {f"{name}.{part}": array for name, parts in state.rows.items() for part, array in parts.items()}
        chunk: dict[str, Any] = {
            "file": ROWS.format(self._number),
            "written": {name: parts["written"].tolist() for name, parts in state.rows.items()},
        }
        self._chunks = [kept for kept in earlier if not self._overwritten(kept["written"])] + [chunk]
        write_atomically(self.folder / chunk["file"], npz_bytes(rows))
        state.rows = {}
        more = {name: read() for name, read in self.more.items()}
        state.data["checkpoint"] = {"number": self._number, "chunks": self._chunks, "more": more}
        model.checkpoint = {**state.data["checkpoint"], "folder": self.folder.resolve()}
        path = self.folder / STATE.format(self._number)
        files.save(model, path, state)
        self._remove_older({each["file"] for each in (*earlier, *self._chunks)})
        if self.verbose >= 1:
            print(f"Checkpoint {path} after {model.num_timesteps} skills.")  # noqa: T201 - as SB3's CheckpointCallback
        return path

    def _overwritten(self, written: dict[str, list[int]]) -> bool:
        """Whether the rings hold none of a chunk's rows any longer."""
        buffers = self.model._buffers()  # type: ignore[attr-defined]
        return all(
            bool((np.array(written[name]) <= buffer.written - buffer.capacity).all())
            for name, buffer in buffers.items()
        )

    def _remove_older(self, needed: set[str]) -> None:
        """All but the two newest states, and the chunks that neither of them names."""
        for old in sorted(self.folder.glob("state_????????.zip"))[:-N_KEPT]:
            old.unlink(missing_ok=True)
        for rows in self.folder.glob("rows_????????.npz"):
            if rows.name not in needed:
                rows.unlink(missing_ok=True)


def newest_checkpoint(folder: str | Path) -> Path | None:
    """The newest state in a folder; None where there is none."""
    states = sorted(Path(folder).glob("state_????????.zip"))
    return states[-1] if states else None


def load_checkpoint(
    kind: type[Model], folder: str | Path, env: GymEnv, device: th.device | str = "auto", **settings: Any
) -> Model:
    """
    The model of the newest checkpoint that can be read, ready for ``learn(..., reset_num_timesteps=False)``.

    :param kind: the model's class
    :param folder: of the checkpoints
    :param env: as many environments as before, for a training that goes on to the bit
    :param device: of the networks
    :param settings: as ``kind.load`` takes them, such as ``verbose``
    :raises ModelFileError: where there is no checkpoint, or none that can be read
    """
    states = sorted(Path(folder).glob("state_????????.zip"), reverse=True)
    if not states:
        raise ModelFileError(f"No checkpoint in {folder}: expected state_00000001.zip or another of that kind.")
    for path in states:
        try:
            return _load(kind, path, env, device, settings)
        except ModelFileError:
            if path == states[-1]:
                raise
    raise AssertionError


def _load(kind: type[Model], path: Path, env: GymEnv, device: th.device | str, settings: dict[str, Any]) -> Model:
    model = kind.load(path, env=env, device=device, **settings)
    buffers = model._buffers()
    try:
        assert model._state is not None
        model.checkpoint = {**model._state.data["checkpoint"], "folder": path.parent.resolve()}
        for chunk in model.checkpoint["chunks"]:
            rows = arrays_of((path.parent / chunk["file"]).read_bytes())
            for name, buffer in buffers.items():
                buffer.append(
                    {part.removeprefix(f"{name}."): rows[part] for part in rows if part.startswith(f"{name}.")}
                )
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except Exception as error:  # noqa: BLE001 - a damaged file fails in many ways
        raise ModelFileError(f"{path} is no checkpoint: {type(error).__name__}: {error}") from None
    return model
