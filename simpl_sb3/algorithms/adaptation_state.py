"""
What an adaptation is between two skills, besides the rows of its buffers and what has ended: plain data, arrays, and
tensors; see ``adaptation_checkpoints`` for the files.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simpl_sb3.algorithms.checkpoint_folder import Buffers
from simpl_sb3.algorithms.training_state import global_generators, take_generators
from simpl_sb3.experience.collector import EpisodeCollector, FinishedEpisode, Job
from simpl_sb3.experience.env_states import env_state, holds_episodes, take_env_state
from simpl_sb3.experience.episode_arrays import episodes_of, finished_arrays
from simpl_sb3.skills.tensor_files import check_tensors, content_hash

if TYPE_CHECKING:
    from simpl_sb3.algorithms.adaptation import Adaptation
    from simpl_sb3.algorithms.cohort import Cohort

__all__ = [
    "Ended",
    "Parts",
    "buffers_of",
    "capture",
    "checked",
    "ended_arrays",
    "ended_of",
    "fingerprint",
    "take",
    "tensors_of_cohort",
]

COHORT = "cohort.pth"
"""Name of the tensors of those who fine-tune."""
COUNTERS = ("episodes", "finished", "lived", "exploring", "inferring", "rewarded", "failed", "n_updates")
Ended = tuple[int, FinishedEpisode]
"""An agent, and an episode that it has ended."""


def fingerprint(adaptation: "Adaptation") -> str:
    """What an adaptation is of: tasks, settings, seed, and the numbers of model and skills."""
    source = adaptation.skills if adaptation.meta is None else adaptation.meta
    names = [getattr(task, "name", repr(task)) for task in adaptation.tasks]
    asked = [names, adaptation.settings.as_dict(), adaptation.seed, adaptation.multiplier, type(source).__name__]
    text = json.dumps([*asked, content_hash(source.state_dict())])
    return hashlib.sha256(text.encode()).hexdigest()


def buffers_of(adaptation: "Adaptation") -> Buffers:
    """Both buffers by name."""
    return {name: getattr(adaptation, name) for name in ("context", "replay")}


# ------------------------------------------------------------ giving


def capture(adaptation: "Adaptation") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Plain data, and arrays by name."""
    assert adaptation.collector is not None
    generators, arrays = global_generators()
    arrays |= {name: getattr(adaptation, name) for name in COUNTERS}
    arrays["cohort"] = np.zeros(0, int) if adaptation.cohort is None else adaptation.cohort.agents
    arrays |= {f"collector.{name}": array for name, array in adaptation.collector.state().items()}
    if (elimination := adaptation.elimination) is not None:
        arrays |= {f"elimination.{name}": array for name, array in elimination.state().items()}
    if holds_episodes(adaptation.env):
        arrays |= {f"env.{name}": array for name, array in env_state(adaptation.env).items()}
    data = {
        "generators": generators,
        "buffer_generators": {name: each.rng.bit_generator.state for name, each in buffers_of(adaptation).items()},
        "rounds": adaptation.rounds,
        "retiring": adaptation.retiring,
        "starts": adaptation.starts,
    }
    return data, arrays


def tensors_of_cohort(adaptation: "Adaptation") -> dict[str, dict[str, Any]]:
    """Of those who fine-tune, the networks without the frozen skills, and the learner; nothing where nobody does."""
    return {} if adaptation.cohort is None else {COHORT: _tensors_of(adaptation.cohort)}


def _tensors_of(cohort: "Cohort") -> dict[str, Any]:
    policy = {name: tensor for name, tensor in cohort.policy.state_dict().items() if not name.startswith("skills.")}
    return {"policy": policy, "learner": cohort.learner.state_dict()}


def ended_arrays(ended: Sequence[Ended]) -> dict[str, np.ndarray]:
    """Episodes that have ended, and whose they are."""
    episodes = [finished for _, finished in ended]
    return finished_arrays([finished.episode for finished in episodes]) | {
        "agents": np.array([agent for agent, _ in ended], np.int64),
        "kinds": np.array([finished.job.kind for finished in episodes], np.str_),
        "success": np.array([finished.success for finished in episodes], bool),
        "known": np.array([finished.success_known for finished in episodes], bool),
    }


def ended_of(arrays: Mapping[str, np.ndarray], tasks: Sequence[Any]) -> list[Ended]:
    """
    What :func:`ended_arrays` gave.

    :param tasks: each agent's
    :raises ValueError: for arrays that do not belong together
    """
    flags = (arrays[name].tolist() for name in ("agents", "kinds", "success", "known"))
    return [
        (agent, FinishedEpisode(Job(tasks[agent], agent, kind), episode, success, known))
        for episode, agent, kind, success, known in zip(episodes_of(arrays), *flags, strict=True)
    ]


# ------------------------------------------------------------ taking


