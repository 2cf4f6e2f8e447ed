"""What a domain is, how one is found, and what its texts mean."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from envs_for_tests import LineEnv

from simpl_envs import KITCHEN_TASK_SETS, MAZE_TASK_SETS, PUBLISHED_LAYOUT, GoalTask
from simpl_sb3.domains import RETURN, SUCCESS, Demonstrator, Domain, built_in_domains, find_domain
from simpl_sb3.errors import SettingsError
from simpl_sb3.settings import Settings

MAZE, KITCHEN = find_domain("maze"), find_domain("kitchen")
OWN = "OwnLine-v0"
OWN_FILE = """
from dataclasses import dataclass
from simpl_sb3.domains import Domain, RETURN

@dataclass(frozen=True)
class Door:
    name: str

DOMAIN = Domain(
    name="doors",
    env_id="Doors-v0",
    task_sets={"train": (Door("a"), Door("b")), "test": (Door("c"),)},
    measure=RETURN,
)
OTHER = Domain(name="others", env_id="Doors-v1", task_sets={})
"""


@pytest.fixture(autouse=True)
def own_line() -> Iterator[None]:
    gym.register(OWN, LineEnv, disable_env_checker=True, order_enforce=False)
    yield
    del gym.registry[OWN]


# ------------------------------------------------------------ finding


def test_domains_need_neither_torch_nor_a_simulator_nor_pictures() -> None:
    heavy = ("torch", "stable_baselines3", "mujoco", "h5py", "minari", "matplotlib")
    code = "import sys; from simpl_sb3.domains import *; find_domain('maze').tasks('12-7'); "
    code += f"print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_each_file_of_the_folder_is_a_domain() -> None:
    assert list(built_in_domains()) == ["kitchen", "maze"]
    for name, domain in built_in_domains().items():
        assert find_domain(name) is domain
        assert find_domain(domain.env_id) is domain
        assert find_domain(f"simpl_envs:{domain.env_id}") is domain
        assert {domain.train_tasks, domain.test_tasks} <= domain.sets.keys()


def test_settings_of_the_demonstrators_are_those_of_their_functions() -> None:
    from inspect import signature

    from simpl_envs.kitchen.demonstrator import demonstrate
    from simpl_envs.maze.planner import plan_trajectories

    for domain, function in ((MAZE, plan_trajectories), (KITCHEN, demonstrate)):
        defaults = {name: parameter.default for name, parameter in signature(function).parameters.items()}
        assert domain.demonstrator is not None
        for name, value in domain.demonstrator.settings().as_dict().items():
            assert defaults[name] == value, name


def test_an_environment_alone_makes_a_record() -> None:
    domain = find_domain(OWN)
    assert (domain.name, domain.env_id, domain.measure, domain.traces) == (OWN, OWN, SUCCESS, None)
    assert domain.tasks("train") == LineEnv.train_tasks
    assert domain.tasks("test") == LineEnv.test_tasks
    assert [task.name for task in domain.tasks("-2, 1.5")] == ["-2", "1.5"]
    with pytest.raises(
        SettingsError, match=r"No task set or task 'target' for OwnLine-v0: expected one of train, test,"
    ):
        domain.tasks("target")
    for nothing in ("", "  "):
        with pytest.raises(SettingsError, match=r"Tasks are '.*': expected one of"):
            domain.tasks(nothing)
    with pytest.raises(SettingsError, match="OwnLine-v0 has no demonstrator: write"):
        domain.needs_demonstrator()


def test_an_environment_without_tasks_says_so() -> None:
    with pytest.raises(
        SettingsError, match=r"Pendulum-v1 has no tasks .*: expected attributes train_tasks and test_tasks"
    ):
        find_domain("Pendulum-v1").tasks("train")


def test_a_file_of_ones_own_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_pkg").mkdir()
    (tmp_path / "own_pkg" / "__init__.py").touch()
    (tmp_path / "own_pkg" / "doors.py").write_text(OWN_FILE)
    monkeypatch.chdir(tmp_path)
    for text in ("own_pkg/doors.py:DOMAIN", "own_pkg.doors", "own_pkg.doors:DOMAIN"):
        domain = find_domain(text)
        assert (domain.name, domain.measure, [task.name for task in domain.tasks("train")]) == (
            "doors",
            RETURN,
            ["a", "b"],
        )
    assert find_domain("own_pkg/doors.py:OTHER").name == "others"
    assert find_domain("own_pkg.doors").tasks("a") == find_domain("own_pkg.doors").tasks("a")
    assert find_domain("own_pkg/doors.py").name == "doors"  # of two, the one that is called DOMAIN
    (tmp_path / "two.py").write_text(OWN_FILE.replace("DOMAIN =", "ONE ="))
    with pytest.raises(SettingsError, match=r"holds 2 Domain records \(ONE, OTHER\): expected .*two.py:NAME"):
        find_domain("two.py")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1", "holds 0 Domain records"),
        ("1 / 0", "ZeroDivisionError"),
        ("import nosuchmodule", "nosuchmodule"),
        ("Domain(name='a', task_sets={})", "env_id"),
        ("DOMAIN = Domain(name='a', env_id='', task_sets={})", "env_id is ''"),
        (
            "DOMAIN = Domain(name='a', env_id='b', task_sets={}, measure='success')",
            "measure is 'success': expected a Measure",
        ),
        ("DOMAIN = Domain(name='a', env_id='b', task_sets={}, demonstrator=print)", "demonstrator is"),
        ("DOMAIN = Domain(name='a', env_id='b', task_sets=3)", "task_sets is 3"),
        ("DOMAIN = Domain(name='a', env_id='b', task_sets={}, reward=3)", "unexpected keyword argument 'reward'"),
        ("DOMAIN = (", "SyntaxError"),
    ],
)
def test_a_wrong_file_is_one_error_that_says_what_is_expected(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(f"from simpl_sb3.domains import Domain\n{content}\n")
    with pytest.raises(SettingsError, match=message) as caught:
        find_domain(str(path))
    assert "own.py" in str(caught.value)
    assert "expected a Python file with DOMAIN = Domain(" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["mazes", "", "a b", "NoSuch-v0", "nosuch:NoSuch-v0", "no.such.module", "no_such.py", "json.decoder", "json:loads"],
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"expected|cannot be imported"):
        find_domain(text)


# ------------------------------------------------------------ tasks


@pytest.mark.parametrize("domain", [MAZE, KITCHEN], ids=lambda domain: domain.name)
def test_names_of_tasks_read_back(domain: Domain) -> None:
    for tasks in domain.sets.values():
        assert domain.tasks(", ".join(task.name for task in tasks)) == tasks
    assert domain.set_name(domain.tasks("target")) == "target"
    assert domain.set_name([task.name for task in domain.tasks("target")]) == "target"


def test_tasks_by_text() -> None:
    assert MAZE.tasks("12-7,5-12") == (GoalTask((12.0, 7.0)), GoalTask((5.0, 12.0)))
    assert MAZE.tasks("12.5-7-r0.5") == (GoalTask((12.5, 7.0), 0.5),)
    assert [task.name for task in KITCHEN.tasks("5021,1320")] == ["5021", "1320"]
    assert (MAZE.set_label("12-7,5-12"), MAZE.set_label("random:3:1"), MAZE.set_label("target")) == (
        "12-7+5-12",
        "random-3-1",
        "target",
    )
    assert MAZE.set_label(",".join(task.name for task in MAZE.tasks("train-40"))) == "40 tasks"


def test_random_tasks_are_far_from_the_published() -> None:
    tasks = MAZE.tasks("random:10:3")
    distances = PUBLISHED_LAYOUT.distances(PUBLISHED_LAYOUT.start)
    assert all(distances[int(task.goal[0]), int(task.goal[1])] >= 5 for task in tasks)
    for domain in (MAZE, KITCHEN):
        tasks = domain.tasks("random:10:3")
        assert tasks == domain.tasks("random:10:3") != domain.tasks("random:10:4")
        assert len(set(tasks)) == 10
        assert not set(tasks) & {task for known in domain.sets.values() for task in known}


def test_tasks_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "goals.txt"
    path.write_text("# far ones\n12-7\n\n5-12  # near the wall\n")
    assert MAZE.tasks(str(path)) == MAZE.tasks("12-7,5-12")
    assert MAZE.set_label(str(path)) == "goals"
    path = tmp_path / "goals.json"
    path.write_text(json.dumps(["12-7", "5-12"]))
    assert MAZE.tasks(str(path)) == MAZE.tasks("12-7,5-12")
    for content in ('{"a": 1}', "[1]", "[", "[]"):
        path.write_text(content)
        with pytest.raises(SettingsError, match=r"goals\.json"):
            MAZE.tasks(str(path))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        MAZE.tasks(str(path))
    path.write_text(json.dumps(["12-7", "0-0"]))
    with pytest.raises(SettingsError, match=r"goals\.json: No task set or task '0-0'"):
        MAZE.tasks(str(path))


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        *((MAZE, text) for text in ("", "targets", "12", "12,7", "0-0", "99-99", "12-7,", "12-7-r0", "-1-3", "1e3-4")),
        *((MAZE, text) for text in ("random", "random:3", "random:0:1", "random:-1:1", "random:x:1", "random:9:1:1")),
        *((MAZE, text) for text in ("no.txt", "x" * 5_000, "12-7\x00", "5021")),
        *((KITCHEN, text) for text in ("502", "5029", "5522", "train-40", "12-7", "random:900:0")),
    ],
)
def test_a_text_that_names_no_tasks_is_named_with_what_is_allowed(domain: Domain, text: str) -> None:
    with pytest.raises(SettingsError, match=r"expected|there are 807"):
        domain.tasks(text)


def test_a_task_is_given_once() -> None:
    with pytest.raises(SettingsError, match="task 12-7 is given twice"):
        MAZE.tasks("12-7,5-12,12-7")


def test_a_long_list_of_training_tasks_fits_into_the_rows() -> None:
    names = [task.name for task in MAZE.tasks("random:60:1")]
    assert len(MAZE.set_name(names)) <= 200


# ------------------------------------------------------------ settings


def test_settings_of_an_environment_are_checked() -> None:
    assert KITCHEN.check_env_settings({"physics": "fast"}) == {"physics": "fast"}
    with pytest.raises(SettingsError, match="physics is 'faster'"):
        KITCHEN.check_env_settings({"physics": "faster"})
    with pytest.raises(SettingsError, match="no setting 'gravity': expected one of noise, physics"):
        KITCHEN.check_env_settings({"gravity": 1})
    with pytest.raises(SettingsError, match="no setting 'physics'"):
        MAZE.check_env_settings({"physics": "fast"})
    assert find_domain(OWN).check_env_settings({"limit": 3}) == {"limit": 3}


@pytest.mark.parametrize(
    ("domain", "settings"),
    [
        (MAZE, {"noise": -1.0}),
        (MAZE, {"noise": 1e300}),
        (MAZE, {"noise": 3.1}),
        (MAZE, {"noise": float("nan")}),
        (MAZE, {"min_steps": 10, "max_steps": 5}),
        (MAZE, {"pushes": 0.1}),
        (KITCHEN, {"noise": 2.0}),
        (KITCHEN, {"train_share": 1.5}),
        (KITCHEN, {"physics": "slow"}),
        (KITCHEN, {"max_attempts": 0}),
    ],
)
def test_settings_of_a_demonstrator_have_ranges(domain: Domain, settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(settings))):
        domain.needs_demonstrator().settings.of(settings)


def test_demonstrators_give_episodes() -> None:
    for domain in (MAZE, KITCHEN):
        demonstrator = domain.needs_demonstrator()
        settings = demonstrator.settings().as_dict()
        (episode,) = demonstrator.demonstrate(1, 0, **settings)
        assert len(episode.observations) == len(episode.actions) + 1


def test_a_domain_is_one_record() -> None:
    """All that a domain of one's own needs, and all that it may have."""
    required = Domain(name="a", env_id="A-v0", task_sets={})
    assert (required.traces, required.demonstrator, required.converter, required.published) == (None, None, None, ())
    demonstrator = Demonstrator(demonstrate=lambda n, seed: iter(()), dataset_id="own/a-v0")
    assert demonstrator.settings is Settings
    assert required.facts.measure == SUCCESS
    with pytest.raises(SettingsError, match="No task set or task 'x' for a"):
        required.tasks("x")


def test_sets_of_the_published_domains_are_the_environments() -> None:
    assert MAZE.sets == MAZE_TASK_SETS
    assert KITCHEN.sets == KITCHEN_TASK_SETS
    with gym.make(KITCHEN.env_id) as env:
        assert env.get_wrapper_attr("train_tasks") == KITCHEN.tasks(KITCHEN.train_tasks)
        assert env.get_wrapper_attr("test_tasks") == KITCHEN.tasks(KITCHEN.test_tasks)
    assert np.all([task.radius == 1.0 for task in MAZE.tasks("target")])
