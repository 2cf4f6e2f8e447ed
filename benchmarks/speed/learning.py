"""Updates at the sizes of presets, on buffers full of random rows, and the machine's rate of matrix products."""

import os
from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th

from simpl_envs.maze.layout import PUBLISHED_LAYOUT, random_goals
from simpl_sb3 import SkillModel, SkillPriorPEARL, make_skill_vec_env
from simpl_sb3.algorithms.adaptation import Adaptation, Cohort
from simpl_sb3.algorithms.policies import SkillActorCritic
from simpl_sb3.algorithms.settings import AdaptationSettings
from simpl_sb3.algorithms.task_encoders import TASK_ENCODERS
from simpl_sb3.domains.preset import split_settings
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experiments.presets import preset
from simpl_sb3.numerics import matmul_precision
from simpl_sb3.skills.settings import ExtractionSettings, SkillModelSettings
from simpl_sb3.threads import LARGE_PRODUCT, largest_layer
from speed.collection import ENVIRONMENTS
from speed.flops import Networks, adaptation_flops, meta_flops
from speed.pairs import Half, timed

__all__ = ["Adapting", "MetaTraining", "matrix_products"]

SHAPES = ((1024, 512, 512), (4096, 512, 512), (8192, 256, 256), (1024, 1024, 1024))
"""Rows, inputs, outputs: the best of them is the machine's rate."""
SKILLS_PER_EPISODE = 50


class MetaTraining:
    """
    A model about to update, as a preset makes it.

    :param name: of the preset, of a domain
    :param settings: other than the preset's
    :param n_tasks: training tasks; None for the domain's own
    """

    def __init__(self, name: str, n_tasks: int | None = None, **settings: Any) -> None:
        self.domain = str(preset(name).domain)
        tasks = {} if n_tasks is None else {"train_tasks": _some_tasks(self.domain, n_tasks)}
        self.env = make_skill_vec_env(ENVIRONMENTS[self.domain], _skills(name), 1, check_env=False, **tasks)
        chosen = preset(name).section("meta_train") | settings
        self.model = SkillPriorPEARL("MlpPolicy", self.env, **chosen, seed=0, device="cpu")
        for buffer in (self.model.replay_buffer, self.model.context_buffer):
            fill(buffer)
        self.model.policy.set_training_mode(True)
        config, policy = self.model.config, self.model.policy
        self.precision = config.matmul_precision
        rows = sum(config.tasks_per_update) * config.batch_size
        self.threads = _threads(rows * largest_layer(policy))
        encoder: Any = policy.task_encoder
        kinds = {made: kind for kind, made in TASK_ENCODERS.items()}
        self.flops = meta_flops(
            networks_of(policy),
            kinds[type(encoder)],
            encoder.row_dim,
            policy.task_latent_dim,
            encoder.head[0].out_features,
            config.tasks_per_update,
            config.context_sizes,
            config.batch_size,
        )

    def half(self) -> float:
        """One update, samples included; its plain work."""
        model = self.model
        tasks = model._draw_tasks()
        batch = model._draw_batch(tasks, model.config.batch_size).as_one()
        model.learner.update_tasks(tasks, batch, *model._draw_contexts(tasks))
        return float(self.flops)

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


class Adapting:
    """
    Agents about to fine-tune, as a preset makes them.

    :param name: of the preset, of a domain
    :param n_agents: side by side
    :param settings: of the adaptation, other than the preset's
    """

    def __init__(self, name: str, n_agents: int, **settings: Any) -> None:
        meta = MetaTraining(name, buffer_size=100, context_buffer_size=100)
        self.env = make_skill_vec_env(ENVIRONMENTS[meta.domain], meta.model.skills, n_agents, check_env=False)
        tasks: Any = self.env.get_attr("test_tasks")[0]
        chosen = preset(name).section("adapt") | {"buffer_size": 2_000} | settings
        self.settings = AdaptationSettings.of(chosen)
        adaptation = Adaptation(
            self.env, [tasks[i % len(tasks)] for i in range(n_agents)], meta.model.skills, meta.model, self.settings, 0
        )
        self.cohort: Cohort = adaptation.new_cohort(np.arange(n_agents))
        self.replay = adaptation.replay
        fill(self.replay)
        meta.close()
        policy, batch_size = self.cohort.policy, self.settings.batch_size
        self.precision, self.threads = self.settings.matmul_precision, _threads(batch_size * largest_layer(policy))
        self.flops = adaptation_flops(networks_of(policy), n_agents, batch_size)

    def half(self) -> float:
        """One update of all agents, samples included; its plain work."""
        self.cohort.update(self.replay, self.settings, 1)
        return float(self.flops)

    def close(self) -> None:
        """Close the environments."""
        self.env.close()