@dataclass
class Parts:
    """
    What a state describes, made and checked.

    :param data: plain data
    :param arrays: by name
    :param buffers: with their generators, without rows
    :param counters: by name
    :param cohort: who fine-tunes
    :param collector: with the episodes that run
    """

    data: dict[str, Any]
    arrays: dict[str, np.ndarray]
    buffers: Buffers
    counters: dict[str, np.ndarray]
    cohort: "Cohort | None"
    collector: EpisodeCollector


def checked(
    adaptation: "Adaptation", data: dict[str, Any], arrays: dict[str, np.ndarray], read: Callable[[str], Any]
) -> Parts:
    """
    The parts of a state; the adaptation is left as it is, but for the generators.

    :param data: as :func:`capture` gave it
    :param arrays: the same
    :param read: tensors by name, as :func:`tensors_of_cohort` gave them
    :raises ModelFileError: for tensors of other networks
    :raises ValueError: for anything else that does not fit, as KeyError and TypeError
    """
    buffers = {name: buffer.like() for name, buffer in buffers_of(adaptation).items()}
    for name, buffer in buffers.items():
        buffer.rng.bit_generator.state = data["buffer_generators"][name]
    counters = {name: _like(name, arrays, getattr(adaptation, name)) for name in COUNTERS}
    take_generators(data["generators"], arrays)
    numbers = data["rounds"], data["retiring"]
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or not isinstance(
        data["starts"], list | None
    ):
        raise ValueError(f"Expected counts, got {numbers!r:.200}")
    if adaptation.meta is None and (counters["exploring"].any() or counters["inferring"].any()):
        raise ValueError("Agents without a meta-policy explore")
    cohort = _cohort(adaptation, arrays["cohort"], read(COHORT)) if arrays["cohort"].size else None
    collector = adaptation.new_collector(begin=False)
    collector.take_state(_part(arrays, "collector."), adaptation.tasks)
    if (elimination := adaptation.elimination) is not None:
        for name, own in elimination.state().items():
            _like(f"elimination.{name}", arrays, own)
    return Parts(data, arrays, buffers, counters, cohort, collector)


def _part(arrays: Mapping[str, np.ndarray], begin: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(begin): array for name, array in arrays.items() if name.startswith(begin)}


def _like(name: str, arrays: Mapping[str, np.ndarray], own: np.ndarray) -> np.ndarray:
    given = arrays[name]
    if given.shape != own.shape or given.dtype != own.dtype or np.isnan(given).any():
        raise ValueError(f"Expected {name} of {own.shape} {own.dtype}, got {given.shape} {given.dtype}")
    return given.copy()


def _cohort(adaptation: "Adaptation", agents: np.ndarray, given: Any) -> "Cohort":
    everyone = range(adaptation.env.num_envs)
    if agents.ndim != 1 or agents.dtype.kind != "i" or not np.isin(agents, everyone).all():
        raise ValueError(f"Expected agents among {adaptation.env.num_envs}, got {agents}")
    cohort = adaptation.new_cohort(agents.copy())
    check_tensors(given["policy"], _tensors_of(cohort)["policy"])
    cohort.policy.load_state_dict(given["policy"], strict=False)  # the skills are there already
    cohort.learner.load_state_dict(given["learner"])
    return cohort


def take(adaptation: "Adaptation", parts: Parts) -> None:
    """Give an adaptation the parts of a state. Where its environments do not fit, they begin new episodes."""
    data = parts.data
    for name, part in {**parts.buffers, **parts.counters}.items():
        setattr(adaptation, name, part)
    adaptation.cohort, adaptation.collector = parts.cohort, parts.collector
    adaptation.rounds, adaptation.retiring = int(data["rounds"]), bool(data["retiring"])
    if (elimination := adaptation.elimination) is not None:
        elimination.take_state(_part(parts.arrays, "elimination."))
    elsewhere = _take_env(adaptation, parts)
    take_generators(data["generators"], parts.arrays)
    if len(elsewhere):
        warnings.warn(
            f"{len(elsewhere)} of {adaptation.env.num_envs} environments could not be brought where they were, in the "
            "middle of their episodes: these begin anew, and the adaptation does not go on to the bit. It does where "
            "an environment's episodes depend on its np_random alone, or its vector form has get_state and set_state.",
            stacklevel=2,
        )
        adaptation.begin_again(elsewhere)


def _take_env(adaptation: "Adaptation", parts: Parts) -> np.ndarray:
    """Bring the environments where they were; indices of those of which that cannot be said."""
    env, collector, starts = adaptation.env, parts.collector, parts.data["starts"]
    try:
        if holds_episodes(env):
            for i, task in enumerate(adaptation.tasks):
                env.env_method("set_task", task, indices=[i])
            take_env_state(env, _part(parts.arrays, "env."))
            return np.zeros(0, int)
        adaptation.starts = [str(starts[i]) for i in range(env.num_envs)]
        return collector.replay(adaptation.starts)
    except (KeyError, ValueError, TypeError, IndexError):
        return np.flatnonzero(collector.active)
