"""
Ways to explore a new task, compared by how many agents find its goal while they only explore::

    goals=1-7,18-9,2-14,2-2,1-14,3-18
    python benchmarks/exploring.py runs/meta/model.zip maze $goals 12 unvisited --context-reward-rows 8
    python benchmarks/exploring.py runs/meta/model.zip benchmarks/fetch.py development 6 posterior --latent-skills 4

Ways are those of the setting ``exploration``. Others that were tried are in benchmarks/learning_log.md.
"""

from typing import Literal

import numpy as np
import torch as th
import tyro

from simpl_sb3 import SkillPriorPEARL, make_skill_vec_env
from simpl_sb3.domains import find_domain

N_EPISODES = 20


def main(
    model: str,
    domain: str,
    tasks: str,
    agents: int,
    way: Literal["prior", "aggregate", "posterior", "unvisited"],
    /,
    latent_skills: int | None = 50,
    skill_prior: float = 0.0,
    spread: float = 1.5,
    context_reward_rows: int = 32,
    seed: int = 0,
) -> None:
    """Prints the share of agents that find their goal within 5, 10 and 20 episodes, and of each task within 20."""
    th.set_num_threads(1)
    record = find_domain(domain)
    chosen = [task for task in record.tasks(tasks) for _ in range(agents)]
    meta = SkillPriorPEARL.load(model)
    found = np.full(len(chosen), N_EPISODES + 1)

    def note(agent: int, episode: int, finished) -> None:
        found[agent] = min(found[agent], episode) if finished.success else found[agent]

    meta.adapt_tasks(
        make_skill_vec_env(record.env_id, meta.skills, n_envs=len(chosen)),
        chosen,
        seed=seed,
        on_episode=note,
        n_episodes=N_EPISODES,
        n_exploration_episodes=N_EPISODES,
        reuse_exploration=False,
        initial_updates=0,
        exploration=way,
        exploration_latent_skills=latent_skills,
        exploration_skill_prior=skill_prior,
        exploration_spread=spread,
        context_reward_rows=context_reward_rows,
    )
    print(way, *(f"within {n}: {np.mean(found <= n):.3f}" for n in (5, 10, N_EPISODES)))
    by_task = found.reshape(-1, agents) <= N_EPISODES
    print(*(f"{task.name}: {share:.2f}" for task, share in zip(chosen[::agents], by_task.mean(axis=1), strict=True)))


if __name__ == "__main__":
    tyro.cli(main)
