"""The kitchen's demonstrator: the arm's control, each subtask and strategy, order, independence of batches, success."""

from typing import Any

import numpy as np
import pytest

from simpl_envs.kitchen.arm import CLOSED, JOINT_LIMITS, OPEN, ArmController, Pose
from simpl_envs.kitchen.demonstrator import KitchenDemonstration, demonstrate, random_sequence
from simpl_envs.kitchen.env import SimplKitchenEnv
from simpl_envs.kitchen.physics import RESET_POSITIONS, KitchenSimulation
from simpl_envs.kitchen.scripts import STRATEGIES, ScriptedArm
from simpl_envs.kitchen.tasks import KITCHEN_TASK_SETS, SUBTASKS, SubtaskSequence, completed_subtasks

WAYS = [(subtask, strategy) for subtask, strategies in enumerate(STRATEGIES) for strategy in strategies]


def test_poses_are_rotations() -> None:
    poses = [Pose(np.zeros(3)), Pose(np.zeros(3), 0.3, -0.2, 0.9), Pose(np.zeros(3), roll=np.pi / 2)]
    for pose in poses:
        np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(pose.rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(poses[0].rotation[:, 2], [0, 1, 0])  # approaches along the world's y
    np.testing.assert_allclose(poses[2].rotation[:, 2], [0, 1, 0], atol=1e-12)
    assert Pose(np.zeros(3), pitch=0.3).rotation[2, 2] == pytest.approx(np.sin(0.3))  # > 0 points up
    assert Pose(np.zeros(3), yaw=0.3).rotation[0, 2] == pytest.approx(-np.sin(0.3))


def test_the_arm_goes_where_it_shall_and_keeps_its_limits() -> None:
    simulation, arm = KitchenSimulation(noise=0.0), ArmController()
    positions = simulation.reset(np.random.default_rng(0))
    pose = Pose(np.array([-0.4, 0.35, 2.2]))
    for step in range(40):
        arm.observe(positions)
        positions = simulation.step(arm.action(pose, CLOSED if step > 20 else OPEN, 0.7, hurry=step < 15))
    arm.observe(positions)
    assert np.linalg.norm(arm.position - pose.position) < 0.01
    assert np.trace(arm.rotation.T @ pose.rotation) > 2.9
    assert arm.fingers.max() < 0.005
    assert (arm.joints > JOINT_LIMITS[:, 0] - 0.03).all()
    assert (arm.joints < JOINT_LIMITS[:, 1] + 0.03).all()


def test_the_arm_finds_back_after_pushes() -> None:
    straight, pushed = (
        next(demonstrate(1, 3, [SubtaskSequence.from_name("6501")], pushes=share)) for share in (0.0, 0.1)
    )
    assert straight.complete
    assert pushed.complete
    apart = np.abs(straight.observations[:40, :7] - pushed.observations[:40, :7]).max()
    assert apart > 0.2  # rad


def test_intended_actions_are_those_without_noise() -> None:
    arguments: dict[str, Any] = {"sequences": [SubtaskSequence.from_name("6501")], "pushes": 0.05, "max_steps": 60}
    executed, intended = (
        next(demonstrate(1, 3, intended=chosen, complete_only=False, **arguments)) for chosen in (False, True)
    )
    np.testing.assert_array_equal(executed.observations, intended.observations)
    difference = np.abs(executed.actions - intended.actions)
    assert 0.01 < np.median(difference) < 0.2  # noise of standard deviation 0.1
    assert difference.max() > 0.5  # pushes


def test_noise_may_be_the_same_while_an_object_is_moved() -> None:
    """The first steps are free motion, where both are alike; apart they are from the first grasp on."""
    task = [SubtaskSequence.from_name("6501")]
    less, same = (
        next(demonstrate(1, 3, task, complete_only=False, max_steps=60, steady_noise=share)).actions
        for share in (0.5, 1.0)
    )
    assert np.array_equal(less[:5], same[:5])
    assert not np.array_equal(less, same)


def test_a_joint_at_its_limit_is_left_out() -> None:
    arm = ArmController()
    positions = RESET_POSITIONS.copy()
    positions[5] = JOINT_LIMITS[5, 1]
    arm.observe(positions)
    change = arm._joint_change(np.array([0.0, 0.02, 0.02, 0.1, 0.0, 0.0]), rotation_weight=0.3)
    assert (arm.joints + change <= JOINT_LIMITS[:, 1] + 1e-9).all()
    assert (arm.joints + change >= JOINT_LIMITS[:, 0] - 1e-9).all()


@pytest.mark.parametrize(("subtask", "strategy"), WAYS, ids=[f"{SUBTASKS[k]}-{way}" for k, way in WAYS])
def test_each_way_to_complete_each_subtask(subtask: int, strategy: str) -> None:
    env = SimplKitchenEnv()
    arm = ScriptedArm([subtask], np.random.default_rng(0), strategies={subtask: strategy})
    seen = env.reset(seed=0)[0]
    done = False
    while (action := arm.act(seen)) is not None and arm.attempts == [] and not done:
        assert action.dtype == np.float32
        assert np.abs(action).max() <= 1
        seen = env.step(action)[0]
        done = bool(completed_subtasks(seen[None])[0, subtask])
    assert done


def test_demonstrations_are_what_the_env_would_record() -> None:
    task = SubtaskSequence.from_name("6230")
    shown = next(demonstrate(1, seed=3, sequences=[task]))
    length = len(shown.actions)
    assert isinstance(shown, KitchenDemonstration)
    assert shown.complete
    assert (shown.task, len(shown.completed_at)) == (task, 4)
    assert (shown.observations.shape, shown.observations.dtype) == ((length + 1, 60), np.float32)
    assert (shown.actions.shape, shown.actions.dtype) == ((length, 9), np.float32)
    assert np.abs(shown.actions).max() <= 1
    env = SimplKitchenEnv()
    env.set_task(task)
    assert env.observation_space.contains(shown.observations[0])
    np.testing.assert_array_equal(env.begin(np.random.default_rng([3, 0, 2])), shown.observations[0])
    rewards, terminated = task.rewards(shown.observations[1:])
    assert tuple(np.flatnonzero(rewards[: shown.completed_at[-1]]) + 1) == shown.completed_at
    assert int(np.argmax(terminated)) + 1 == shown.completed_at[-1] <= length
    assert sum(attempt.n_steps for attempt in shown.attempts) <= length
    assert [attempt.subtask for attempt in shown.attempts if attempt.succeeded] == [6, 2, 3, 0]


def test_independent_of_batch_and_threads() -> None:
    tasks = [SubtaskSequence.from_name(name) for name in ("6230", "3201", "2360")]
    arguments: dict[str, Any] = {"seed": 5, "sequences": tasks, "complete_only": False, "max_steps": 25}
    alone = list(demonstrate(3, batch_size=1, nthread=1, **arguments))
    for batch_size, nthread in ((2, 2), (8, 1)):
        together = list(demonstrate(3, batch_size=batch_size, nthread=nthread, **arguments))
        assert [shown.task for shown in together] == tasks
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one.observations, other.observations)
            np.testing.assert_array_equal(one.actions, other.actions)
    other_seed = next(demonstrate(1, **{**arguments, "seed": 6}))
    assert (other_seed.actions[0] != alone[0].actions[0]).any()
    assert all(len(shown.actions) == 25 and not shown.complete for shown in alone)


