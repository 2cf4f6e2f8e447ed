"""A small SkillPriorPEARL, and what its meta-iterations store."""

from typing import Any

import pytest
from envs_for_tests import LineEnv, line_envs, tiny_skills
from stable_baselines3.common.callbacks import BaseCallback

from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.skills.vec_env import SkillVecEnv

TASKS = LineEnv.train_tasks
N_TASKS, LATENT = len(TASKS), 2
SMALL: dict[str, Any] = {
    "batch_size": 6,
    "buffer_size": 300,
    "context_buffer_size": 300,
    "gradient_steps": 2,
    "net_arch": (8,),
    "encoder_width": 8,
    "task_latent_dim": LATENT,
    "context_sizes": (2, 8),
    "tasks_per_update": (1, 3),
    "seed": 0,
    "device": "cpu",
}
ITERATION = 2 * N_TASKS * 4  # skills of a meta-iteration at most: two episodes of 14 env steps per task


def make(env: Any = None, **settings: Any) -> SkillPriorPEARL:
    env = SkillVecEnv(line_envs(4), tiny_skills()) if env is None else env
    return SkillPriorPEARL("MlpPolicy", env, **(SMALL | settings))


def iterations(model: SkillPriorPEARL, number: int) -> list[list[FinishedEpisode]]:
    """The episodes of some meta-iterations, as they were stored."""
    seen: list[list[FinishedEpisode]] = []
    store = model._store

    def spy(finished: FinishedEpisode) -> None:
        seen[-1].append(finished)
        store(finished)

    class Enough(Exception):
        pass

    class Begin(BaseCallback):
        def _on_rollout_start(self) -> None:
            if len(seen) == number:  # the updates of the last one are done
                raise Enough
            seen.append([])

        def _on_step(self) -> bool:
            return True

    model._store = spy  # type: ignore[method-assign]
    with pytest.raises(Enough):
        model.learn(1_000_000, Begin(), reset_num_timesteps=False)
    model._store = store  # type: ignore[method-assign]
    assert len(seen) == number
    return seen


# ---------------------------------------------------------------- collecting
