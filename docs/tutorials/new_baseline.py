"""
A baseline in one file: explore with the skill prior until something is rewarded, then go back there by the skills that
led there, and take over every skill that made an episode shorter. No network learns.

    simpl-sb3 adapt --method docs/tutorials/new_baseline.py --from skills.safetensors --output runs/go_back.csv
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch as th

from simpl_sb3 import SkillModel
from simpl_sb3.experience.collector import EpisodeCollector, Job
from simpl_sb3.methods import Method
from simpl_sb3.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class GoBackSettings(Settings):
    """
    Of the baseline; each is a flag.

    :param n_episodes: episodes in all
    :param noise: probability that a skill on the way back is drawn from the prior instead
    """

    n_episodes: int = setting(60, at_least=1)
    noise: float = setting(0.05, at_least=0.0, at_most=1.0)


class GoBack:
    """Ready to adapt: skills and settings are read, nothing was written."""

    training_tasks = None

    def __init__(self, skills: SkillModel, settings: GoBackSettings) -> None:
        self.skills, self.settings = skills, settings

    @th.no_grad()
    def prior(self, observations: np.ndarray) -> np.ndarray:
        """A skill of the prior for each observation."""
        mean, std = self.skills.prior(th.as_tensor(observations))
        return (mean + std * th.randn_like(std)).numpy()

    def run(self, env: Any, tasks: Sequence[Any], seed: int, on_episode: Any) -> Sequence[Any]:
        """One agent per task, all side by side; ``on_episode`` makes the rows."""
        th.manual_seed(seed)
        env.seed(seed)
        env.reset()
        rng, best = np.random.default_rng(seed), [np.zeros((0, self.skills.skill_dim))] * len(tasks)
        begun, steps = np.zeros(len(tasks), int), np.zeros(len(tasks), int)

        def act(observations: np.ndarray, _: th.Tensor) -> np.ndarray:
            skills = self.prior(observations)
            for i, way in enumerate(best):
                if steps[i] < len(way) and rng.random() >= self.settings.noise:
                    skills[i] = way[steps[i]]
            steps[:] += 1
            return skills

        def next_job(i: int) -> Job | None:
            begun[i], steps[i] = begun[i] + 1, 0
            return Job(tasks[i], i, "go back") if begun[i] <= self.settings.n_episodes else None

        collector = EpisodeCollector(env, act, next_job, lambda _: th.zeros(0), 0)
        done = np.zeros(len(tasks), int)
        while collector.active.any():
            for finished in collector.step().finished:
                i = finished.job.task_index
                done[i] += 1
                if finished.success and (len(best[i]) == 0 or len(finished.episode) <= len(best[i])):
                    best[i] = finished.episode.actions
                on_episode(i, int(done[i]), finished)
        return best


def adapt(source: Path, settings: Mapping[str, Any], make_env: Any, device: str) -> GoBack:
    """What ``Method`` asks for: read and check, write nothing."""
    return GoBack(SkillModel.load(source, device=device), GoBackSettings.of(settings))


METHOD = Method(name="go-back", label="Go back", colour="#CC79A7", adapt=adapt, needs="skills", settings=GoBackSettings)
