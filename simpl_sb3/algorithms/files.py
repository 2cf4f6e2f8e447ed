"""
Files of the algorithms: SB3's zip layout without its pickles.

::

    data          JSON: class, settings, skills, counters
    policy.pth    tensors: actor, critics, skills, ...
    learner.pth   tensors: optimisers and multipliers
    training.*    where asked for, what an exact resume needs besides: see ``training_state``

The file is sealed (``simpl_sb3.seals``). Everything is checked against what the settings describe before anything is
taken over.
"""

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import stable_baselines3
import torch as th
from gymnasium import spaces
from stable_baselines3.common.utils import get_system_info
from stable_baselines3.common.vec_env import unwrap_vec_normalize

from simpl_sb3.algorithms.arrays import MAX_BUFFER_BYTES, existing, with_ending
from simpl_sb3.algorithms.training_state import TrainingState
from simpl_sb3.errors import DivergenceError, ModelFileError, SettingsError, SimplError
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.files import write_atomically
from simpl_sb3.npz import arrays_of, npz_bytes
from simpl_sb3.seals import BLANK, open_zip, seal
from simpl_sb3.settings import unknown_names
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.tensor_files import check_tensors, read_member, read_tensors

if TYPE_CHECKING:
    from simpl_sb3.algorithms.base import SkillAlgorithm

SCHEMA_VERSION = 2
MAX_MEMBER_BYTES = {
    "data": 1 << 24,
    "policy.pth": 1 << 31,
    "learner.pth": 1 << 32,
    "optimizers.pth": 1 << 32,
    "training.json": 1 << 28,
    "training.npz": 1 << 32,
}


# ------------------------------------------------------------ writing


def save(model: "SkillAlgorithm", path: Any, state: TrainingState | None = None) -> None:
    """
    Write a model whole or not at all; see the module for the layout.

    :param state: what an exact resume needs besides; None for a model without it
    """
    data = {
        "class": type(model).__name__,
        "schema_version": SCHEMA_VERSION,
        "policy_class": _class_name(model.policy_class),
        "settings": model.settings(),
        "skills": model.skills.settings,
        "action_bound": float(np.max(model.action_space.high)),  # type: ignore[attr-defined]
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
        "episode_num": model._episode_num,
        **model._extra_state(),
    }
    weights = policy_weights(model)
    check_finite(weights | {"learner": model.learner.state_dict()})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", json.dumps(data, indent=1))
        archive.writestr("policy.pth", tensor_bytes(weights))
        archive.writestr("learner.pth", tensor_bytes(model.learner.state_dict()))
        archive.writestr("_stable_baselines3_version", stable_baselines3.__version__)
        if state is not None:
            archive.writestr("training.json", json.dumps(state.data))
            archive.writestr("training.npz", npz_bytes(state.arrays))
            for name, rows in state.rows.items():
                archive.writestr(f"{name}.npz", npz_bytes(rows), zipfile.ZIP_STORED)
        archive.comment = BLANK.encode()
    sealed = seal(content.getvalue())
    if hasattr(path, "write"):
        path.write(sealed)
        return
    write_atomically(with_ending(path, ".zip"), sealed)


def policy_weights(model: "SkillAlgorithm") -> dict[str, th.Tensor]:
    """The policy's tensors by name, also of one that ``torch.compile`` wraps."""
    return {_plain(name): tensor for name, tensor in model.policy.state_dict().items()}


def _plain(name: str) -> str:
    """A tensor's name without what ``torch.compile`` puts into it."""
    return name.replace("_orig_mod.", "")


def check_finite(state: Mapping[str, Any]) -> None:
    """
    :param state: nested dicts and lists of tensors and numbers
    :raises DivergenceError: where a tensor holds NaN or infinity
    """
    for part, value in state.items():
        for name, tensor in _tensors_in(value, part):
            if tensor.is_floating_point() and not bool(th.isfinite(tensor).all()):
                raise DivergenceError(
                    f"The numbers {name} are NaN or infinite: the learning diverged, nothing was saved."
                )


def _tensors_in(state: Any, name: str) -> Iterator[tuple[str, th.Tensor]]:
    """The tensors of nested dicts and lists, and where they stand: ``learner.optimizers.actor.state.0.exp_avg``."""
    if isinstance(state, th.Tensor):
        yield name, state
    elif isinstance(state, dict | list | tuple):
        for key, value in state.items() if isinstance(state, dict) else enumerate(state):
            yield from _tensors_in(value, f"{name}.{key}")


def tensor_bytes(state: dict[str, Any]) -> bytes:
    """Tensors and numbers in dicts and lists, as the bytes of a file that ``tensor_files.read_tensors`` reads."""
    buffer = io.BytesIO()
    th.save(state, buffer)
    return buffer.getvalue()


# ------------------------------------------------------------ reading


