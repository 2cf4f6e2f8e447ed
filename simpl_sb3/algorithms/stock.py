"""
Algorithms of SB3 and sb3-contrib as methods use them: their own loops and updates, with files that hold no pickles.

::

    data                 JSON: class, settings, skills, names of the training tasks, counters
    weights.safetensors  the policy's tensors, and SAC's entropy coefficient
    skills.safetensors   the skills' tensors

The file is sealed (``simpl_sb3.seals``). A model goes on from its weights with new optimisers.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch as th
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from sb3_contrib import RecurrentPPO
from stable_baselines3 import SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from simpl_sb3.algorithms.arrays import existing, with_ending
from simpl_sb3.algorithms.checks import as_callbacks
from simpl_sb3.algorithms.files import check_finite, member
from simpl_sb3.algorithms.progress import SkillProgressBar
from simpl_sb3.algorithms.tasks import default_timesteps
from simpl_sb3.errors import ModelFileError, SettingsError, SimplError
from simpl_sb3.experience.goal_vec_env import SkillHerReplayBuffer
from simpl_sb3.files import write_atomically
from simpl_sb3.interrupts import uninterrupted
from simpl_sb3.seals import BLANK, open_zip, seal
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.tensor_files import check_tensors

__all__ = ["GoalSAC", "StockFile", "StockModel", "TrialPPO", "read_stock", "restored_policy"]

SCHEMA_VERSION = 1
MAX_DATA_BYTES, MAX_TENSOR_BYTES = 1 << 24, 1 << 31
POLICY = "policy."
ENTROPY = "log_ent_coef"


class StockModel(BaseAlgorithm):
    """
    What ``meta-train`` asks of a model, for a class that stands before SB3's: ``class GoalSAC(StockModel, SAC)``.

    :ivar skills: what its environment's actions are
    :ivar settings: all settings that it was made with, as plain data
    :ivar task_names: names of the training tasks
    """

    skills: Skills
    settings: Mapping[str, Any]
    task_names: tuple[str, ...]

    def describe(self, skills: Skills, settings: Mapping[str, Any], task_names: tuple[str, ...]) -> Self:
        """Tell the model what its file is to say."""
        self.skills, self.settings, self.task_names = skills, dict(settings), task_names
        return self

    def learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int | None = None,
        tb_log_name: str = "run",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """As in SB3, with this library's progress bar; ``log_interval`` is an episode of each environment."""
        bar = [SkillProgressBar()] if progress_bar else []
        interval = log_interval or (self.n_envs if isinstance(self, SAC) else 1)
        try:
            callbacks = [*as_callbacks(callback), *bar]
            super().learn(total_timesteps, callbacks, interval, tb_log_name, reset_num_timesteps)  # type: ignore[safe-super]
            return self
        finally:
            for shown in bar:
                shown.close()

    def train(self, *args: Any, **kwargs: Any) -> None:
        """As in SB3; signals wait until a round of updates is whole."""
        with uninterrupted():
            super().train(*args, **kwargs)  # type: ignore[misc]

    def default_timesteps(self) -> int:
        """Skills of a meta-training where nothing is said: 32 episodes of full length for each training task."""
        assert self.env is not None
        return default_timesteps(self.env, self.skills.horizon)

    def used_settings(self) -> dict[str, Any]:
        """All settings, as plain data."""
        return dict(self.settings)

    def metrics(self) -> dict[str, Any]:
        """What came of the training so far."""
        told = list(self.ep_success_buffer or [])
        success = {"success_rate": sum(map(float, told)) / len(told)} if told else {}
        return {"timesteps": self.num_timesteps, "n_updates": int(getattr(self, "_n_updates", 0)), **success}

    def weights(self) -> dict[str, th.Tensor]:
        """Everything that was learned, by name."""
        tensors = {POLICY + name: tensor for name, tensor in self.policy.state_dict().items()}
        entropy = getattr(self, ENTROPY, None)
        return tensors if entropy is None else {**tensors, ENTROPY: entropy.detach()}

    def take_weights(self, tensors: Mapping[str, th.Tensor]) -> None:
        """
        Go on from the weights of a model with the same settings.

        :raises ModelFileError: for weights of other sizes
        """
        check_tensors(tensors, self.weights())
        self.policy.load_state_dict(_of_policy(tensors))
        if ENTROPY in tensors:
            with th.no_grad():
                getattr(self, ENTROPY).copy_(tensors[ENTROPY])

    def save(self, path: Any, exclude: Any = None, include: Any = None) -> None:
        """
        Write settings as JSON and weights as tensors, whole or not at all; never a pickle.

        :param path: a path; ".zip" is appended where it has no ending
        :param exclude: SB3's; refused, and so is ``include``
        :raises DivergenceError: for numbers that are not finite
        :raises SettingsError: for what cannot be written without a pickle
        """
        if exclude or include:
            raise SettingsError("save(exclude=..., include=...) is for pickled parts: expected save(path).")
        weights = self.weights()
        check_finite(weights)
        data = {
            "class": type(self).__name__,
            "schema_version": SCHEMA_VERSION,
            "settings": self.settings,
            "skills": self.skills.settings,
            "tasks": self.task_names,
            "num_timesteps": self.num_timesteps,
            "n_updates": int(getattr(self, "_n_updates", 0)),
        }
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data", json.dumps(data, indent=1))
            archive.writestr("weights.safetensors", _bytes(weights))
            archive.writestr("skills.safetensors", _bytes(self.skills.state_dict()))
            archive.comment = BLANK.encode()
        write_atomically(with_ending(path, ".zip"), seal(content.getvalue()))

    @classmethod
    def load(cls, *args: Any, **kwargs: Any) -> Self:
        """
        Refused: SB3's files are pickles, and those of :meth:`save` are read by :func:`read_stock`.

        :raises SettingsError: always
        """
        raise SettingsError(f"{cls.__name__}.load would unpickle: expected read_stock(path, {cls.__name__}).")


