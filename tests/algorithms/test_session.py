"""Adaptation from outside: the same episodes as ``adapt``, saved at any step, and agents from recorded episodes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from adaptation_for_tests import PROBE, QUICK, trained
from envs_for_tests import HORIZON, SKILL_DIM, LineEnv, LineTask, same_parameters, tiny_skills

from simpl_envs import GoalTask
from simpl_sb3.algorithms.session import AdaptationSession
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import EnvironmentSpecError, ModelFileError, SettingsError
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.experience.episode import RecordedEpisode
from simpl_sb3.experiments.presets import PRETRAINED
from simpl_sb3.skills.wrapper import SkillActionWrapper

Log = list[FinishedEpisode]
HERE, NEAR, FAR = LineTask(0.0), LineTask(1.3), LineTask(30.0)


@pytest.fixture(scope="module")
def meta() -> SkillPriorPEARL:
    return trained()


def drive(
    session: AdaptationSession,
    env: gym.Env[Any, Any],
    task: Any,
    seed: int | None = 0,
    at: Callable[[int, AdaptationSession], AdaptationSession] = lambda step, session: session,
) -> AdaptationSession:
    """Live all episodes in an environment, which is reset as often as a vec env resets it; ``at`` sees every step."""
    step = 0
    if seed is not None:
        env.reset(seed=10_000 + 1_000 * seed)
    while session.phase != "adapted":
        observation, _ = env.reset(options={"task": task})
        ended = False
        while not ended:
            observation, reward, terminated, truncated, info = env.step(session.act(observation))
            session.observe(observation, float(reward), terminated, truncated, info["is_success"])
            ended = terminated or truncated
            session, step = at(step, session), step + 1
        env.reset()
    return session


def assert_same(one: Log, other: Log) -> None:
    assert len(one) == len(other) > 0
    for mine, theirs in zip(one, other, strict=True):
        assert (mine.job.kind, mine.success) == (theirs.job.kind, theirs.success)
        for name, value in vars(mine.episode).items():
            assert np.array_equal(value, getattr(theirs.episode, name)), name


@pytest.mark.parametrize("task", [NEAR, FAR])
@pytest.mark.parametrize("on", [False, True])
def test_a_session_lives_the_episodes_of_adapt(meta: SkillPriorPEARL, task: LineTask, on: bool) -> None:
    changes = QUICK | {"explore_until_reward": on, "exploration": "posterior"}
    theirs, mine = Log(), Log()
    agent = meta.adapt(
        SkillActionWrapper(LineEnv(), tiny_skills()),
        task,
        seed=0,
        on_episode=lambda *one: theirs.append(one[2]),
        **changes,
    )
    session = meta.start_adaptation(seed=0, on_episode=lambda *one: mine.append(one[2]), **changes)
    th.manual_seed(99)  # the session's random numbers are its own
    session = drive(session, LineEnv(), task)
    assert_same(theirs, mine)
    assert same_parameters(agent.policy, session.agent.policy)
    assert session.n_episodes == 5


def test_a_session_lives_the_episodes_of_adapt_in_the_maze() -> None:
    model = SkillPriorPEARL.load(PRETRAINED / "maze-fast" / "model.zip", device="cpu")
    short: dict[str, Any] = {"n_episodes": 2, "n_exploration_episodes": 1, "initial_updates": 2}
    theirs, mine = Log(), Log()
    wrapped = SkillActionWrapper(gym.make("SimplMaze-v0"), model.skills)
    model.adapt(wrapped, GoalTask((12, 7)), seed=3, on_episode=lambda *one: theirs.append(one[2]), **short)
    session = model.start_adaptation(seed=3, on_episode=lambda *one: mine.append(one[2]), **short)
    drive(session, gym.make("SimplMaze-v0"), GoalTask((12, 7)), seed=3)
    assert_same(theirs, mine)


def test_a_session_without_a_model_is_spirl() -> None:
    log = Log()
    session = AdaptationSession(
        tiny_skills(), seed=0, on_episode=lambda *one: log.append(one[2]), net_arch=(8,), **QUICK
    )
    assert session.phase == "fine-tuning"
    assert session.task_latent is session.acts_with is None
    drive(session, LineEnv(), NEAR)
    assert [one.job.kind for one in log] == ["fine-tuning"] * 5
    assert isinstance(session.agent, SkillPriorSAC)


def test_phases_follow_what_was_rewarded(meta: SkillPriorPEARL) -> None:
    seen: dict[LineTask, list[str]] = {}
    for task in (HERE, FAR):
        phases = seen[task] = ["exploring"]

        def note(step: int, session: AdaptationSession, phases: list[str] = phases) -> AdaptationSession:
            if session.phase != phases[-1]:
                phases.append(session.phase)
            return session

        many = QUICK | {"n_exploration_episodes": 4, "exploration": "posterior"}
        drive(meta.start_adaptation(seed=0, **many), LineEnv(), task, at=note)
    assert seen[HERE] == ["exploring", "inferred", "fine-tuning", "adapted"]
    assert seen[FAR] == ["exploring", "fine-tuning", "adapted"]


@pytest.mark.parametrize("every", [1, HORIZON * 5 + 2])
def test_a_saved_session_goes_on_to_the_bit(meta: SkillPriorPEARL, tmp_path: Path, every: int) -> None:
    changes = QUICK | {"exploration": "posterior", "explore_until_reward": True}
    straight, stopped = Log(), Log()
    first = drive(
        meta.start_adaptation(seed=1, on_episode=lambda *one: straight.append(one[2]), **changes), LineEnv(), NEAR, 1
    )

    def save_and_load(step: int, session: AdaptationSession) -> AdaptationSession:
        if step % every:
            return session
        session.save(tmp_path / "session")
        return meta.load_adaptation(tmp_path / "session", on_episode=lambda *one: stopped.append(one[2]))

    begun = meta.start_adaptation(seed=1, on_episode=lambda *one: stopped.append(one[2]), **changes)
    again = drive(begun, LineEnv(), NEAR, 1, save_and_load)
    assert_same(straight, stopped)
    assert same_parameters(first.agent.policy, again.agent.policy)
    again.save(tmp_path / "adapted")
    last = meta.load_adaptation(tmp_path / "adapted.zip")
    assert last.phase == "adapted"
    observation = np.zeros(2, np.float32)
    assert np.array_equal(last.act(observation), again.act(observation))  # goes on acting, with the same numbers


def test_a_session_saved_between_act_and_observe_goes_on(meta: SkillPriorPEARL, tmp_path: Path) -> None:
    session = meta.start_adaptation(seed=0, **QUICK)
    session.act(np.zeros(2))
    session.save(tmp_path / "session")
    again = meta.load_adaptation(tmp_path / "session")
    for each in (session, again):
        each.observe(np.ones(2), 0.0, False, False)
    assert np.array_equal(session.act(np.ones(2)), again.act(np.ones(2)))


def test_asking_what_a_session_knows_changes_nothing(meta: SkillPriorPEARL) -> None:
    quiet, asked = Log(), Log()
    few = QUICK | {"context_size": 2}  # drawn at random from what was seen
    drive(meta.start_adaptation(seed=0, on_episode=lambda *one: quiet.append(one[2]), **few), LineEnv(), NEAR)

    def ask(step: int, session: AdaptationSession) -> AdaptationSession:
        if len(session.context):
            assert session.task_latent is not None
            assert session.agent.predict(PROBE)[0].shape == (5, SKILL_DIM)
        return session

    drive(meta.start_adaptation(seed=0, on_episode=lambda *one: asked.append(one[2]), **few), LineEnv(), NEAR, at=ask)
    assert_same(quiet, asked)


def test_misuse_is_named(meta: SkillPriorPEARL) -> None:
    session = meta.start_adaptation(seed=0, **QUICK)
    with pytest.raises(SettingsError, match="without an action"):
        session.observe(np.zeros(2), 0.0, False, False)
    with pytest.raises(SettingsError, match="Nothing was seen"):
        _ = session.agent
    with pytest.raises(EnvironmentSpecError, match=r"shape \(3,\): expected \(2,\)"):
        session.act(np.zeros(3))
    session.act(np.zeros(2))
    with pytest.raises(SettingsError, match="twice"):
        session.act(np.zeros(2))
    with pytest.raises(EnvironmentSpecError, match="nan"):
        session.observe(np.array([np.nan, 0.0]), 0.0, False, False)
    with pytest.raises(EnvironmentSpecError, match="terminated is 1"):
        session.observe(np.zeros(2), 0.0, 1, False)  # type: ignore[arg-type]
    session.observe(np.zeros(2), 0.0, False, True)  # none of these took the action away
    assert session.n_episodes == 1


def test_files_of_another_kind_or_model_are_refused(meta: SkillPriorPEARL, tmp_path: Path) -> None:
    meta.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match="is not a saved session"):
        meta.load_adaptation(tmp_path / "model.zip")
    with pytest.raises(ModelFileError, match="No saved session"):
        meta.load_adaptation(tmp_path / "nothing.zip")
    meta.start_adaptation(seed=0, **QUICK).save(tmp_path / "session")
    other = SkillPriorPEARL.load(tmp_path / "model.zip", device="cpu")
    with th.no_grad():
        other.policy.latent_mean.add_(1.0)
    with pytest.raises(ModelFileError, match="another model"):
        other.load_adaptation(tmp_path / "session.zip")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "session.zip").read_bytes()[:500])
    with pytest.raises(ModelFileError, match="is not a saved session"):
        meta.load_adaptation(tmp_path / "cut.zip")


# ---------------------------------------------------------------- infer


def test_infer_conditions_on_what_was_recorded(meta: SkillPriorPEARL) -> None:
    log = Log()
    session = meta.start_adaptation(seed=0, on_episode=lambda *one: log.append(one[2]), **QUICK)
    drive(session, LineEnv(), NEAR)
    explored = [one.episode for one in log if one.job.kind == "exploration"]
    agent = meta.infer(explored)
    assert session.task_latent is not None
    assert th.equal(agent.policy.task_latent[0], session.task_latent[0])
    assert agent.num_timesteps == 0
    other = meta.infer(explored[:1])
    assert not th.equal(other.policy.task_latent, agent.policy.task_latent)
    assert agent.predict(PROBE)[0].shape == (5, SKILL_DIM)
    recorded = [
        RecordedEpisode(
            observations=np.concatenate([one.observations[:1], one.env_observations]),  # type: ignore[list-item]
            rewards=np.r_[np.zeros(one.env_steps - 1), one.total_reward],
            latents=one.actions,
            terminated=bool(one.terminated[-1]),
        )
        for one in explored
    ]
    assert th.equal(meta.infer(recorded).policy.task_latent, agent.policy.task_latent)


def test_infer_refuses_what_is_no_episode(meta: SkillPriorPEARL) -> None:
    with pytest.raises(SettingsError, match="No episode"):
        meta.infer([])
    with pytest.raises(SettingsError, match="a str"):
        meta.infer(["episode"])  # type: ignore[list-item]
