"""Agents that give the meta-policy up, and learners that take others in."""

from typing import Any

import numpy as np
import pytest
import torch as th
from adaptation_for_tests import PROBE, TASKS, run, settings, trained, vec_env
from envs_for_tests import tiny_skills

from simpl_sb3.algorithms.adaptation import Adaptation
from simpl_sb3.algorithms.cohort import Cohort
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.updates import AgentLearner
from simpl_sb3.experience.buffer import TaskReplayBuffer


@pytest.fixture(scope="module")
def meta() -> SkillPriorPEARL:
    return trained()


# ---------------------------------------------------------------- who gives up, and when

LONG: dict[str, Any] = {
    "n_episodes": 12,
    "n_exploration_episodes": 8,
    "exploration": "posterior",
    "explore_until_reward": True,
}


def episodes_until_then(rewarded: list[bool], patience: int) -> int | None:
    """Episodes after which an agent whose episodes were so rewarded gives up; None where it never does."""
    first = rewarded.index(True) + 1 if any(rewarded) else len(rewarded)
    after = rewarded[first : first + patience]
    return first + patience if len(after) == patience and not any(after) else None


@pytest.mark.parametrize("patience", [1, 2])
def test_who_finds_no_reward_again_begins_anew(
    meta: SkillPriorPEARL, patience: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many episodes with what it inferred; one more reward, and it never does."""
    begun: list[tuple[int, int, bool]] = []
    begin = Adaptation._begin

    def spy(self: Adaptation, agents: np.ndarray, anew: bool = False) -> None:
        begun.extend((int(agent), int(self.finished[agent]), anew) for agent in agents)
        begin(self, agents, anew)

    monkeypatch.setattr(Adaptation, "_begin", spy)
    agents, log, adaptation = run(meta, meta_policy_patience=patience, **LONG)
    gave_up = 0
    for i in range(3):
        rewarded = [one.episode.total_reward > 0 for _, one in log[i]]
        then = episodes_until_then(rewarded, patience)
        assert [after for agent, after, anew in begun if agent == i and anew] == ([] if then is None else [then])
        if then is None:
            continue
        gave_up += 1
        kinds = [one.job.kind for _, one in log[i]]
        assert kinds[:then] == ["exploration"] * min(then, 8) + ["fine-tuning"] * max(0, then - 8)
        assert kinds[then:] == ["fine-tuning"] * (12 - then)
        assert not agents[i].policy.task_latent.any()
        assert adaptation.replay.sizes[i] == sum(len(one.episode) for _, one in log[i])  # nothing is forgotten
    assert gave_up


def test_without_patience_nobody_gives_up(meta: SkillPriorPEARL) -> None:
    agents, log, _ = run(meta, **LONG)
    assert any(episodes_until_then([one.episode.total_reward > 0 for _, one in log[i]], 1) for i in range(3))
    assert all(agent.policy.task_latent.any() for agent in agents)


def test_who_begins_anew_acts_as_the_skill_prior(meta: SkillPriorPEARL) -> None:
    """Before its first update, with the multiplier of agents without a meta-policy."""
    adaptation = Adaptation(vec_env(), TASKS, tiny_skills(), meta, settings(n_exploration_episodes=0), seed=0)
    adaptation._begin(np.array([0, 2]))
    adaptation._begin(np.array([2]), anew=True)
    assert adaptation.cohort is not None
    assert adaptation.cohort.agents.tolist() == [0, 2]
    policy = adaptation.cohort.policy
    probe = th.as_tensor(PROBE).expand(2, -1, -1)
    (mean, _), (prior, _) = policy.distribution(probe, policy.latents(len(PROBE)))
    assert th.equal(mean[1], prior[1])
    assert not th.equal(mean[0], prior[0])
    multipliers = adaptation.cohort.learner.budget.multiplier()[:, 0]
    assert multipliers.tolist() == pytest.approx([adaptation.multiplier, 0.05])


# ---------------------------------------------------------------- learners that take others in


def filled(n_agents: int) -> TaskReplayBuffer:
    """Random rows of so many agents."""
    env = vec_env()
    rng, buffer = np.random.default_rng(0), TaskReplayBuffer(n_agents, 50, 2, env.action_space.shape[0], seed=0)  # type: ignore[index]
    names = {"observations": 2, "actions": env.action_space.shape[0], "next_observations": 2}  # type: ignore[index]
    for _ in range(20):
        rows = {name: rng.normal(size=(n_agents, width)).astype(np.float32) for name, width in names.items()}
        ones = np.ones(n_agents, np.float32)
        rows |= {"rewards": ones, "terminated": 0 * ones, "skill_steps": ones, "truncated": 0 * ones}
        buffer.add(np.arange(n_agents), rows, np.zeros(n_agents, bool))
    return buffer


def cohort(agents: list[int], meta: SkillPriorPEARL, n_updates: int) -> Cohort:
    env, chosen = vec_env(), settings()
    made = Cohort(
        np.array(agents), (env.observation_space, env.action_space), tiny_skills(), meta.policy, chosen, 0.1 + agents[0]
    )
    made.policy.task_latent += float(agents[0])
    made.update(filled(4), chosen, n_updates)
    return made


def corrected(learner: AgentLearner, member: int) -> dict[str, th.Tensor]:
    """Of one member: weights, and Adam's moments with its corrections, which are all that its next step depends on."""
    rows = dict(learner._rows(np.array([member])))
    told: dict[str, th.Tensor] = {"latent": learner.policy.task_latent[member]}
    names = {id(parameter): name for name, parameter in learner.policy.named_parameters()}
    for kind, optimizer in learner.all_optimizers().items():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                state, name = optimizer.state[parameter], names.get(id(parameter), kind)
                at = rows[parameter]
                for key, beta in zip(("exp_avg", "exp_avg_sq"), group["betas"], strict=True):
                    told[f"{name}.{key}"] = state[key][at] / (1.0 - beta ** state["step"])
    return told | {f"data {k}": parameter.data[at] for k, (parameter, at) in enumerate(rows.items())}


def test_agents_that_join_keep_what_they_learned(meta: SkillPriorPEARL) -> None:
    ours, theirs = cohort([0, 1], meta, 12), cohort([2, 3], meta, 5)
    before = [corrected(ours.learner, m) for m in (0, 1)] + [corrected(theirs.learner, m) for m in (0, 1)]
    both = ours.joined_by(theirs)
    assert both.agents.tolist() == [0, 1, 2, 3]
    assert both.policy.n_agents == 4
    for member, expected in enumerate(before):
        now = corrected(both.learner, member)
        assert now.keys() == expected.keys()
        for name, value in expected.items():
            th.testing.assert_close(now[name], value, rtol=1e-5, atol=1e-8, msg=name)
    both.update(filled(4), settings(), 2)  # and they learn on together
    alone = both.without(np.array([0, 1, 3]))
    assert alone is not None
    assert alone.agents.tolist() == [2]
    assert alone.policy.n_agents == 1


@pytest.mark.parametrize("updates", [(0, 0), (0, 3), (3, 0)])
def test_learners_that_have_not_learned_yet_join_too(meta: SkillPriorPEARL, updates: tuple[int, int]) -> None:
    both = cohort([0], meta, updates[0]).joined_by(cohort([1, 2], meta, updates[1]))
    both.update(filled(3), settings(), 2)
    assert all(th.isfinite(parameter).all() for parameter in both.policy.parameters())


def test_a_cohort_that_everybody_leaves_is_none(meta: SkillPriorPEARL) -> None:
    both = cohort([0, 1], meta, 1)
    assert both.without(np.array([5])) is both
    assert both.agents.tolist() == [0, 1]
    assert both.without(np.array([0, 1])) is None
