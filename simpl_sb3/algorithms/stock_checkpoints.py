"""
Checkpoints from which a stock algorithm's training goes on to the bit, also after it was killed.

::

    rows_00000007.npz     rows that the replay buffer got since the chunk before     written once, never changed
    state_00000012.zip    everything else, and which chunks hold the rows            the two newest are kept

    in a state: training.json    counters, random generators, metrics of the latest episodes
                training.npz     arrays: environments, the episodes that run, a recurrent policy's memory
                learner.pth      tensors: networks and optimisers

Nothing is pickled, and all files are sealed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm

from simpl_sb3.algorithms.checkpoint_folder import RowChunks, newest_readable, number_of, state_bytes
from simpl_sb3.algorithms.checkpoints import TrainingCheckpointCallback
from simpl_sb3.algorithms.files import MAX_MEMBER_BYTES, check_finite, member
from simpl_sb3.algorithms.stock_state import ReplayRows, capture, check_fits, take, take_last
from simpl_sb3.algorithms.training_state import TrainingState
from simpl_sb3.files import write_atomically
from simpl_sb3.npz import arrays_of
from simpl_sb3.seals import open_zip
from simpl_sb3.skills.tensor_files import check_optimizer_state, check_tensors, read_tensors

__all__ = ["StockCheckpointCallback", "learned", "take_learned", "take_up"]

POLICY, ENTROPY = "policy", "log_ent_coef"
Stock = TypeVar("Stock", bound=BaseAlgorithm)


class StockCheckpointCallback(TrainingCheckpointCallback):
    """
    Writes a checkpoint now and then, between two rollouts. To go on, with a model that was made as the first one::

        take_up(model, folder)
        model.learn(total - model.num_timesteps, StockCheckpointCallback(folder), reset_num_timesteps=False)

    Parameters are those of ``TrainingCheckpointCallback``.
    """

    def _on_training_start(self) -> None:
        self._begin(getattr(self.model, "checkpoint", None))
        state = getattr(self.model, "_taken_up", None)
        if state is not None:
            take_last(self.model, state)
            self.model._taken_up = None  # type: ignore[attr-defined]

    def _on_rollout_start(self) -> None:
        self._write_if_due()

    def _buffers(self) -> Mapping[str, Any]:
        return _rows_of(self.model)

    def _capture(self, written: Mapping[str, Any]) -> TrainingState:
        return capture(self.model, _rows_of(self.model).get("replay"), written)

    def _save(self, path: Path, state: TrainingState) -> None:
        tensors = learned(self.model)
        check_finite(tensors)
        write_atomically(path, state_bytes(state.data, state.arrays, {"learner.pth": tensors}))


def _rows_of(model: Any) -> dict[str, ReplayRows]:
    return {"replay": ReplayRows(model)} if hasattr(model, "replay_buffer") else {}


def _optimizers(model: Any) -> dict[str, th.optim.Optimizer]:
    """All optimisers of SAC or a policy-gradient method, by name."""
    parts = {"policy": model.policy, "actor": getattr(model, "actor", None), "critic": getattr(model, "critic", None)}
    found = {name: getattr(part, "optimizer", None) for name, part in parts.items()}
    found["entropy"] = getattr(model, "ent_coef_optimizer", None)
    return {name: optimizer for name, optimizer in found.items() if optimizer is not None}


def learned(model: Any) -> dict[str, Any]:
    """Networks and optimisers."""
    entropy = getattr(model, ENTROPY, None)
    return {
        POLICY: model.policy.state_dict() | ({} if entropy is None else {ENTROPY: entropy.detach()}),
        **{f"{name}.optimizer": each.state_dict() for name, each in _optimizers(model).items()},
    }


def take_learned(model: Any, tensors: Mapping[str, Any]) -> None:
    """
    Take what :func:`learned` gave; all is checked before anything is taken.

    :raises ModelFileError: for tensors of another model
    """
    _take_learned(model, tensors, _checked(model, tensors))


def _checked(model: Any, tensors: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The optimisers' states of a model whose networks have been checked as well."""
    check_tensors(tensors[POLICY], learned(model)[POLICY])
    optimizers = _optimizers(model)
    return {name: check_optimizer_state(tensors[f"{name}.optimizer"], each) for name, each in optimizers.items()}


def _take_learned(model: Any, tensors: Mapping[str, Any], moments: Mapping[str, dict[str, Any]]) -> None:
    policy = dict(tensors[POLICY])
    if (entropy := policy.pop(ENTROPY, None)) is not None:
        with th.no_grad():
            model.log_ent_coef.copy_(entropy)
    model.policy.load_state_dict(policy)
    for name, each in _optimizers(model).items():
        each.load_state_dict(moments[name])


def take_up(model: Stock, folder: Path) -> Stock:
    """
    Bring a model that has not learned yet where the newest checkpoint that can be read was.

    :return: the model
    :raises ModelFileError: where there is none that can be read
    """
    newest_readable(folder, lambda path: _take_up(model, path))
    return model


def _take_up(model: Any, path: Path) -> None:
    with open_zip(path, packed=False) as archive:
        data = json.loads(member(archive, "training.json"))
        state = TrainingState(data, arrays_of(member(archive, "training.npz")))
        tensors = read_tensors(member(archive, "learner.pth", MAX_MEMBER_BYTES["learner.pth"]))
    checkpoint = data["checkpoint"]
    check_fits(model, state)
    moments = _checked(model, tensors)
    rows = _rows_of(model)
    for kept in rows.values():
        kept.buffer.reset()
    RowChunks(path.parent, checkpoint["chunks"]).fill(rows)
    _take_learned(model, tensors, moments)
    take(model, state)
    model.checkpoint = {"number": number_of(path), **checkpoint, "folder": path.parent.resolve()}
    model._taken_up = state
