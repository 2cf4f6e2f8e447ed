"""``EpisodeCollector``: every job once, whole episodes, each with its own latent; on vec envs of both kinds."""

from collections import deque
from collections.abc import Callable

import numpy as np
import pytest
import torch as th
from envs_for_tests import HORIZON, SKILL_DIM, LineEnv, LineTask, line_envs, tiny_skills
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from simpl_sb3.errors import EnvironmentSpecError
from simpl_sb3.experience.collector import EpisodeCollector, FinishedEpisode, Job, SkillStep
from simpl_sb3.skills.vec_env import SkillVecEnv
from simpl_sb3.skills.wrapper import SkillActionWrapper

N, LATENT = 3, 2


def skill_vec_env() -> VecEnv:
    return SkillVecEnv(line_envs(N), tiny_skills())


def dummy_vec_env() -> VecEnv:
    skills = tiny_skills()
    return DummyVecEnv([lambda: SkillActionWrapper(LineEnv(), skills)] * N)  # type: ignore[list-item]


every_vec_env = pytest.mark.parametrize("make", [skill_vec_env, dummy_vec_env], ids=["SkillVecEnv", "DummyVecEnv"])


def jobs(number: int) -> list[Job]:
    """Tasks that are reached soon, late, or never."""
    goals = [1.1, 30.0, -1.1, 2.0]
    return [Job(LineTask(goals[k % 4]), k, f"kind {k}") for k in range(number)]


def collect(env: VecEnv, todo: list[Job]) -> tuple[list[SkillStep], EpisodeCollector]:
    env.seed(0)
    env.reset()
    waiting = deque(todo)
    rng = np.random.default_rng(0)

    def act(observations: np.ndarray, latents: th.Tensor) -> np.ndarray:
        assert observations.shape == (N, 2)
        assert latents.shape == (N, LATENT)
        return rng.standard_normal((N, SKILL_DIM)).astype(np.float32)

    collector = EpisodeCollector(
        env,
        act,
        lambda _: waiting.popleft() if waiting else None,
        lambda job: th.full((LATENT,), float(job.task_index)),
        LATENT,
    )
    steps = []
    while collector.active.any():
        jobs_before, active = list(collector.jobs), collector.active
        for i in np.flatnonzero(active):
            assert (collector.latents[i] == jobs_before[i].task_index).all()  # type: ignore[union-attr]
        steps.append(collector.step())
        assert np.array_equal(steps[-1].indices, np.flatnonzero(active))
    return steps, collector


def finished(steps: list[SkillStep]) -> list[FinishedEpisode]:
    return [one for step in steps for one in step.finished]


@every_vec_env
@pytest.mark.parametrize("number", [1, 2, 3, 8])
def test_every_job_is_done_once(make: Callable[[], VecEnv], number: int) -> None:
    """Also with fewer jobs than environments, and where some are done before others."""
    done = finished(collect(make(), jobs(number))[0])
    assert sorted(one.job.task_index for one in done) == list(range(number))
    assert all(one.job == jobs(number)[one.job.task_index] for one in done)


@every_vec_env
def test_an_episode_is_whole(make: Callable[[], VecEnv]) -> None:
    """It begins at a start, goes on where it was, ends with its end; its env observations are what was paid for."""
    for one in finished(collect(make(), jobs(8))[0]):
        episode, task = one.episode, one.job.task
        assert episode.env_observations is not None
        assert abs(episode.observations[0, 0]) <= 0.2
        assert np.array_equal(episode.observations[1:], episode.next_observations[:-1])
        assert (episode.observations[:, 1] == episode.observations[0, 1]).all()  # x at the start
        assert episode.env_steps == len(episode.env_observations)
        assert np.array_equal(episode.env_observations[-1], episode.next_observations[-1])
        ends = np.cumsum(episode.skill_steps).astype(int)
        assert np.array_equal(episode.env_observations[ends - 1], episode.next_observations)
        rewards, terminated = task.rewards(episode.env_observations)
        assert episode.total_reward == rewards.sum() == one.success
        assert episode.terminated[-1] == terminated[-1] == one.success
        assert not terminated[:-1].any()
        assert episode.truncated.tolist() == [0.0] * (len(episode) - 1) + [float(not one.success)]
        assert one.success or episode.env_steps == 14
        assert (episode.skill_steps[:-1] == HORIZON).all()
        assert all(getattr(episode, name).dtype == np.float32 for name in ("observations", "actions", "rewards"))


@every_vec_env
def test_some_episodes_succeed_and_some_are_truncated(make: Callable[[], VecEnv]) -> None:
    """So that the other tests see both."""
    assert {one.success for one in finished(collect(make(), jobs(8))[0])} == {True, False}