def load(
    cls: type["SkillAlgorithm"],
    path: Any,
    env: Any,
    device: th.device,
    print_system_info: bool,
    policy: Any,
    replaced: Mapping[str, Any],
) -> Any:
    """See ``SkillAlgorithm.load``."""
    data, state = _read(path, cls)
    if print_system_info:
        get_system_info(print_info=True)
    policy_class = policy or _find_class(cls, data.get("policy_class"), path)
    known = (*cls.settings_class.names(), "seed", "stats_window_size")  # a file says nothing of logs and folders
    try:
        if unknown := [name for name in data["settings"] if name not in known]:
            raise ModelFileError(f"{path}: {unknown_names(cls.__name__, unknown, known)}")
        model = cls(policy_class, None, device=device, _init_setup_model=False, **(data["settings"] | replaced))
        _take_data(model, data, state["policy"], path)
    except SettingsError as error:
        if replaced:
            raise
        raise ModelFileError(f"{path}: its settings do not describe a {cls.__name__}: {error}") from None
    except SimplError:
        raise
    except Exception as error:  # noqa: BLE001 - a foreign file fails in many ways, and none of them is the user's to read
        raise ModelFileError(f"{path}: its settings do not describe a {cls.__name__}: {error!r}") from None
    if env is not None:
        wrapped = model._wrap_env(env, model.verbose)
        model._check_env(wrapped)
        model.env, model.n_envs, model.observation_space = wrapped, wrapped.num_envs, wrapped.observation_space
        model._vec_normalize_env = unwrap_vec_normalize(wrapped)
        model._prepare_env(wrapped)
    try:
        model._setup_model()
    except MemoryError as error:
        raise ModelFileError(f"{path}: its buffers do not fit into memory ({error}).") from None
    take_parameters(model, state, os.fspath(path) if isinstance(path, str | os.PathLike) else "The file")
    if env is not None:
        model._state = _training_state(path, model._buffers())
    return model


def _training_state(path: Any, buffers: Mapping[str, TaskReplayBuffer]) -> TrainingState | None:
    """
    The state in a model file, and its rows in the buffers; None where it holds none.

    :raises ModelFileError: for one that is damaged, or does not fit
    """
    path = existing(path, ".zip", "model file")
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "training.json" not in names:
                return None
            data, arrays = json.loads(member(archive, "training.json")), arrays_of(member(archive, "training.npz"))
            rows = {
                name: arrays_of(member(archive, f"{name}.npz", MAX_BUFFER_BYTES))
                for name in buffers
                if f"{name}.npz" in names
            }
        for name, added in rows.items():
            buffers[name].append(added)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except Exception as error:  # noqa: BLE001 - as in load
        raise ModelFileError(f"{path} holds no training state: {type(error).__name__}: {error}") from None
    return TrainingState(data, arrays)


def _take_data(model: "SkillAlgorithm", data: dict[str, Any], tensors: Any, path: Any) -> None:
    """Counters, spaces and skills of a file, once its tensors are known to be those that its settings describe."""
    bound = float(data["action_bound"])
    if not 0.0 < bound < 1e6:
        raise ModelFileError(f"{path}: action_bound is {bound}, expected a positive number.")
    model.num_timesteps, model._n_updates = int(data["num_timesteps"]), int(data["n_updates"])
    model._episode_num = int(data.get("episode_num", 0))
    model._load_extra_state(data)
    model.n_envs = 1
    with th.device("meta"):  # sizes alone: nothing is allocated for what the file does not hold
        model.skills = Skills.from_settings(data["skills"])
        model.observation_space, model.action_space = _spaces(model.skills, bound)
        described = model._make_policy()
    _checked_tensors(described, tensors, path)
    model.skills = Skills.from_settings(data["skills"])
    model.skills.load_state_dict(dict(_frozen(tensors)))
    model.skills.check_buffers()
    model.skills.to(model.device).freeze()
    model.observation_space, model.action_space = _spaces(model.skills, bound)


def _spaces(skills: Skills, bound: float) -> tuple[spaces.Box, spaces.Box]:
    return skills.observation_space, spaces.Box(-bound, bound, (skills.skill_dim,), np.float32)


def _frozen(tensors: Mapping[str, th.Tensor]) -> Iterator[tuple[str, th.Tensor]]:
    """The frozen skills' part of a policy's tensors."""
    for name, tensor in tensors.items():
        if name.startswith("skills."):
            yield name.removeprefix("skills."), tensor


def read_parameters(cls: type["SkillAlgorithm"], path: Any) -> dict[str, Any]:
    """The tensors of a saved model: "policy" and "learner"."""
    return _read(path, cls)[1]


def take_parameters(model: "SkillAlgorithm", state: Mapping[str, Any], source: str) -> None:
    """
    Give a model the tensors of another of the same sizes, all of them or none.

    :param state: "policy" and "learner", or one of them
    :param source: what errors call it
    :raises ModelFileError: for tensors that do not fit
    """
    policy = _checked_tensors(model.policy, state["policy"], source) if "policy" in state else None
    if "learner" in state:
        try:
            model.learner.load_state_dict(state["learner"])
        except ModelFileError as error:
            raise ModelFileError(f"{source}: {error}") from None
        except Exception as error:  # noqa: BLE001 - as in load
            raise ModelFileError(f"{source}: its optimisers do not fit its settings: {error!r}") from None
    if policy is not None:
        model.policy.load_state_dict({name: policy[_plain(name)] for name in model.policy.state_dict()})


