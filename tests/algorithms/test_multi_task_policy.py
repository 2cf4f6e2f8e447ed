"""MultiTaskPolicy: a policy per task, and where the shared one is drawn to, by hand."""

import numpy as np
import pytest
import torch as th
from envs_for_tests import ACTIONS, OBSERVATIONS, straight_skills
from gymnasium.spaces import Box

from simpl_sb3.algorithms.multi_task_policy import MultiTaskPolicy
from simpl_sb3.algorithms.settings import MultiTaskSettings
from simpl_sb3.algorithms.task_training import act_in
from simpl_sb3.algorithms.updates import MultiTaskLearner
from simpl_sb3.experience.batch import TaskBatch

SEEN = th.zeros(2, 4, 2)


def policy(*means: float) -> MultiTaskPolicy:
    """Tasks whose policies are N(mean, 1), over skills whose prior is N(0, 1)."""
    made = MultiTaskPolicy(
        OBSERVATIONS, Box(-3.0, 3.0, (1,)), straight_skills(OBSERVATIONS, ACTIONS, 4), (), n_tasks=len(means)
    )
    with th.no_grad():
        made.actor.biases[-1][:, 0, 0] = th.tensor(means)
    return made


def test_the_shared_policy_is_drawn_to_the_mean_of_the_tasks() -> None:
    made = policy(1.0, -0.5)
    loss = made.distillation_loss(SEEN)
    assert loss.item() == pytest.approx((0.5 * 1.0 + 0.5 * 0.25) / 2, rel=5e-3)
    loss.backward()
    gradient = made.distilled.change.output.bias.grad
    assert gradient is not None
    assert gradient[0].item() == pytest.approx(-(1.0 - 0.5) / 2, rel=5e-3)  # descending moves the mean up to .25
    assert all(parameter.grad is None for parameter in made.actor.parameters())


def test_the_kl_of_a_task_is_measured_to_the_shared_policy() -> None:
    made = policy(1.0, -0.5)
    with th.no_grad():
        made.distilled.change.output.bias[0] = 0.25
    _, kl = made.sample(SEEN, None)
    assert kl[:, 0].tolist() == pytest.approx([0.5 * 0.75**2, 0.5 * 0.75**2], rel=1e-2)


def test_everyone_acts_for_its_own_task() -> None:
    made = policy(9.0, -9.0, 9.0)
    z = act_in(made, np.zeros((4, 2), np.float32), np.array([1, 0, 1, 2]))
    assert z[:, 0].tolist() == [-3.0, 3.0, -3.0, 3.0]  # clipped
    with th.no_grad():
        made.distilled.change.output.bias[0] = 0.5
    assert made.predict(np.zeros(2, np.float32), deterministic=True)[0].tolist() == pytest.approx([0.5])


def test_an_update_distils() -> None:
    th.manual_seed(0)
    made = policy(1.0, 0.5)
    learner = MultiTaskLearner(made, MultiTaskSettings(net_arch=(), learning_rate=0.05))
    rng = th.zeros(2, 8)
    batch = TaskBatch(th.zeros(2, 8, 2), th.zeros(2, 8, 1), rng, rng, rng, th.zeros(2, 8, 2))
    learner.optimizers["actor"].param_groups[0]["lr"] = 0.0  # what is distilled stays where it is
    first = learner.update_agents(batch)["distillation_kl"]
    for _ in range(60):
        last = learner.update_agents(batch)["distillation_kl"]
    assert first > 0.3
    assert last == pytest.approx(0.5 * 0.25**2, rel=0.05)  # both are .25 from their mean
    assert set(learner.state_dict()["optimizers"]) == {"actor", "critic", "distilled", "skill_kl"}