@every_vec_env
def test_rows_of_the_steps_are_those_of_the_episodes(make: Callable[[], VecEnv]) -> None:
    steps, _ = collect(make(), jobs(5))
    rows: dict[int, list[dict[str, np.ndarray]]] = {i: [] for i in range(N)}
    for step in steps:
        for k, i in enumerate(step.indices):
            rows[int(i)].append({name: column[k] for name, column in step.rows.items()})
        assert len(step.finished) == step.ends.sum() == step.dones.sum()
        for i, one in zip(step.indices[step.ends], step.finished, strict=True):
            for name in rows[int(i)][0]:
                assert np.array_equal(np.stack([row[name] for row in rows[int(i)]]), getattr(one.episode, name)), name
            rows[int(i)] = []
    assert not any(rows.values())


@every_vec_env
def test_an_environment_without_a_job_reports_no_end(make: Callable[[], VecEnv]) -> None:
    steps, collector = collect(make(), jobs(2))
    assert not any(step.dones[2] for step in steps)
    assert not collector.active.any()


def test_environments_without_a_job_cost_nothing_where_the_vec_env_can_leave_them_out() -> None:
    steps, _ = collect(skill_vec_env(), jobs(1))
    assert all(info["skill_steps"] == 0 for step in steps for info in step.infos[1:])


def test_an_exploring_episode_may_draw_its_latent_again() -> None:
    """After so many skills, each environment by its own count; other episodes keep theirs."""
    env = skill_vec_env()
    env.reset()
    drawn: list[Job] = []
    kinds = ["exploration", "posterior", "exploration"]

    def draw(job: Job) -> th.Tensor:
        drawn.append(job)
        return th.full((LATENT,), float(len(drawn)))

    waiting = deque(Job(LineTask(30.0), k, kind) for k, kind in enumerate(kinds))
    collector = EpisodeCollector(
        env,
        lambda *_: np.zeros((N, SKILL_DIM), np.float32),
        lambda _: waiting.popleft() if waiting else None,
        draw,
        LATENT,
        lambda _, age: age >= 2,
    )
    latents = []
    while collector.active.any():
        latents.append(collector.latents[:, 0].tolist())
        collector.step()
    assert latents == [[1, 2, 3], [1, 2, 3], [4, 2, 5], [4, 2, 5]]  # 14 env steps are 4 skills
    assert [job.kind for job in drawn] == [*kinds, "exploration", "exploration"]


@every_vec_env
def test_no_job_at_all(make: Callable[[], VecEnv]) -> None:
    assert collect(make(), [])[0] == []


def test_both_vec_envs_give_the_same_episodes() -> None:
    """As long as every environment has a job: then both draw the same numbers."""
    ours, plain = (finished(collect(make(), jobs(N))[0]) for make in (skill_vec_env, dummy_vec_env))
    for one, other in zip(ours, plain, strict=True):
        assert one.job == other.job
        assert one.success == other.success
        assert np.allclose(one.episode.observations, other.episode.observations, atol=1e-5)


def test_episodes_without_env_observations_can_be_collected() -> None:
    """From an environment of one's own, whose actions are skills without our wrapper."""
    env = dummy_vec_env()
    step_wait = env.step_wait

    def without() -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, object]]]:
        observations, rewards, dones, infos = step_wait()
        for info in infos:
            info.pop("skill_observations")
        return observations, rewards, dones, infos  # type: ignore[return-value]

    env.step_wait = without  # type: ignore[method-assign]
    assert all(one.episode.env_observations is None for one in finished(collect(env, jobs(3))[0]))


def test_a_long_episode_is_said_before_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simpl_sb3.experience.collector.LONG_EPISODE_ENV_STEPS", 20)
    monkeypatch.setattr("simpl_sb3.experience.collector.MAX_EPISODE_ENV_STEPS", 40)
    env = SkillVecEnv([lambda: LineEnv(limit=10**6)], tiny_skills())
    env.reset()
    job = Job(LineTask(1e6), 0, "exploration")
    collector = EpisodeCollector(
        env, lambda o, e: np.zeros((1, SKILL_DIM), np.float32), lambda _: job, lambda _: th.zeros(LATENT), LATENT
    )

    def go_on() -> None:
        for _ in range(8):
            collector.step()

    with pytest.warns(UserWarning, match="Environment 0 has not ended its episode after 20 env steps") as told:
        go_on()
    assert len(told) == 1
    with pytest.raises(EnvironmentSpecError, match=r"has not ended its episode after 4\d env steps"):
        go_on()