def networks_of(policy: SkillActorCritic) -> Networks:
    """Sizes of a policy's networks and of the skill prior below it."""
    skills: Any = policy.skills
    prior = [skills.prior_net.linears[0].in_features, *skills.sizes.prior_hidden, 2 * skills.skill_dim]
    actor, critic = (
        (network.weights[0].shape[1], *(weight.shape[2] for weight in network.weights))
        for network in (policy.actor, policy.critics)
    )
    return Networks(actor, critic, tuple(prior))


def fill(buffer: TaskReplayBuffer) -> None:
    """Random numbers in every row; episodes of equal length, whose last row is rewarded."""
    rng = np.random.default_rng(0)
    buffer.rows[:] = rng.standard_normal(buffer.rows.shape, np.float32)
    at = np.arange(len(buffer.rows)) % SKILLS_PER_EPISODE == SKILLS_PER_EPISODE - 1
    buffer.ends[:], buffer.skill_steps[:] = at, 10.0
    buffer.rows[:, buffer.layout.columns["rewards"].start] = at
    buffer.rows[:, buffer.layout.columns["terminated"].start] = at
    buffer.written[:] = buffer.capacity


def matrix_products(precision: str, threads: int) -> Half:
    """
    The machine's fastest matrix product.

    :param precision: torch's name for that of float32 products
    :param threads: of torch
    :return: floating-point operations
    """
    shape = _best_shape(precision, threads)
    return _product(precision, threads, shape)


@cache
def _best_shape(precision: str, threads: int) -> tuple[int, int, int]:
    def rate(shape: tuple[int, int, int]) -> float:
        half = _product(precision, threads, shape)
        timed(half)
        return sorted(timed(half).rate for _ in range(3))[1]

    return max(SHAPES, key=rate)


def _product(precision: str, threads: int, shape: tuple[int, int, int]) -> Half:
    n_rows, fan_in, fan_out = shape
    left, right, out = th.randn(n_rows, fan_in), th.randn(fan_in, fan_out), th.empty(n_rows, fan_out)

    def half() -> float:
        before = th.get_num_threads()
        th.set_num_threads(threads)
        try:
            with matmul_precision(precision):
                th.mm(left, right, out=out)
        finally:
            th.set_num_threads(before)
        return 2.0 * n_rows * fan_in * fan_out

    return half


def _threads(multiplications: int) -> int:
    """Threads of the largest product of an update: one, or from ``LARGE_PRODUCT`` on all that torch has."""
    chosen = any(os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))
    return th.get_num_threads() if chosen or multiplications >= LARGE_PRODUCT else 1


def _skills(name: str) -> SkillModel:
    """Untrained skills of a preset's sizes."""
    env = gym.make(ENVIRONMENTS[str(preset(name).domain)])
    sizes, _ = split_settings(preset(name).extract, SkillModelSettings, ExtractionSettings)
    spaces: Any = env.observation_space, env.action_space
    env.close()
    return SkillModel(*spaces, **sizes.as_dict()).freeze()


def _some_tasks(domain: str, n_tasks: int) -> list[Any]:
    if domain != "maze":
        raise ValueError(f"Expected the maze for another number of tasks, got {domain}")
    return list(random_goals(PUBLISHED_LAYOUT, n_tasks, 0, 5))
