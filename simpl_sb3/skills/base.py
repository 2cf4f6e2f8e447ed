"""``Skills``: what the algorithms, the wrapper and the vector environment ask of skills, and nothing more."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np
import torch as th
from safetensors.torch import save as to_safetensors
from stable_baselines3.common.utils import get_device
from torch import nn

from simpl_sb3.demonstrations.flat import blocks
from simpl_sb3.errors import ModelFileError, SettingsError
from simpl_sb3.files import write_atomically
from simpl_sb3.seals import BLANK, KEY, seal
from simpl_sb3.skills.folded import FoldedPolicy
from simpl_sb3.skills.tensor_files import content_hash, read_header, read_safetensors

__all__ = ["SKILL_BOUND", "Skills"]

SKILL_BOUND = 3.0  # a skill is a standard normal vector: three standard deviations hold 99.7 % of each coordinate
"""Half-width of the space in which an agent chooses z, standard deviations."""
SCHEMA_VERSION = 1
SMALLEST_STD = 1e-12  # in the observations' units; below it, dividing leaves float32

_KINDS: dict[str, type["Skills"]] = {}
_HOMES = {
    "SkillModel": "simpl_sb3.skills.model",
    "PrimitiveActions": "simpl_sb3.skills.primitive",
    "ClonedActions": "simpl_sb3.skills.cloned",
    "DistilledSkills": "simpl_sb3.skills.distilled",
}


class Skills(nn.Module, ABC):
    """
    A skill z is what an agent chooses once per ``horizon`` env steps; ``act`` turns it into actions, ``prior`` says
    which skills are likely in a state.

    A subclass is a kind of skills. It writes :meth:`prior` and :meth:`folded`, and is rebuilt from its ``settings``.

    :param observation_space: one-dimensional Box
    :param action_space: one-dimensional bounded Box
    :param horizon: H, env steps per skill
    :param skill_dim: Z, numbers per skill
    :param action_bound: half-width of the space in which an agent chooses z, where nobody asks for another
    :param observation_key: which part of the environment's Dict observations the skills read, else None
    :param dataset_id: of the demonstrations, where known
    :param env_id: of the environment that was demonstrated, where known
    :param settings: the subclass's own settings, JSON-able
    """

    observation_mean: th.Tensor
    observation_std: th.Tensor
    action_centre: th.Tensor
    action_scale: th.Tensor
    kind: ClassVar[str] = "Skills"
    """The class's name, under which files and ``settings["kind"]`` know it."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = cls.__name__
        _KINDS[cls.kind] = cls

    def __init__(
        self,
        observation_space: gym.spaces.Box,
        action_space: gym.spaces.Box,
        *,
        horizon: int,
        skill_dim: int,
        action_bound: float,
        observation_key: str | None,
        dataset_id: str | None,
        env_id: str | None,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__()
        _check_spaces(observation_space, action_space)
        self.observation_space, self.action_space = observation_space, action_space
        self.horizon, self.skill_dim, self.action_bound = horizon, skill_dim, action_bound
        self.observation_key, self.dataset_id, self.env_id = observation_key, dataset_id, env_id
        self.settings: dict[str, Any] = {
            "kind": self.kind,
            "observation_space": _space_to_json(observation_space),
            "action_space": _space_to_json(action_space),
            "observation_key": observation_key,
            "dataset_id": dataset_id,
            "env_id": env_id,
            **{name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()},
        }
        self.register_buffer("observation_mean", th.zeros(observation_space.shape[0]))
        self.register_buffer("observation_std", th.ones(observation_space.shape[0]))
        low, high = th.as_tensor(action_space.low).float(), th.as_tensor(action_space.high).float()
        self.register_buffer("action_centre", (low + high) / 2)
        self.register_buffer("action_scale", (high - low) / 2)
        self._frozen = False

    # ------------------------------------------------------------ what a kind of skills writes

    @abstractmethod
    def prior(self, observations: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        :param observations: in the environment's units, (B, O)
        :return: mean (B, Z) and standard deviation (B, Z) of p(z | s)
        """

    @abstractmethod
    def folded(self) -> FoldedPolicy:
        """
        The low-level policy as it is now, in numpy, for those who call it at every env step. It does not follow later
        changes of the weights.
        """

    def encode(self, observations: th.Tensor, actions: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        Which skill some actions are, for kinds of skills that know it.

        :param observations: in the environment's units, (B, H + 1, O)
        :param actions: in the environment's units, (B, H, A)
        :return: mean (B, Z) and standard deviation (B, Z) of q(z | window)
        :raises SettingsError: for a kind that does not know
        """
        raise SettingsError(
            f"{self.kind} does not say which skills actions are: expected the skills (latents) themselves."
        )

    def features(self, observations: th.Tensor) -> th.Tensor:
        """
        What networks read in place of observations: the demonstrations' mean becomes 0, their standard deviation 1.

        :param observations: in the environment's units, (..., O)
        :return: (..., F); here F is O
        """
        return (observations - self.observation_mean) / self.observation_std

    @property
    def feature_dim(self) -> int:
        """F, the size of what :meth:`features` returns."""
        return int(self.observation_mean.shape[0])

    def standardise(self, observations: th.Tensor) -> th.Tensor:
        """Another name of :meth:`features`."""
        return self.features(observations)

    # ------------------------------------------------------------ use

    def act(self, observations: np.ndarray, z: np.ndarray) -> np.ndarray:
        """
        The low-level policy in evaluation mode, for a few calls; for many, call what :meth:`folded` returns.

        :param observations: in the environment's units, (B, O)
        :param z: skills, (B, Z)
        :return: actions inside the action space, (B, A) float32
        """
        return self.folded()(observations, z)

    def scale_actions(self, actions: th.Tensor) -> th.Tensor:
        """
        :param actions: in the environment's units, (..., A)
        :return: the action space's bounds mapped to [-1, 1], (..., A)
        """
        return (actions - self.action_centre) / self.action_scale

    def freeze(self) -> Self:
        """
        Makes the model a constant: no gradients, and evaluation mode even inside a module that is set to train.

        :return: itself
        """
        self.requires_grad_(False)
        self._frozen = True
        return self.eval()

    def unfreeze(self) -> Self:
        """
        Makes the model learn (again): gradients and training mode.

        :return: itself
        """
        self.requires_grad_(True)
        self._frozen = False
        return self.train()

    def train(self, mode: bool = True) -> Self:
        """
        As in torch; a frozen model stays in evaluation mode.

        :param mode: training (True) or evaluation mode
        """
        return super().train(mode and not self._frozen)

    # ------------------------------------------------------------ statistics of the observations

    def set_observation_statistics(self, mean: np.ndarray, std: np.ndarray) -> None:
        """
        Sets what :meth:`features` subtracts and divides by.

        :param mean: (O,)
        :param std: at least 1e-12, (O,)
        :raises SettingsError: for other shapes, or numbers that cannot be divided by
        """
        shape = tuple(self.observation_mean.shape)
        usable = np.isfinite(mean).all() and np.isfinite(std).all() and np.min(std) >= SMALLEST_STD
        if np.shape(mean) != shape or np.shape(std) != shape or not usable:
            raise SettingsError(
                f"observation statistics of shapes {np.shape(mean)} and {np.shape(std)}: expected finite numbers of "
                f"shape {shape}, and standard deviations of at least {SMALLEST_STD:g}."
            )
        self.observation_mean.copy_(th.as_tensor(mean))
        self.observation_std.copy_(th.as_tensor(std))

    def fit_observation_statistics(self, observations: np.ndarray, min_std: float = 1e-6) -> None:
        """
        Sets the statistics to those of data.

        :param observations: (rows, O)
        :param min_std: smallest standard deviation to divide by; an observation whose own is below 1e-6 counts as
            constant and is divided by 1
        """
        mean = _mean(blocks(observations), len(observations))
        std = np.sqrt(_mean((np.square(block - mean) for block in blocks(observations)), len(observations)))
        self.set_observation_statistics(mean, np.where(std > 1e-6, np.maximum(std, min_std), 1.0))

    # ------------------------------------------------------------ files

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """
        Skills of the kind that ``settings["kind"]`` names; files from before there were kinds hold a ``SkillModel``.

        :param settings: :attr:`settings` of other skills
        :return: skills of the same sizes with random weights
        :raises SettingsError: when the settings do not describe skills of this kind
        """
        try:
            arguments = dict(settings)
            found = _kind_named(arguments.pop("kind", "SkillModel"))
            if not issubclass(found, cls):
                raise SettingsError(f"the kind is {found.kind}, expected {cls.kind}")
            observation_space = _space_from_json(arguments.pop("observation_space"))
            action_space = _space_from_json(arguments.pop("action_space"))
            return found(observation_space, action_space, **arguments)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, AssertionError) as error:
            raise SettingsError(f"these settings do not describe a skill model ({error!r}): {settings}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Writes one safetensors file, whole or not at all: weights as tensors, settings as JSON, no pickled code.

        :param path: the file; an existing one is replaced
        """
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        metadata = {
            "kind": f"simpl_sb3.{self.kind}",
            "schema_version": str(SCHEMA_VERSION),
            "settings": json.dumps(self.settings, allow_nan=False),
            KEY: BLANK,
        }
        write_atomically(path, seal(to_safetensors(tensors, metadata)))

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: th.device | str = "cpu") -> Self:
        """
        Reads what :meth:`save` wrote; everything is checked before any of it is taken.

        :param path: the file
        :param device: where the weights go; "auto" takes a GPU if there is one
        :return: the skills, frozen
        :raises ModelFileError: for a missing, corrupt or foreign file, or one of a newer schema
        """
        metadata = read_header(path)
        _check_header(path, metadata, cls)
        try:
            with th.device("meta"):  # sizes are compared with the file's before memory is taken
                skills = cls.from_settings(json.loads(metadata["settings"]))
            tensors = read_safetensors(path, skills.state_dict())
            if metadata.get("sha256", content_hash(tensors)) != content_hash(tensors):
                raise ModelFileError("its numbers are not those that were saved (SHA-256)")
            skills.load_state_dict(tensors, assign=True)
            skills.check_buffers()
        except (KeyError, ValueError, RuntimeError, RecursionError) as error:
            raise ModelFileError(f"{path} does not fit its own settings: {error}") from error
        return skills.to(get_device(device)).freeze()

    def check_buffers(self) -> None:
        """
        Check statistics and scales, as after tensors of a file were taken.

        :raises ModelFileError: for standard deviations that cannot be divided by, or scales of another action space
        """
        low, high = (th.as_tensor(bound).float() for bound in (self.action_space.low, self.action_space.high))
        if self.observation_std.min() < SMALLEST_STD:
            raise ModelFileError(f"its observation_std holds numbers below {SMALLEST_STD:g}")
        if not (th.allclose(self.action_centre, (low + high) / 2) and th.allclose(self.action_scale, (high - low) / 2)):
            raise ModelFileError("its action_centre and action_scale are not those of its action space")


def _mean(parts: Iterable[np.ndarray], n_rows: int) -> np.ndarray:
    """The mean of rows that come in parts, added one after another as NumPy adds those of one array."""
    total = np.zeros(0)
    for part in parts:
        total = np.concatenate([total[None], part] if total.size else [part], dtype=np.float64).sum(axis=0)
    return total / n_rows


def _kind_named(kind: Any) -> type[Skills]:
    if kind in _HOMES:
        import_module(_HOMES[kind])
    if kind not in _KINDS:
        raise SettingsError(f"the kind of skills is {kind!r}, expected one of {', '.join({**_HOMES, **_KINDS})}")
    return _KINDS[kind]


def _check_header(path: Any, metadata: Mapping[str, str], expected: type[Skills]) -> None:
    given = metadata.get("kind", "an unknown kind")
    try:
        fits = given.startswith("simpl_sb3.") and issubclass(_kind_named(given.removeprefix("simpl_sb3.")), expected)
    except SettingsError:
        fits = False
    if not fits:
        raise ModelFileError(f"{path} holds {given}, expected simpl_sb3.{expected.kind}")
    if metadata.get("schema_version") != str(SCHEMA_VERSION):
        raise ModelFileError(
            f"{path} has schema version {metadata.get('schema_version')}, this library reads {SCHEMA_VERSION}"
        )


def _check_spaces(observation_space: Any, action_space: Any) -> None:
    for name, space in (("observation", observation_space), ("action", action_space)):
        if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1 or not space.shape[0]:
            raise SettingsError(f"the {name} space is {space}, expected a one-dimensional Box")
    if not (action_space.is_bounded() and (action_space.low < action_space.high).all()):
        raise SettingsError(f"the action space is {action_space}, expected finite bounds, the lower below the upper")


def _space_to_json(space: gym.spaces.Box) -> dict[str, Any]:
    def bounds(values: np.ndarray) -> list[float | str]:
        return [float(value) if np.isfinite(value) else str(float(value)) for value in values]

    return {"low": bounds(space.low), "high": bounds(space.high), "dtype": str(space.dtype)}


def _space_from_json(space: Mapping[str, Any]) -> gym.spaces.Box:
    dtype: Any = np.dtype(space["dtype"])
    low, high = (np.array([float(value) for value in space[name]], dtype=dtype) for name in ("low", "high"))
    return gym.spaces.Box(low, high, dtype=dtype)