class GoalSAC(StockModel, SAC):
    """SB3's SAC with hindsight, meta-trained."""

    replay_buffer: SkillHerReplayBuffer

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """
        As in SB3, but not before the first episode has ended: without hindsight there is neither reward nor end, and
        nothing that values could be learned from.
        """
        if self.replay_buffer.has_episodes:
            super().train(gradient_steps, batch_size)


class TrialPPO(StockModel, RecurrentPPO):
    """sb3-contrib's RecurrentPPO, meta-trained."""


@dataclass(frozen=True)
class StockFile:
    """
    A saved model as it was read, its skills checked.

    :param path: of the file
    :param settings: that the model was made with
    :param skills: what its environment's actions are
    :param task_names: names of the training tasks
    :param tensors: everything that was learned, by name
    """

    path: str
    settings: Mapping[str, Any]
    skills: Skills
    task_names: tuple[str, ...]
    tensors: Mapping[str, th.Tensor]

    expected_members: ClassVar[tuple[str, ...]] = ("data", "weights.safetensors", "skills.safetensors")


def read_stock(path: Path | str, kind: type[StockModel], device: str = "cpu") -> StockFile:
    """
    Read what ``StockModel.save`` wrote; it never unpickles.

    :param kind: class that it was saved from
    :param device: of skills and tensors
    :raises ModelFileError: for a file that is missing, corrupt, or of another kind
    """
    path = existing(path, ".zip", "model file")
    try:
        with open_zip(path) as archive:
            data = json.loads(member(archive, "data", MAX_DATA_BYTES))
            given, version = data["class"], data["schema_version"]
            if given != kind.__name__:
                raise ModelFileError(f"{path} holds a {given}: expected a {kind.__name__}.")
            if version != SCHEMA_VERSION:
                raise ModelFileError(f"{path} has schema version {version}: this release reads {SCHEMA_VERSION}.")
            weights, skills = (
                from_safetensors(member(archive, name, MAX_TENSOR_BYTES)) for name in StockFile.expected_members[1:]
            )
        found = _skills(data["skills"], skills, device)
        settings, names = dict(data["settings"]), tuple(map(str, data["tasks"]))
    except SimplError as error:
        raise ModelFileError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError) as error:
        raise ModelFileError(f"{path} is not a saved {kind.__name__}: {type(error).__name__}: {error}") from None
    except zipfile.BadZipFile as error:
        raise ModelFileError(f"{path} is not a saved {kind.__name__}: {error}") from None
    return StockFile(str(path), settings, found, names, {name: part.to(device) for name, part in weights.items()})


def restored_policy(file: StockFile, policy_class: type[BasePolicy], *spaces: Any, **kwargs: Any) -> Any:
    """
    The policy of a file, for acting.

    :param policy_class: of the policy
    :param spaces: observation and action space
    :param kwargs: of the policy's constructor
    :raises ModelFileError: for tensors that do not fit the settings
    """
    expected = _of_policy(file.tensors)
    try:
        _check_sizes(kwargs, expected)
        policy = policy_class(*spaces, _no_rate, **kwargs)
        check_tensors(expected, policy.state_dict())
    except ModelFileError as error:
        raise ModelFileError(f"{file.path}: its tensors do not fit its settings: {error}.") from None
    policy.load_state_dict(expected)
    policy.to(file.skills.observation_mean.device)
    policy.set_training_mode(False)
    return policy


def _check_sizes(kwargs: Mapping[str, Any], tensors: Mapping[str, th.Tensor]) -> None:
    """
    Compare sizes before memory is taken for them.

    :raises ModelFileError: for more layers, or wider ones, than a file has
    """
    widest = max((size for tensor in tensors.values() for size in tensor.shape), default=0)
    layers = list(kwargs["net_arch"])
    if len(layers) > len(tensors) or max([0, *layers, kwargs.get("lstm_hidden_size", 0)]) > widest:
        raise ModelFileError(f"there are no {len(layers)} layers of {layers}")


def _no_rate(progress: float) -> float:
    """The learning rate of a policy that only acts."""
    return 0.0


def _of_policy(tensors: Mapping[str, th.Tensor]) -> dict[str, th.Tensor]:
    return {name.removeprefix(POLICY): part for name, part in tensors.items() if name.startswith(POLICY)}


def _bytes(tensors: Mapping[str, th.Tensor]) -> bytes:
    return to_safetensors({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})


def _skills(settings: Mapping[str, Any], tensors: Mapping[str, th.Tensor], device: str) -> Skills:
    """
    :raises ModelFileError: for tensors that are not those of such skills
    """
    with th.device("meta"):
        skills = Skills.from_settings(settings)
    check_tensors(tensors, skills.state_dict())
    skills.load_state_dict(dict(tensors), assign=True)
    skills.check_buffers()
    return skills.to(device).freeze()
