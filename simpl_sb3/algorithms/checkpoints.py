"""
Checkpoints from which a training goes on to the bit, also after it was killed: a state is the model's file with its
training state, and names the chunks that hold its rows, see ``checkpoint_folder``.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import GymEnv

from simpl_sb3.algorithms import files
from simpl_sb3.algorithms.base import SkillAlgorithm
from simpl_sb3.algorithms.checkpoint_folder import STATE, RowChunks, newest_readable, number_of, remove_older, states
from simpl_sb3.algorithms.training_state import TrainingState, capture

__all__ = ["TrainingCheckpointCallback", "load_checkpoint", "newest_checkpoint"]

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
        self._begin(model.checkpoint)
        model.border_calls.append(self._write_if_due)

    def _begin(self, taken_up: Mapping[str, Any] | None) -> None:
        """Go on from a checkpoint that the model has taken up; None for none."""
        newest = newest_checkpoint(self.folder)
        if taken_up is None or taken_up["folder"] != self.folder.resolve():  # its chunks are not here
            taken_up = {"number": 0 if newest is None else number_of(newest), "chunks": []}
        self._number: int = taken_up["number"]
        self._chunks = RowChunks(self.folder, taken_up["chunks"])
        self._last = time.perf_counter()

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
        model: Any = self.model
        state = self._capture(self._chunks.written())
        self._number += 1
        needed = self._chunks.add(self._number, state.rows, self._buffers()) if state.rows else set()
        state.rows = {}
        more = {name: read() for name, read in self.more.items()}
        state.data["checkpoint"] = {"number": self._number, "chunks": self._chunks.named, "more": more}
        model.checkpoint = {**state.data["checkpoint"], "folder": self.folder.resolve()}
        path = self.folder / STATE.format(self._number)
        self._save(path, state)
        remove_older(self.folder, needed)
        if self.verbose >= 1:
            print(f"Checkpoint {path} after {model.num_timesteps} skills.")  # noqa: T201 - as SB3's CheckpointCallback
        return path

    def _buffers(self) -> Mapping[str, Any]:
        """The model's buffers by name, whose rows are kept in chunks."""
        return self._model()._buffers()

    def _capture(self, written: Mapping[str, Any]) -> TrainingState:
        """The model's state, with the rows that are not on disk."""
        return capture(self._model(), written)

    def _save(self, path: Path, state: TrainingState) -> None:
        """Write a state, whole or not at all."""
        files.save(self._model(), path, state)

    def _model(self) -> SkillAlgorithm:
        assert isinstance(self.model, SkillAlgorithm)
        return self.model


def newest_checkpoint(folder: str | Path) -> Path | None:
    """The newest state in a folder; None where there is none."""
    return next(iter(states(Path(folder))), None)


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
    return newest_readable(Path(folder), lambda path: _load(kind, path, env, device, settings))


def _load(kind: type[Model], path: Path, env: GymEnv, device: th.device | str, settings: dict[str, Any]) -> Model:
    model = kind.load(path, env=env, device=device, **settings)
    buffers = model._buffers()
    assert model._state is not None
    model.checkpoint = {**model._state.data["checkpoint"], "folder": path.parent.resolve()}
    RowChunks(path.parent, model.checkpoint["chunks"]).fill(buffers)
    return model
