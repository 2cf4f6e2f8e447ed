"""What ``SkillPriorSAC`` and ``SkillPriorPEARL`` share: finding the skills through the wrapper, and files without pickled code."""

import inspect
import io
import json
import os
import pathlib
import zipfile
from typing import Any, ClassVar, Self

import numpy as np
import stable_baselines3
import torch as th
from gymnasium import spaces
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.utils import get_device
from stable_baselines3.common.vec_env import VecNormalize, unwrap_vec_wrapper

from simpl_sb3.errors import EnvironmentSpecError, ModelFileError, SettingsError
from simpl_sb3.skills import SkillModel, write_atomically

SCHEMA_VERSION = 1


class SkillAlgorithm(OffPolicyAlgorithm):
    """
    Base of the algorithms over skills.

    A subclass stores every constructor argument under its own name, and builds ``policy`` and its optimisers in ``_setup_model``.
    """

    skills: SkillModel
    optimizers: dict[str, th.optim.Optimizer]
    _not_saved: ClassVar[tuple[str, ...]] = ("policy", "env", "device", "tensorboard_log", "verbose", "_init_setup_model")

    def _find_skills(self) -> SkillModel:
        """
        :raises EnvironmentSpecError: for an environment without skills
        :raises SettingsError: under ``VecNormalize``, which would change what the frozen skills see
        """
        assert self.env is not None
        if unwrap_vec_wrapper(self.env, VecNormalize) is not None:
            raise SettingsError("VecNormalize changes the observations that the frozen skill prior reads: expected an environment without it.")
        try:
            return self.env.get_attr("skills")[0]
        except AttributeError:
            raise EnvironmentSpecError(
                f"{type(self).__name__} acts through skills, and this environment has none: wrap it in "
                "SkillActionWrapper(env, skills), or make many at once with make_skill_vec_env(env_id, skills)."
            ) from None

    def _settings(self) -> dict[str, Any]:
        """Constructor arguments by name, as plain data."""
        names = [name for name in inspect.signature(type(self).__init__).parameters if name != "self"]
        return {name: getattr(self, name) for name in names if name not in self._not_saved}

    def _extra_state(self) -> dict[str, Any]:
        """Further plain data that a saved file holds."""
        return {}

    def save(self, path: str | pathlib.Path | io.BufferedIOBase, *args: Any, **kwargs: Any) -> None:
        """
        Write SB3's zip layout, without its pickles: ``data`` is JSON, ``policy.pth`` and ``optimizers.pth`` hold tensors only.

        :param path: a path (".zip" is appended where it has no ending), or an open binary file
        :raises SettingsError: for a setting that is not plain data, such as a learning rate given as a function
        """
        data = {
            "class": type(self).__name__,
            "schema_version": SCHEMA_VERSION,
            "settings": self._settings(),
            "skills": self.skills.settings,
            "action_bound": float(np.max(self.action_space.high)),  # type: ignore[attr-defined]
            "num_timesteps": self.num_timesteps,
            "n_updates": self._n_updates,
            **self._extra_state(),
        }
        try:
            text = json.dumps(data, indent=1)
        except TypeError as error:
            raise SettingsError(f"Only plain data is saved, never code: {error}. Give a number in place of a function or an object.") from None
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data", text)
            archive.writestr("policy.pth", _tensor_bytes(self.policy.state_dict()))
            archive.writestr("optimizers.pth", _tensor_bytes({k: o.state_dict() for k, o in self.optimizers.items()}))
            archive.writestr("_stable_baselines3_version", stable_baselines3.__version__)
        if isinstance(path, io.BufferedIOBase):
            path.write(content.getvalue())
            return
        target = pathlib.Path(path)
        target = target if target.suffix else target.with_suffix(".zip")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content.getvalue())

    @classmethod
    def load(  # type: ignore[override]
        cls, path: str | pathlib.Path | io.BufferedIOBase, env: GymEnv | None = None, device: th.device | str = "auto", **kwargs: Any
    ) -> Self:
        """
        :param path: a file that :meth:`save` wrote
        :param env: to go on learning in; None to predict and adapt only
        :param device: of the networks
        :param kwargs: settings that replace the saved ones
        :raises ModelFileError: for a file that is missing, corrupt, or of another kind
        """
        data, tensors = _read_archive(path, cls.__name__, str(get_device(device)))
        settings = data["settings"] | kwargs
        model = cls("MlpPolicy", None, device=device, _init_setup_model=False, **settings)  # type: ignore[call-arg]
        model.skills = SkillModel.from_settings(data["skills"])
        bound = data["action_bound"]
        model.observation_space = model.skills.observation_space
        model.action_space = spaces.Box(-bound, bound, (model.skills.skill_dim,), np.float32)
        model.n_envs = 1
        model._load_extra_state(data)
        if env is not None:
            wrapped = model._wrap_env(env, model.verbose)
            if wrapped.observation_space.shape != model.observation_space.shape or wrapped.action_space != model.action_space:
                raise EnvironmentSpecError(
                    f"The model was trained on observations {model.observation_space.shape} and skills {model.action_space}; "
                    f"the environment has {wrapped.observation_space.shape} and {wrapped.action_space}."
                )
            model.env, model.n_envs = wrapped, wrapped.num_envs
        model._setup_model()
        model._load_tensors(tensors, path)
        model.num_timesteps, model._n_updates = data["num_timesteps"], data["n_updates"]
        return model

    def _load_extra_state(self, data: dict[str, Any]) -> None:
        """Take back what ``_extra_state`` gave, before ``_setup_model``."""

    def _load_tensors(self, tensors: dict[str, Any], path: Any) -> None:
        try:
            self.policy.load_state_dict(tensors["policy.pth"])
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(tensors["optimizers.pth"][name])
        except (RuntimeError, KeyError, ValueError) as error:
            raise ModelFileError(f"{path}: its tensors do not fit its settings: {error}") from None
        self.skills = self.policy.skills  # type: ignore[assignment]


def _tensor_bytes(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    th.save(state, buffer)
    return buffer.getvalue()


def _read_archive(path: Any, kind: str, device: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON data and the tensors of a saved algorithm."""
    if not hasattr(path, "read"):
        target = pathlib.Path(path)
        path = target if target.exists() or target.suffix else target.with_suffix(".zip")
        if not path.exists():
            raise ModelFileError(f"No model file {os.fspath(path)}.")
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
            tensors = {
                name: th.load(io.BytesIO(archive.read(name)), map_location=device, weights_only=True)
                for name in ("policy.pth", "optimizers.pth")
            }
        given, version = data["class"], data["schema_version"]
    except Exception as error:  # noqa: BLE001 - a foreign file fails in many ways, and none of them is the user's to read
        raise ModelFileError(f"{path} is not a saved {kind}: {type(error).__name__}: {error}") from None
    if given != kind:
        raise ModelFileError(f"{path} holds a {given}: expected a {kind}.")
    if version > SCHEMA_VERSION:
        raise ModelFileError(f"{path} has schema version {version}: this release reads up to {SCHEMA_VERSION}.")
    return data, tensors
