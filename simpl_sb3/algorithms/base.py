"""What ``SkillPriorSAC`` and ``SkillPriorPEARL`` share: finding the wrapper's skills, files without pickled code."""

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
from stable_baselines3.common.type_aliases import GymEnv, TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.utils import get_device
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_wrapper

from simpl_sb3.errors import EnvironmentSpecError, ModelFileError, SettingsError, SkillMismatchError
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.files import write_atomically
from simpl_sb3.skills.base import Skills

SCHEMA_VERSION = 1


class SkillAlgorithm(OffPolicyAlgorithm):
    """
    Base of the algorithms over skills.

    A subclass stores every constructor argument under its own name, and builds ``policy`` and its optimisers in
    ``_setup_model``.
    """

    skills: Skills
    optimizers: dict[str, th.optim.Optimizer]
    replay_buffer: TaskReplayBuffer  # type: ignore[assignment]
    _not_saved: ClassVar = ("policy", "env", "device", "tensorboard_log", "verbose", "_init_setup_model")

    def _find_skills(self, env: VecEnv | None = None) -> Skills:
        """
        The skills that an environment's actions are.

        :param env: by default the model's own
        :raises EnvironmentSpecError: for an environment without skills
        :raises SettingsError: under ``VecNormalize``, which would change what the frozen skills see
        """
        env = self.env if env is None else env
        assert env is not None
        if unwrap_vec_wrapper(env, VecNormalize) is not None:
            raise SettingsError(
                "VecNormalize changes the observations that the frozen skill prior reads: "
                "expected an environment without it."
            )
        try:
            return env.get_attr("skills")[0]
        except AttributeError:
            raise EnvironmentSpecError(
                f"{type(self).__name__} acts through skills, and this environment has none: wrap it in "
                "SkillActionWrapper(env, skills), or make many at once with make_skill_vec_env(env_id, skills)."
            ) from None

    def _check_env(self, env: VecEnv) -> None:
        """
        Check that a model that already knows its skills can act in an environment.

        :raises EnvironmentSpecError: for an environment without skills
        :raises SkillMismatchError: for other spaces, or other skills, than those that the model was trained on
        """
        found = self._find_skills(env)
        if env.observation_space.shape != self.observation_space.shape or env.action_space != self.action_space:
            raise SkillMismatchError(
                f"The model was trained on observations {self.observation_space.shape} and skills {self.action_space}; "
                f"the environment has {env.observation_space.shape} and {env.action_space}."
            )
        if not same_skills(found, self.skills):
            raise SkillMismatchError(
                "The environment decodes other skills than those that the model was trained on: give it model.skills."
            )

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """
        As in SB3; the environment must have the skills that the model was trained on.

        :raises EnvironmentSpecError: for an environment without skills
        :raises SkillMismatchError: for other spaces or other skills
        """
        wrapped = self._wrap_env(env, self.verbose)
        self._check_env(wrapped)
        self.observation_space = wrapped.observation_space  # its bounds may differ from the demonstrations'
        super().set_env(wrapped, force_reset)

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        """As in SB3, but never below 0: a meta-iteration overshoots, and a schedule would turn a rate negative."""
        self._current_progress_remaining = max(0.0, 1.0 - num_timesteps / total_timesteps)

    @classmethod
    def _setting_names(cls) -> list[str]:
        names = inspect.signature(cls.__init__).parameters
        return [name for name in names if name != "self" and name not in cls._not_saved]

    def _settings(self) -> dict[str, Any]:
        """Constructor arguments by name, as plain data."""
        settings = {name: getattr(self, name) for name in self._setting_names()}
        frequency = settings.get("train_freq")
        if isinstance(frequency, TrainFreq):  # what SB3 makes of a number of steps
            in_steps = frequency.unit == TrainFrequencyUnit.STEP
            settings["train_freq"] = frequency.frequency if in_steps else [frequency.frequency, frequency.unit.value]
        return settings

    def _extra_state(self) -> dict[str, Any]:
        """Further plain data that a saved file holds."""
        return {}

    def save(self, path: str | pathlib.Path | io.BufferedIOBase, *args: Any, **kwargs: Any) -> None:
        """
        Write SB3's zip layout without its pickles: ``data`` is JSON, ``policy.pth`` and ``optimizers.pth`` are tensors.

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
            raise SettingsError(
                f"Only plain data is saved, never code: {error}. Give a number in place of a function or an object."
            ) from None
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
        cls,
        path: str | pathlib.Path | io.BufferedIOBase,
        env: GymEnv | None = None,
        device: th.device | str = "auto",
        **kwargs: Any,
    ) -> Self:
        """
        :param path: a file that :meth:`save` wrote
        :param env: to go on learning in; None to predict and adapt only
        :param device: of the networks
        :param kwargs: settings that replace the saved ones
        :raises ModelFileError: for a file that is missing, corrupt, or of another kind
        :raises SettingsError: for a setting that there is not
        :raises EnvironmentSpecError: for an environment without skills
        :raises SkillMismatchError: for other spaces or other skills than those that the model was trained on
        """
        known = cls._setting_names()
        if unknown := kwargs.keys() - set(known) - {"tensorboard_log", "verbose"}:
            raise SettingsError(
                f"{cls.__name__} has no settings {', '.join(sorted(unknown))}: expected {', '.join(known)}."
            )
        data, tensors = _read_archive(path, cls.__name__, str(get_device(device)))
        try:
            settings = data["settings"] | kwargs
            model = cls("MlpPolicy", None, device=device, _init_setup_model=False, **settings)  # type: ignore[call-arg, arg-type]
            model.skills = Skills.from_settings(data["skills"])
            bound = float(data["action_bound"])
            model.num_timesteps, model._n_updates = int(data["num_timesteps"]), int(data["n_updates"])
            model._load_extra_state(data)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"{path}: its settings do not describe a {cls.__name__}: {error!r}") from None
        model.observation_space = model.skills.observation_space
        model.action_space = spaces.Box(-bound, bound, (model.skills.skill_dim,), np.float32)
        model.n_envs = 1
        model._setup_model_with(env, tensors, path)
        return model

    def _setup_model_with(self, env: GymEnv | None, tensors: dict[str, Any], path: Any) -> None:
        """Build the networks for an environment or for none, and take a file's tensors, the frozen skills' first."""
        of_skills = [name for name in tensors["policy.pth"] if name.startswith("skills.")]
        frozen = {name.removeprefix("skills."): tensors["policy.pth"][name] for name in of_skills}
        try:
            self.skills.load_state_dict(frozen)
        except RuntimeError as error:
            raise ModelFileError(f"{path}: its skills do not fit its settings: {error}") from None
        self.skills.freeze()
        if env is not None:
            wrapped = self._wrap_env(env, self.verbose)
            self._check_env(wrapped)
            self.env, self.n_envs, self.observation_space = wrapped, wrapped.num_envs, wrapped.observation_space
        self._setup_model()
        self._load_tensors(tensors, path)

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


def same_skills(one: Skills, other: Skills) -> bool:
    """Whether two models are the same skills: sizes, spaces and weights."""
    if one is other:
        return True
    theirs = other.state_dict()
    return one.settings == other.settings and all(
        th.equal(value.cpu(), theirs[name].cpu()) for name, value in one.state_dict().items()
    )


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
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ModelFileError(f"{path} has schema version {version}: this release reads up to {SCHEMA_VERSION}.")
    return data, tensors
