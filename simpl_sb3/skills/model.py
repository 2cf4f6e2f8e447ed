"""
SkillModel: encoder q(z | window), closed-loop low-level policy a = f(s, z), and prior p(z | s) (Section 4.1).

::

    window (s0 a0 s1 .. sH) --encoder--> z --+
                                             +--decoder--> a        once per env step, s and z in, a out
                         s0 --prior--> p(z)  s

Observations are standardised and actions scaled to [-1, 1] inside: what goes in and out has the environment's units.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import gymnasium as gym
import numpy as np
import torch as th
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from stable_baselines3.common.utils import get_device
from torch import nn

from simpl_sb3.demonstrations.windows import spaces_match
from simpl_sb3.errors import ModelFileError, SettingsError, SkillMismatchError
from simpl_sb3.files import write_atomically
from simpl_sb3.skills.networks import MLP, FoldedMLP, GaussianHead, make_skill_encoder

__all__ = ["SkillModel"]

FILE_KIND = "simpl_sb3.SkillModel"
SCHEMA_VERSION = 1


class SkillModel(nn.Module):
    """
    Skills of H env steps: what :class:`~simpl_sb3.skills.extractor.SkillExtractor` learns and everything else uses.

    :param observation_space: one-dimensional Box
    :param action_space: one-dimensional bounded Box
    :param horizon: H, env steps per skill
    :param skill_dim: Z
    :param observation_key: which part of the environment's Dict observations the model reads, else None
    :param encoder: "mlp" or "lstm"
    :param encoder_hidden: hidden sizes of the encoder; one number for an LSTM
    :param decoder_hidden: hidden sizes of the low-level policy
    :param prior_hidden: hidden sizes of the prior
    :param norm: "none", "batch" (published) or "layer"
    :param prior_temperature: factor on the standard deviation of :meth:`prior`, once it is learned. Note: 1 in the
        paper; one Gaussian that is fitted to several skills covers what lies between them too, and below 1 it keeps to
        where it is sure
    """

    observation_mean: th.Tensor
    observation_std: th.Tensor
    action_centre: th.Tensor
    action_scale: th.Tensor

    def __init__(
        self,
        observation_space: gym.spaces.Box,
        action_space: gym.spaces.Box,
        *,
        horizon: int = 10,
        skill_dim: int = 10,
        observation_key: str | None = None,
        encoder: str = "mlp",
        encoder_hidden: Sequence[int] = (128, 128, 128),
        decoder_hidden: Sequence[int] = (128, 128, 128, 128),
        prior_hidden: Sequence[int] = (128, 128, 128, 128),
        norm: str = "none",
        prior_temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.prior_temperature = prior_temperature
        self.observation_space, self.action_space = observation_space, action_space
        self.horizon, self.skill_dim, self.observation_key = horizon, skill_dim, observation_key
        self.settings: dict[str, Any] = {
            "observation_space": _space_to_json(observation_space),
            "action_space": _space_to_json(action_space),
            "horizon": horizon,
            "skill_dim": skill_dim,
            "observation_key": observation_key,
            "encoder": encoder,
            "encoder_hidden": list(encoder_hidden),
            "decoder_hidden": list(decoder_hidden),
            "prior_hidden": list(prior_hidden),
            "norm": norm,
            "prior_temperature": prior_temperature,
        }
        observation_dim, action_dim = observation_space.shape[0], action_space.shape[0]
        self.encoder = make_skill_encoder(
            encoder, observation_dim, action_dim, horizon, skill_dim, encoder_hidden, norm
        )
        self.decoder = MLP(observation_dim + skill_dim, decoder_hidden, action_dim, norm)
        self.prior_net = MLP(observation_dim, prior_hidden, 2 * skill_dim, norm)
        self.prior_head = GaussianHead()
        self.register_buffer("observation_mean", th.zeros(observation_dim))
        self.register_buffer("observation_std", th.ones(observation_dim))
        low, high = th.as_tensor(action_space.low).float(), th.as_tensor(action_space.high).float()
        self.register_buffer("action_centre", (low + high) / 2)
        self.register_buffer("action_scale", (high - low) / 2)
        self._frozen = False
        self._fast: _FastDecoder | None = None

    # ------------------------------------------------------------ the three networks

    def encode(self, observations: th.Tensor, actions: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        :param observations: (B, H + 1, O)
        :param actions: (B, H, A)
        :return: mean (B, Z) and standard deviation (B, Z) of q(z | window)
        """
        mean, std = self.encoder(self.standardise(observations), self.scale_actions(actions))
        return mean, std

    def prior(self, observations: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        :param observations: (B, O)
        :return: mean (B, Z) and standard deviation (B, Z) of p(z | s)
        """
        mean, std = self.prior_head(self.prior_net(self.standardise(observations)))
        return mean, self.prior_temperature * std

    def decode(self, observations: th.Tensor, z: th.Tensor) -> th.Tensor:
        """
        :param observations: (B, O)
        :param z: (B, Z)
        :return: actions in the environment's units, unclipped, (B, A)
        """
        actions = self.decoder(th.cat([self.standardise(observations), z], dim=-1))
        return th.addcmul(self.action_centre, actions, self.action_scale)

    def standardise(self, observations: th.Tensor) -> th.Tensor:
        """
        :param observations: (..., O)
        :return: the same with the demonstrations' mean 0 and standard deviation 1, (..., O)
        """
        return (observations - self.observation_mean) / self.observation_std

    def scale_actions(self, actions: th.Tensor) -> th.Tensor:
        """
        :param actions: in the environment's units, (..., A)
        :return: the action space's bounds mapped to [-1, 1], (..., A)
        """
        return (actions - self.action_centre) / self.action_scale

    # ------------------------------------------------------------ stepping

    def act(self, observations: np.ndarray, z: np.ndarray) -> np.ndarray:
        """
        What :meth:`decode` gives in evaluation mode, clipped to the action space: numpy, for every env step.

        Standardisation, batch normalisation and action scaling are folded into the Linear layers once.

        :param observations: (B, O)
        :param z: (B, Z)
        :return: actions, (B, A) float32
        """
        fast = self._fast
        if fast is None:
            fast = _FastDecoder(self)
            self._fast = None if self.training else fast
        return fast(observations, z)

    # ------------------------------------------------------------ frozen use

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
        self._fast = None
        return super().train(mode and not self._frozen)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._fast = None
        super()._load_from_state_dict(*args, **kwargs)

    def _apply(self, *args: Any, **kwargs: Any) -> Self:
        self._fast = None
        return super()._apply(*args, **kwargs)

    # ------------------------------------------------------------ fit and files

    def set_observation_statistics(self, mean: np.ndarray, std: np.ndarray) -> None:
        """
        Sets what :meth:`standardise` subtracts and divides by.

        :param mean: (O,)
        :param std: positive, (O,)
        """
        self._fast = None
        self.observation_mean.copy_(th.as_tensor(mean))
        self.observation_std.copy_(th.as_tensor(std))

    def check_spaces(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        """
        :param observation_space: an environment's; a Dict's part under ``observation_key``
        :param action_space: an environment's
        :raises SkillMismatchError: when they differ from those that the skills were learned with
        """
        if self.observation_key is not None and isinstance(observation_space, gym.spaces.Dict):
            observation_space = observation_space.spaces.get(self.observation_key, observation_space)
        for name, own, other in (
            ("observation", self.observation_space, observation_space),
            ("action", self.action_space, action_space),
        ):
            if not spaces_match(own, other):
                raise SkillMismatchError(f"the skills' {name} space is {own}, but the environment's is {other}")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """
        :param settings: :attr:`settings` of another model
        :return: a model of the same sizes with random weights
        :raises SettingsError: when the settings do not describe a model
        """
        try:
            arguments = dict(settings)
            observation_space = _space_from_json(arguments.pop("observation_space"))
            action_space = _space_from_json(arguments.pop("action_space"))
            return cls(observation_space, action_space, **arguments)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, AssertionError) as error:
            raise SettingsError(f"these settings do not describe a skill model ({error!r}): {settings}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Writes one safetensors file, whole or not at all: weights as tensors, settings as JSON, no pickled code.

        :param path: where; an existing file is replaced
        """
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        metadata = {
            "kind": FILE_KIND,
            "schema_version": str(SCHEMA_VERSION),
            "settings": json.dumps(self.settings, allow_nan=False),
        }
        write_atomically(path, to_safetensors(tensors, metadata))

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: th.device | str = "cpu") -> Self:
        """
        Reads what :meth:`save` wrote.

        :param path: the file
        :param device: where the weights go; "auto" takes a GPU if there is one
        :return: the model, frozen
        :raises ModelFileError: for a missing, corrupt or foreign file, or one of a newer schema
        """
        if not Path(path).is_file():
            raise ModelFileError(f"no skill model at {path}")
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        except (SafetensorError, OSError) as error:
            raise ModelFileError(f"{path} is no skill model: not a whole safetensors file ({error})") from error
        if metadata.get("kind") != FILE_KIND:
            raise ModelFileError(f"{path} holds {metadata.get('kind', 'an unknown kind')}, expected {FILE_KIND}")
        if metadata.get("schema_version") != str(SCHEMA_VERSION):
            raise ModelFileError(
                f"{path} has schema version {metadata.get('schema_version')}, this library reads {SCHEMA_VERSION}"
            )
        if not all(th.isfinite(tensor).all() for tensor in tensors.values()):
            raise ModelFileError(f"{path} holds NaN or infinite weights")
        try:
            model = cls.from_settings(json.loads(metadata["settings"]))
            model.load_state_dict(tensors)
        except (KeyError, ValueError, RuntimeError) as error:
            raise ModelFileError(f"{path} does not fit its own settings: {error}") from error
        return model.to(get_device(device)).freeze()