def test_incomplete_ones_are_dropped() -> None:
    with pytest.raises(ValueError, match=r"Only 0 of 30 .* complete with noise 0\.1, .* max_steps 1: give less noise"):
        next(demonstrate(1, seed=0, max_steps=1))
    assert list(demonstrate(0, seed=0)) == []


def test_random_sequences_never_show_a_target_order() -> None:
    rng = np.random.default_rng(0)
    anything = [random_sequence(rng) for _ in range(4000)]
    train = [random_sequence(rng, train_share=1.0) for _ in range(300)]
    assert not set(anything) & set(KITCHEN_TASK_SETS["target"])
    assert len(set(anything)) > 800  # of 830
    assert set(train) == set(KITCHEN_TASK_SETS["train"])
    mixed = [random_sequence(rng, train_share=0.5) in KITCHEN_TASK_SETS["train"] for _ in range(1000)]
    assert 0.45 < np.mean(mixed) < 0.58


@pytest.mark.parametrize(
    "arguments",
    [{"n": -1}, {"noise": -0.1}, {"jitter": -1.0}, {"max_attempts": 0}, {"max_steps": 0}, {"train_share": 1.1}]
    + [{"pushes": -0.1}, {"steady_noise": -1.0}, {"batch_size": 0}, {"sequences": []}],
)
def test_bad_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        demonstrate(**{"n": 1, "seed": 0, **arguments})


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_success() -> None:
    """Well below the 97 % complete and 90 % within 280 env steps that are asked for, since n is small."""
    shown = list(demonstrate(60, seed=40000, complete_only=False))
    ends = [d.completed_at[-1] if d.complete else np.inf for d in shown]
    assert np.mean([d.complete for d in shown]) >= 0.95
    assert np.mean([end <= 280 for end in ends]) >= 0.85
    used = {(attempt.subtask, attempt.strategy) for d in shown for attempt in d.attempts}
    assert used == set(WAYS)
    assert len({len(d.actions) for d in shown}) > 30  # varied speed
