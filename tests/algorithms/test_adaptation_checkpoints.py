"""Checkpoints of adaptation: to the bit from each border, damaged ones, environments with and without a state."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from adaptation_for_tests import TASKS, settings, trained
from envs_for_tests import LineEnv, LineTask, line_envs, tiny_skills
from gymnasium.spaces import Box
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from training_for_tests import assert_equal, flatten

from simpl_sb3.algorithms.adaptation import Adaptation
from simpl_sb3.algorithms.adaptation_checkpoints import AdaptationCheckpoints
from simpl_sb3.algorithms.skill_prior_mtrl import SkillPriorMTRL
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.errors import ModelFileError, SettingsError
from simpl_sb3.skills.vec_env import SkillVecEnv, make_skill_vec_env
from simpl_sb3.skills.wrapper import SkillActionWrapper

MAZE_SKILLS = tiny_skills(Box(-50.0, 50.0, (4,), np.float32), Box(-1.0, 1.0, (2,), np.float32))


@pytest.fixture(scope="module")
def meta() -> SkillPriorPEARL:
    return trained()


def lines() -> VecEnv:
    return SkillVecEnv(line_envs(3), tiny_skills())


def dummies() -> VecEnv:
    return DummyVecEnv([lambda: SkillActionWrapper(LineEnv(), tiny_skills())] * 3)  # type: ignore[list-item]


def mazes() -> VecEnv:
    return make_skill_vec_env("SimplMaze-v0", MAZE_SKILLS, 3, check_env=False, max_episode_steps=17)


class Killed(Exception):
    pass


class Sudden(AdaptationCheckpoints):
    """Writes at every border, and ends the process, as it were, after some."""

    def __init__(self, folder: Path, left: int = 10**9) -> None:
        super().__init__(folder, seconds=0.0)
        self.left = left

    def write_if_due(self, adaptation: Adaptation) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1
        super().write_if_due(adaptation)


def adapt(
    meta: SkillPriorPEARL | None,
    checkpoints: AdaptationCheckpoints | None,
    make_env: Callable[[], VecEnv] = lines,
    tasks: Any = TASKS,
    **changes: Any,
) -> dict[str, Any]:
    """All that an adaptation comes to, by name: agents, what was told of each episode, and the generators after it."""
    told: list[tuple[Any, ...]] = []

    def on_episode(agent: int, episode: int, finished: Any) -> None:
        one = finished.episode
        flags = (agent, episode, finished.job, finished.success, finished.success_known)
        told.append((*flags, *(None if part is None else part.tolist() for part in vars(one).values())))

    env = make_env()
    skills = env.get_attr("skills")[0]
    chosen = settings(**({"net_arch": (8,), "n_exploration_episodes": 0} if meta is None else {}), **changes)
    agents = Adaptation(env, tasks, skills, meta, chosen, 0, on_episode, checkpoints).run()
    found: dict[str, Any] = {"told": told, "generators": [th.rand(()).item(), np.random.rand()]}  # noqa: NPY002
    for i, agent in enumerate(agents):
        found |= {f"{i}.policy.{name}": value for name, value in agent.policy.state_dict().items()}
        found |= {f"{i}.learner{name}": value for name, value in flatten(agent.learner.state_dict())}
        found |= {f"{i}.replay.{name}": value for name, value in agent.replay_buffer.state().items()}
        found[f"{i}.counts"] = (agent.num_timesteps, agent._episode_num, agent._n_updates, agent.task, agent.task_name)
        found[f"{i}.spaces"] = (agent.observation_space, agent.action_space)
    env.close()
    return found


WAYS: dict[str, tuple[bool, Callable[[], VecEnv], dict[str, Any]]] = {
    "simpl": (True, lines, {"explore_until_reward": True, "n_episodes": 7, "exploration_latent_skills": 2}),
    "posterior": (True, dummies, {"exploration": "posterior", "context_size": 6, "train_freq": 2}),
    "pearl": (True, lines, {"gradient_steps": 0, "initial_updates": 0, "reuse_exploration": False}),
    "spirl": (False, dummies, {"buffer_size": 7, "n_episodes": 4}),
    "maze": (False, mazes, {"n_episodes": 3}),
}


@pytest.mark.parametrize("way", WAYS)
def test_killed_at_each_border_it_ends_as_if_left_alone(meta: SkillPriorPEARL, way: str, tmp_path: Path) -> None:
    """Two or three skills further in each process, so that every kind of border is gone on from."""
    has_meta, make_env, changes = WAYS[way]
    given = (meta if has_meta else None, make_env, TASKS)
    if make_env is mazes:
        given = (None, mazes, mazes().get_attr("test_tasks")[0][:3])
    expected = adapt(given[0], None, *given[1:], **changes)
    kills = 0
    while True:
        try:
            found = adapt(given[0], Sudden(tmp_path, 2 + kills % 2), *given[1:], **changes)
            break
        except Killed:
            kills += 1
            th.manual_seed(kills)  # what the next process would begin with
            np.random.seed(kills)  # noqa: NPY002
    assert kills > 6
    assert_equal(found, expected)
    assert len(list(tmp_path.glob("state_*"))) <= 2
    (tmp_path / "note.txt").touch()
    AdaptationCheckpoints(tmp_path).remove()
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_writing_changes_nothing_and_going_on_after_the_end_gives_the_same(
    meta: SkillPriorPEARL, tmp_path: Path
) -> None:
    expected = adapt(meta, None)
    assert_equal(adapt(meta, Sudden(tmp_path)), expected)
    files = {path.name for path in tmp_path.iterdir()}
    assert_equal(adapt(meta, AdaptationCheckpoints(tmp_path)), expected)  # that is never due
    assert {path.name for path in tmp_path.iterdir()} == files
    assert any(name.startswith("agent_") for name in files)


@pytest.mark.parametrize("damage", ["state", "rows", "episodes", "empty"])
def test_the_one_before_serves_where_the_newest_is_damaged(meta: SkillPriorPEARL, damage: str, tmp_path: Path) -> None:
    expected = adapt(meta, None)
    with pytest.raises(Killed):
        adapt(meta, Sudden(tmp_path, 9))
    newest = max(tmp_path.glob("state_*"))
    number = newest.stem.removeprefix("state_")
    path = {"state": newest, "empty": newest, "rows": tmp_path / f"rows_{number}.npz"}.get(damage)
    path = path or max(tmp_path.glob("episodes_*"))
    content = path.read_bytes()
    path.write_bytes(
        b"" if damage == "empty" else content[: len(content) // 2] + b"?" + content[len(content) // 2 + 1 :]
    )
    if damage == "episodes" and path.stem.removeprefix("episodes_") < number:
        pytest.fail("the newest checkpoint should have had an episode to write")
    assert_equal(adapt(meta, Sudden(tmp_path)), expected)


def test_where_none_can_be_read_it_is_said(meta: SkillPriorPEARL, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        adapt(meta, Sudden(tmp_path, 3))
    for path in tmp_path.glob("state_*"):
        path.write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match=r"state_00000002\.zip is no checkpoint: BadZipFile"):
        adapt(meta, Sudden(tmp_path))


@pytest.mark.parametrize("other", [{"batch_size": 7}, {"tasks": TASKS[::-1]}])
def test_checkpoints_of_another_adaptation_are_refused(
    meta: SkillPriorPEARL, other: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        adapt(meta, Sudden(tmp_path, 3))
    with pytest.raises(SettingsError, match="checkpoints of another adaptation"):
        adapt(meta, Sudden(tmp_path), **other)
    with pytest.raises(SettingsError, match="checkpoints of another adaptation"):
        adapt(trained().learn(30), Sudden(tmp_path))


class Drifting(LineEnv):
    """Begins somewhere else in each process, whatever its generator says."""

    drift = 0.0

    def reset(self, **how: Any) -> Any:
        observation, info = super().reset(**how)
        return observation + np.float32(self.drift), info


def test_an_environment_that_cannot_be_brought_back_begins_its_episodes_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drifting() -> VecEnv:
        return SkillVecEnv([Drifting] * 3, tiny_skills())

    with pytest.raises(Killed):
        adapt(None, Sudden(tmp_path, 3), drifting)
    monkeypatch.setattr(Drifting, "drift", 0.1)
    with pytest.warns(UserWarning, match="3 of 3 environments could not be brought where they were"):
        found = adapt(None, Sudden(tmp_path), drifting)
    assert [sum(one[0] == agent for one in found["told"]) for agent in range(3)] == [5, 5, 5]


def test_one_task_in_one_environment(meta: SkillPriorPEARL, tmp_path: Path) -> None:
    """Through ``SkillPriorPEARL.adapt``, as a user calls it."""

    def once(checkpoints: AdaptationCheckpoints | None) -> dict[str, Any]:
        env = SkillActionWrapper(LineEnv(), tiny_skills())
        how = {"n_episodes": 4, "n_exploration_episodes": 1, "initial_updates": 1, "batch_size": 6, "buffer_size": 100}
        return dict(meta.adapt(env, LineTask(2.0), seed=3, checkpoints=checkpoints, **how).policy.state_dict())

    expected = once(None)
    with pytest.raises(Killed):
        once(Sudden(tmp_path, 7))
    assert_equal(once(AdaptationCheckpoints(tmp_path)), expected)


def test_what_was_spent_is_added_up(meta: SkillPriorPEARL, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = Sudden(tmp_path, 6)
    first.spent = 1000.0
    with pytest.raises(Killed):
        adapt(meta, first)
    second = AdaptationCheckpoints(tmp_path, verbose=1)
    adapt(meta, second)
    assert second.spent > 1000.0
    assert f"Going on after {second.n_episodes} episodes." in capsys.readouterr().err
    assert second.n_episodes > 0


def test_agents_of_a_shared_policy(tmp_path: Path) -> None:
    """Multi-task RL's, whose skills are the shared policy."""
    small = {"net_arch": (8,), "batch_size": 6, "buffer_size": 100, "gradient_steps": 2, "seed": 0, "device": "cpu"}
    model = SkillPriorMTRL("MlpPolicy", SkillVecEnv(line_envs(3), tiny_skills()), **small).learn(30)

    def once(checkpoints: AdaptationCheckpoints | None) -> list[dict[str, Any]]:
        agents = model.adapt_tasks(lines(), TASKS, seed=1, checkpoints=checkpoints, n_episodes=3, batch_size=6)
        return [dict(agent.policy.state_dict()) for agent in agents]

    expected = once(None)
    with pytest.raises(Killed):
        once(Sudden(tmp_path, 8))
    for found, wanted in zip(once(Sudden(tmp_path)), expected, strict=True):
        assert_equal(found, wanted)
