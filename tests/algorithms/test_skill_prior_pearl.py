"""``SkillPriorPEARL``: what a meta-iteration collects, where it goes, what an update moves; it behaves as SB3's do."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from envs_for_tests import SKILL_DIM, LineEnv, line_envs, same_parameters, tiny_skills
from pearl_for_tests import LATENT, N_TASKS, TASKS, iterations, make

from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.task_encoders import TASK_ENCODERS
from simpl_sb3.experience.collector import FinishedEpisode, Job
from simpl_sb3.skills.vec_env import SkillVecEnv, make_skill_vec_env
from simpl_sb3.skills.wrapper import SkillActionWrapper


def test_it_runs_as_it_stands() -> None:
    """The example of the README with one wrapped environment, cut short."""
    model = SkillPriorPEARL("MlpPolicy", SkillActionWrapper(LineEnv(), tiny_skills()), gradient_steps=1).learn(1)
    assert model._n_updates == 1
    assert model.num_timesteps > 1


def told(one: FinishedEpisode) -> tuple[str, int]:
    """Why an episode was collected, and for which task."""
    return "exploration" if one.job.explores else one.job.kind, one.job.task_index


@pytest.mark.parametrize("n_envs", [1, 2, 6, 9])
def test_a_meta_iteration_is_an_exploration_and_a_posterior_episode_per_task(n_envs: int) -> None:
    """But for the first, which has no context yet; with fewer and with more environments than episodes."""
    first, second = iterations(make(SkillVecEnv(line_envs(n_envs), tiny_skills())), 2)
    explore, posterior = [("exploration", i) for i in range(N_TASKS)], [("posterior", i) for i in range(N_TASKS)]
    assert sorted(told(one) for one in first) == explore
    assert sorted(told(one) for one in second) == explore + posterior
    assert all(one.job.task == TASKS[one.job.task_index] for one in first + second)


@pytest.mark.parametrize(
    "make_env", [lambda: SkillActionWrapper(LineEnv(), tiny_skills()), lambda: SkillVecEnv(line_envs(4), tiny_skills())]
)
def test_both_clocks(make_env: Callable[[], Any]) -> None:
    model = make(make_env())
    episodes = [one.episode for iteration in iterations(model, 2) for one in iteration]
    assert model.num_timesteps == sum(len(episode) for episode in episodes)
    assert model.num_env_steps == sum(episode.env_steps for episode in episodes)
    assert model._episode_num == len(episodes)


def starts_of(model: SkillPriorPEARL, name: str) -> list[set[float]]:
    """Of each task's ring: its episodes' starts, which an observation's second number tells, and no two share."""
    buffer = getattr(model, name)
    size = buffer.capacity
    return [set(buffer.rows[i * size : i * size + int(buffer.sizes[i]), 1].tolist()) for i in range(N_TASKS)]


def test_where_episodes_go_without_hindsight() -> None:
    """Exploration into context and replay of their own task, posterior episodes into the replay only."""
    model = make(hindsight=False)
    episodes = [one for iteration in iterations(model, 3) for one in iteration]
    for name, kinds in (("replay_buffer", {"exploration", "posterior"}), ("context_buffer", {"exploration"})):
        expected: list[set[float]] = [set() for _ in range(N_TASKS)]
        for one in episodes:
            if told(one)[0] in kinds:
                expected[one.job.task_index].add(float(one.episode.observations[0, 1]))
        assert starts_of(model, name) == expected


def test_where_episodes_go_with_hindsight() -> None:
    """Also to every other task that would have paid for them: 1.5 and -1.5 see each other's, 30 sees none."""
    model = make(hindsight=True)
    episodes = [one for iteration in iterations(model, 6) for one in iteration]
    for name, kinds in (("replay_buffer", {"exploration", "posterior"}), ("context_buffer", {"exploration"})):
        expected: list[set[float]] = [set() for _ in range(N_TASKS)]
        for one in episodes:
            for i, task in enumerate(TASKS):
                would_pay = task.rewards(one.episode.env_observations)[0].any()
                if told(one)[0] in kinds and (i == one.job.task_index or would_pay):
                    expected[i].add(float(one.episode.observations[0, 1]))
        assert starts_of(model, name) == expected
    own = [
        {float(one.episode.observations[0, 1]) for one in episodes if one.job.task_index == i} for i in range(N_TASKS)
    ]
    assert any(starts_of(model, "replay_buffer")[i] > own[i] for i in (0, 1))


def test_every_row_is_paid_as_its_own_task_pays() -> None:
    model = make()
    iterations(model, 4)
    for buffer in (model.replay_buffer, model.context_buffer):
        for i, task in enumerate(TASKS):
            rows = buffer.rows[i * buffer.capacity : i * buffer.capacity + int(buffer.sizes[i])]  # type: ignore[union-attr]
            reached = np.abs(rows[:, -2] - task.goal) <= 1.0
            assert np.array_equal(rows[:, 2 + SKILL_DIM], reached)
            assert np.array_equal(rows[:, 3 + SKILL_DIM], reached)


def test_a_posterior_episode_keeps_one_latent_of_its_tasks_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    iterations(model, 1)
    monkeypatch.setattr(
        model.policy, "infer", lambda context: (th.full((1, LATENT), float(context[0, 0, 1])), th.zeros(1, LATENT))
    )
    drawn: list[int] = []
    sample_context = model.context_buffer.sample_context
    monkeypatch.setattr(
        model.context_buffer,
        "sample_context",
        lambda tasks, *sizes: (drawn.append(tasks[0]), sample_context(tasks, *sizes))[1],
    )
    starts = starts_of(model, "context_buffer")
    for i, task in enumerate(TASKS):
        e = model._guess_for(Job(task, i, "posterior"))
        assert e.shape == (LATENT + 1,)
        assert e[-1] == 0.0  # not the bare skill prior
        assert e[0].item() in starts[i]
    assert drawn == [0, 1, 2]