def _checked_tensors(policy: th.nn.Module, tensors: Any, source: Any) -> dict[str, th.Tensor]:
    """
    A file's tensors; zeros where an earlier version's file lacks what the policy class has had since.

    :raises ModelFileError: where they are not those of the policy, in name, shape or kind
    """
    expected = {_plain(name): tensor for name, tensor in policy.state_dict().items()}
    later = {name: th.zeros(expected[name].shape) for name in getattr(policy, "later_tensors", ())}
    try:
        whole = later | {_plain(name): tensor for name, tensor in dict(tensors).items()}
        check_tensors(whole, expected)
    except ModelFileError as error:
        raise ModelFileError(f"{source}: its tensors do not fit its settings: {error}.") from None
    except (TypeError, ValueError):
        raise ModelFileError(f"{source}: expected a dictionary of tensors, got {type(tensors).__name__}.") from None
    return whole


def _read(path: Any, cls: type["SkillAlgorithm"]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON data and the tensors of a saved algorithm, an earlier schema's in the form of this one."""
    kind = cls.__name__
    path = existing(path, ".zip", "model file")
    try:
        with open_zip(path) as archive:
            data = json.loads(member(archive, "data"))
            given, version = data["class"], data["schema_version"]
            second = "learner.pth" if version == SCHEMA_VERSION else "optimizers.pth"
            policy, learner = (read_tensors(member(archive, name)) for name in ("policy.pth", second))
    except Exception as error:  # noqa: BLE001 - as in load
        reason = str(error).split("Re-running")[0].splitlines()  # torch advises to run what the file holds
        raise ModelFileError(
            f"{path} is not a saved {kind}: {type(error).__name__}: {reason[0] if reason else ''}{_skills_hint(path)}"
        ) from None
    if given != kind:
        raise ModelFileError(f"{path} holds a {given}: expected a {kind}.")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= SCHEMA_VERSION:
        raise ModelFileError(f"{path} has schema version {version}: this release reads 1 to {SCHEMA_VERSION}.")
    try:
        state = {"policy": policy, "learner": learner} if version == SCHEMA_VERSION else _from_first(policy, learner)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelFileError(f"{path} is not a saved {kind}: {error!r}") from None
    return data, state


def _skills_hint(path: Any) -> str:
    """What to do with skills that were given in place of a model."""
    named = isinstance(path, str | os.PathLike) and Path(path).suffix == ".safetensors"
    return ". This is a file of skills: SkillModel.load, or --method spirl, starts from it." if named else ""


def member(archive: zipfile.ZipFile, name: str, at_most: int | None = None) -> bytes:
    """
    A member's content.

    :param at_most: bytes; None for what a model file may hold under that name
    :raises ValueError: for a member that unpacks to more than models have
    """
    return read_member(archive, name, at_most or MAX_MEMBER_BYTES[name])


def _from_first(policy: dict[str, Any], optimizers: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 kept the multipliers among the policy's tensors, and one optimiser for all of them."""
    names = {"skill_kl": "log_multiplier"}
    policy = dict(policy)
    if "log_skill_multipliers" in policy:  # of SkillPriorPEARL; it inherited a multiplier and a latent without use
        names = {"skill_kl": "log_skill_multipliers", "latent_kl": "log_latent_multipliers"}
        policy.pop("log_multiplier")
        policy.pop("task_latent")
    moments = optimizers["multipliers"]["state"]
    groups = optimizers["multipliers"]["param_groups"]
    split = {
        name: {"state": {0: moments[index]} if index in moments else {}, "param_groups": groups}
        for index, name in enumerate(names)
    }
    return {
        "learner": {
            "optimizers": {"actor": optimizers["actor"], "critic": optimizers["critic"], **split},
            "multipliers": {name: policy.pop(old) for name, old in names.items()},
        },
        "policy": policy,
    }


# ------------------------------------------------------------ policy classes


def _class_name(policy_class: type) -> str:
    return f"{policy_class.__module__}:{policy_class.__qualname__}"


def _find_class(cls: type["SkillAlgorithm"], name: Any, path: Any) -> type:
    """
    The policy class that a file names, among those that are imported: a file never makes anything be imported.

    :raises ModelFileError: for one that is not
    """
    candidates: list[type] = [cls.base_policy_class]
    for candidate in candidates:
        candidates.extend(candidate.__subclasses__())
    known = {_class_name(candidate): candidate for candidate in candidates}
    if not isinstance(name, str | None):
        raise ModelFileError(f"{path} names the policy class {name!r}: expected a text.")
    if name is None or name == _class_name(cls.base_policy_class):
        return cls.base_policy_class
    if name not in known:
        raise ModelFileError(
            f"{path} was saved with the policy class {name}, which is not imported here: import it first, or give it, "
            "load(path, policy=...)."
        )
    return known[name]
