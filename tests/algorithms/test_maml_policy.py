"""MamlPolicy: the inner step by hand, alone for each task, and what is differentiated through it."""

import numpy as np
import pytest
import torch as th
from envs_for_tests import ACTIONS, OBSERVATIONS, straight_skills
from gymnasium.spaces import Box

from simpl_sb3.algorithms.maml_policy import MamlPolicy
from simpl_sb3.algorithms.policy_gradient import Rollouts

BIAS = "biases.0"


def policy(n_agents: int = 1) -> MamlPolicy:
    """N(bias, 1), the bias 0."""
    skills = straight_skills(OBSERVATIONS, ACTIONS, 4)
    return MamlPolicy(OBSERVATIONS, Box(-3.0, 3.0, (1,)), skills, (), n_agents=n_agents)


def lived() -> Rollouts:
    """Two tasks: the first was better at 1, the second at -2."""
    z = th.tensor([[[1.0]], [[-2.0]]])
    return Rollouts(th.zeros(2, 1, 2), z, th.tensor([[2.0], [1.0]]), th.ones(2, 1))


def test_each_task_takes_a_step_of_its_own() -> None:
    made = policy()
    adapted = made.inner_step(made.weights(2), lived(), 0.1, first_order=True)
    assert adapted[BIAS][:, 0, 0].tolist() == pytest.approx([0.1 * 2.0 * 1.0, 0.1 * 1.0 * -2.0], rel=5e-3)
    assert made.actor.biases[0].abs().max() == 0.0  # the policy itself stays


@pytest.mark.parametrize(("first_order", "slopes"), [(True, (1.0, 1.0)), (False, (1 - 0.1 * 2.0, 1 - 0.1 * 1.0))])
def test_the_outer_gradient(first_order: bool, slopes: tuple[float, float]) -> None:
    made = policy()
    adapted = made.inner_step(made.weights(2), lived(), 0.1, first_order)
    for at, slope in enumerate(slopes):
        (gradient,) = th.autograd.grad(adapted[BIAS][at, 0, 0], made.actor.biases[0], retain_graph=True)
        assert gradient[0, 0, 0].item() == pytest.approx(slope, rel=5e-3)


def test_it_acts_with_the_weights_that_it_took() -> None:
    made = policy(2)
    adapted = {name: value.detach().clone() for name, value in made.weights().items()}
    adapted[BIAS][:, 0, 0] = th.tensor([1.5, -1.5])
    made.take(adapted)
    assert made.act(np.zeros((2, 2), np.float32), deterministic=True)[:, 0].tolist() == pytest.approx([1.5, -1.5])
    mean, _ = made.gaussian(adapted, th.zeros(2, 1, 2))
    assert mean[:, 0, 0].tolist() == pytest.approx([1.5, -1.5])
    assert not any("critic" in name for name in made.state_dict())
