"""
Ways to choose the next guess of a task latent, compared by how many agents find their goal while they only explore::

    goals=1-7,18-9,2-14,2-2,1-14,3-18
    python benchmarks/exploring.py runs/meta/model.zip maze $goals 12 gaussian --context-reward-rows 8
    python benchmarks/exploring.py runs/meta/model.zip benchmarks/fetch.py development 6 apart --latent-skills 4

Ways: ``gaussian`` (the library's), ``posterior`` (from the first episode on, failures included), ``sobol`` (the
Gaussian by a Sobol sequence), ``apart`` (of some draws the farthest from earlier guesses). Only ``gaussian`` was kept.
"""

from typing import Literal

import numpy as np
import torch as th
import tyro

from simpl_sb3 import SkillPriorPEARL, make_skill_vec_env
from simpl_sb3.algorithms import adaptation
from simpl_sb3.algorithms.exploration import Explorer
from simpl_sb3.domains import find_domain

N_EPISODES = 20


class OwnGuesses(Explorer):
    """The library's explorer, with other draws in place of the Gaussian's."""

    def __init__(self, *arguments, way: str, draws: int) -> None:
        super().__init__(*arguments)
        self.way, self.draws, self.agent = way, draws, 0
        self.engines: dict[int, th.quasirandom.SobolEngine] = {}
        self.earlier: dict[int, list[th.Tensor]] = {}

    def guess(self) -> th.Tensor:
        if self.way in ("gaussian", "posterior") or th.rand(()).item() < self.settings.exploration_skill_prior:
            return super().guess()
        noise = self.settings.exploration_spread * (self._sobol() if self.way == "sobol" else self._apart())
        return self._as_guess(self.policy.latent_mean + self.policy.latent_cholesky @ noise)

    def _sobol(self) -> th.Tensor:
        new = th.quasirandom.SobolEngine(self.size - 1, scramble=True, seed=self.agent + 1)
        share = self.engines.setdefault(self.agent, new).draw(1)[0].clamp(1e-4, 1 - 1e-4)
        return th.erfinv(2 * share - 1) * 2**0.5

    def _apart(self) -> th.Tensor:
        earlier = self.earlier.setdefault(self.agent, [])
        drawn = th.randn(self.draws, self.size - 1)
        chosen = drawn[0] if not earlier else drawn[th.cdist(drawn, th.stack(earlier)).min(dim=1).values.argmax()]
        earlier.append(chosen)
        return chosen


class Exploring(adaptation.Adaptation):
    """An adaptation that only explores."""

    way, draws = "gaussian", 8

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        known = self.explorer
        self.explorer = OwnGuesses(known.policy, known.settings, known.source, way=self.way, draws=self.draws)

    def _guess_for(self, job):
        self.explorer.agent = job.task_index
        if self.way == "posterior" and self.context.sizes[job.task_index] > 0:
            return self.explorer.guess_from(self._infer([job.task_index]))
        return super()._guess_for(job)


def main(
    model: str,
    domain: str,
    tasks: str,
    agents: int,
    way: Literal["gaussian", "posterior", "sobol", "apart"],
    /,
    draws: int = 8,
    latent_skills: int | None = 50,
    skill_prior: float = 0.0,
    spread: float = 1.5,
    context_reward_rows: int = 32,
    seed: int = 0,
) -> None:
    """Prints the share of agents that find their goal within 5, 10 and 20 episodes."""
    th.set_num_threads(1)
    record = find_domain(domain)
    chosen = [task for task in record.tasks(tasks) for _ in range(agents)]
    meta = SkillPriorPEARL.load(model)
    settings = meta.adaptation_settings(
        n_episodes=N_EPISODES,
        n_exploration_episodes=N_EPISODES,
        reuse_exploration=False,
        initial_updates=0,
        exploration_latent_skills=latent_skills,
        exploration_skill_prior=skill_prior,
        exploration_spread=spread,
        context_reward_rows=context_reward_rows,
    )
    found = np.full(len(chosen), N_EPISODES + 1)

    def note(agent: int, episode: int, finished) -> None:
        found[agent] = min(found[agent], episode) if finished.success else found[agent]

    Exploring.way, Exploring.draws = way, draws
    env = make_skill_vec_env(record.env_id, meta.skills, n_envs=len(chosen))
    Exploring(env, chosen, meta.skills, meta, settings, seed, note).run()
    print(way, *(f"within {n}: {np.mean(found <= n):.3f}" for n in (5, 10, N_EPISODES)))


if __name__ == "__main__":
    tyro.cli(main)
