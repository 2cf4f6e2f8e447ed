"""Playing with the skill prior: what skills do that are so many standard deviations away from the usual one."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th

from simpl_sb3.domains import Domain
from simpl_sb3.play.walker import Camera, Tell, as_read
from simpl_sb3.results.episodes import EpisodeSummary, Whose
from simpl_sb3.results.traces import Trajectory
from simpl_sb3.skills.base import Skills

__all__ = ["N_SKILLS", "show_skills"]

N_SKILLS = 10
"""In a row, so that a path can be seen."""
MAX_PATHS = 16
PICTURE_NUMBER = 2
"""The place on the page, after the two agents."""


def show_skills(
    skills: Skills,
    domain: Domain,
    env: gym.Env[Any, Any],
    tell: Tell,
    deviation: Sequence[float] = (),
    n_paths: int = 1,
    pictures: bool = False,
) -> None:
    """
    Live some skills in a row from a start, and tell their paths.

    :param deviation: of z from the prior's mean, in its standard deviations, along the first dimensions of z, at every
        skill of a path; without one each skill is drawn from the prior
    :param n_paths: how many
    """
    act, rng = skills.folded(), np.random.default_rng()
    task = next(task for tasks in domain.sets.values() for task in tasks)
    paths = []
    for _ in range(min(n_paths, MAX_PATHS)):
        observation, _ = env.reset(options={"task": task})
        observed, ended = [as_read(skills, observation)], False
        for _ in range(N_SKILLS):
            z = _skill(skills, observed[-1], deviation, rng)
            for _ in range(skills.horizon):
                observation, _, terminated, truncated, _ = env.step(act(observed[-1][None], z)[0])
                observed.append(as_read(skills, observation))
                ended = bool(terminated or truncated)
                if pictures and len(observed) % 3 == 0:
                    picture: Any = env.render()
                    tell(bytes([PICTURE_NUMBER]) + Camera.jpeg(picture))
                if ended:
                    break
            if ended:
                break
        paths.append(_path(domain, task, np.stack(observed)))
    tell({"type": "prior", "paths": [path for path in paths if path]})


def _skill(skills: Skills, observation: np.ndarray, deviation: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """One skill, (1, Z)."""
    device = skills.observation_mean.device
    with th.no_grad():
        mean, std = skills.prior(th.as_tensor(observation[None], device=device))
    away = np.zeros(skills.skill_dim)
    away[: len(deviation)] = deviation[: skills.skill_dim]
    z = mean.cpu().numpy() + std.cpu().numpy() * (away if deviation else rng.standard_normal(skills.skill_dim))
    return np.clip(z, -skills.action_bound, skills.action_bound).astype(np.float32)


def _path(domain: Domain, task: Any, observed: np.ndarray) -> list[list[float]]:
    """Positions on the map; none where there is no map."""
    if domain.traces is None:
        return []
    summary = EpisodeSummary(0.0, False, len(observed) - 1, observed)
    trace = domain.traces.trace(Whose("prior", task.name, 0, 1), task, summary)
    return np.round(trace.positions, 2).tolist() if isinstance(trace, Trajectory) else []