class _FastDecoder:
    """The decoder in numpy, from raw observations to clipped actions."""

    def __init__(self, model: SkillModel) -> None:
        self.mlp = FoldedMLP(model.decoder)
        self.mean, self.std = model.observation_mean.cpu().numpy().copy(), model.observation_std.cpu().numpy().copy()
        weight, bias, _ = self.mlp.layers[-1]
        scale, centre = model.action_scale.cpu().numpy(), model.action_centre.cpu().numpy()
        self.mlp.layers[-1] = (np.ascontiguousarray(weight * scale), bias * scale + centre, None)
        self.low = model.action_space.low.astype(np.float32)
        self.high = model.action_space.high.astype(np.float32)

    def __call__(self, observations: np.ndarray, z: np.ndarray) -> np.ndarray:
        standard = (observations - self.mean) / self.std
        actions = self.mlp(np.concatenate([standard, z], axis=1, dtype=np.float32))
        return np.minimum(np.maximum(actions, self.low, out=actions), self.high, out=actions)


def _space_to_json(space: gym.spaces.Box) -> dict[str, Any]:
    def bounds(values: np.ndarray) -> list[float | str]:
        return [float(value) if np.isfinite(value) else str(float(value)) for value in values]

    return {"low": bounds(space.low), "high": bounds(space.high), "dtype": str(space.dtype)}


def _space_from_json(space: Mapping[str, Any]) -> gym.spaces.Box:
    dtype: Any = np.dtype(space["dtype"])
    low, high = (np.array([float(value) for value in space[name]], dtype=dtype) for name in ("low", "high"))
    return gym.spaces.Box(low, high, dtype=dtype)