def test_exploration_from_the_prior_is_standard_normal() -> None:
    model = make(exploration="prior")
    drawn = th.stack([model._guess_for(Job(TASKS[0], 0, "exploration"))[:-1] for _ in range(500)])
    th.testing.assert_close(drawn.mean(dim=0), th.zeros(LATENT), atol=0.15, rtol=0.0)
    th.testing.assert_close(drawn.std(dim=0), th.ones(LATENT), atol=0.15, rtol=0.0)


# ---------------------------------------------------------------- updating


def test_an_update_moves_everything_but_the_skills() -> None:
    model = make(multipliers_only_grow=False)
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    multipliers = {name: budget.multiplier() for name, budget in model.learner.budgets.items()}
    iterations(model, 2)
    after = model.policy.state_dict()
    moved = {name.split(".")[0] for name, value in before.items() if not th.equal(value, after[name])}
    assert {"actor", "critics", "critics_target", "task_encoder"} <= moved
    assert "skills" not in moved
    for name, budget in model.learner.budgets.items():
        assert not (budget.multiplier() == multipliers[name]).any(), name
    for name, value in before.items():
        if name.startswith("task_encoder."):
            assert not th.equal(value, after[name]), name


def test_optimisers_share_no_parameter() -> None:
    """The encoder learns with the critics, never with the actor."""
    model = make()
    owners = {
        name: {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for name, optimizer in model.learner.all_optimizers().items()
    }
    assert sum(len(ids) for ids in owners.values()) == len(set.union(*owners.values()))
    assert {id(parameter) for parameter in model.policy.task_encoder.parameters()} < owners["critic"]
    frozen = {id(p) for module in (model.policy.skills, model.policy.critics_target) for p in module.parameters()}
    assert not frozen & set.union(*owners.values())


def test_contexts_have_the_sizes_of_their_groups() -> None:
    model = make()
    iterations(model, 1)
    row = 2 + SKILL_DIM + 2 + 2
    few, many = model._draw_contexts(np.array([2, 0, 1, 1]))
    assert (few.shape, many.shape) == ((1, 2, row), (3, 8, row))
    starts = starts_of(model, "context_buffer")  # of each task's episodes, which no two share
    for context, task in zip([*few, *many], [2, 0, 1, 1], strict=True):
        assert set(context[:, 1].tolist()) <= starts[task]


def test_multipliers_start_where_told() -> None:
    model = make(skill_kl_multipliers=(0.1, 0.2), latent_kl_multipliers=(0.3, 0.4))
    budgets = model.learner.budgets
    assert budgets["skill_kl"].multiplier().tolist() == pytest.approx([0.1, 0.2])
    assert budgets["latent_kl"].multiplier().tolist() == pytest.approx([0.3, *[0.4] * N_TASKS])


def test_updates_per_meta_iteration() -> None:
    assert make(gradient_steps=3).learn(1)._n_updates == 3
    model = make(gradient_steps=-1, batch_size=100)
    n_skills = sum(len(one.episode) for one in iterations(model, 1)[0])
    assert model._n_updates == 256 * n_skills // (4 * 100) > 0  # the published number: tasks x batch in the denominator


def test_more_tasks_per_update_than_there_are() -> None:
    model = make(tasks_per_update=(5, 9)).learn(1)
    assert model._n_updates == 2


@pytest.mark.parametrize("task_encoder", TASK_ENCODERS)
def test_task_encoders(task_encoder: str) -> None:
    model = make(task_encoder=task_encoder).learn(1)
    mean, std = model.infer_task_latent(model.context_buffer.whole_context(0))
    assert mean.shape == std.shape == (1, LATENT)
    assert not mean.requires_grad


@pytest.mark.parametrize(
    "settings",
    [
        {"hindsight": False},
        {"n_steps": 1},
        {"gamma_per_env_step": True},
        {"handle_timeout_termination": True},
        {"context_reward_rows": 0},
        {"exploration": "prior"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_options(settings: dict[str, Any]) -> None:
    """Each has an effect."""
    runs = []
    for given in ({}, settings):
        runs.append(make(**given))
        iterations(runs[-1], 3)
    assert not same_parameters(runs[0].policy, runs[1].policy)


@pytest.mark.parametrize("n_envs", [1, 4])
def test_seeded_runs_are_equal_to_the_bit(n_envs: int) -> None:
    runs = []
    for seed in (3, 3, 4):
        runs.append(make(SkillVecEnv(line_envs(n_envs), tiny_skills()), seed=seed))
        iterations(runs[-1], 3)
    assert same_parameters(runs[0].policy, runs[1].policy)
    assert np.array_equal(runs[0].replay_buffer.rows, runs[1].replay_buffer.rows)  # type: ignore[union-attr]
    assert not np.array_equal(runs[0].replay_buffer.rows, runs[2].replay_buffer.rows)  # type: ignore[union-attr]


def test_on_native_mazes() -> None:
    maze = gym.make("SimplMaze-v0")
    skills = tiny_skills(maze.observation_space, maze.action_space)
    env = make_skill_vec_env("SimplMaze-v0", skills, 10, train_tasks="train-10", max_episode_steps=20, seed=0)
    model = make(env)
    first, second = iterations(model, 2)
    assert (len(first), len(second)) == (10, 20)
    env.close()
