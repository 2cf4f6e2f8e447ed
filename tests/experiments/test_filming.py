"""Filming an adapted agent: which agent, which episode, and what the caption says of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from envs_for_tests import LineEnv, LineTask, tiny_skills

from simpl_sb3 import SkillActionWrapper, SkillPriorSAC
from simpl_sb3.domains import Domain, Traces
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments import filming as film
from simpl_sb3.experiments.filming import Take, check_camera, film_best, most_successful, take_episode
from simpl_sb3.experiments.recorder import Adapted
from simpl_sb3.report.checklist import Checklist
from simpl_sb3.report.film import Film
from simpl_sb3.results.episodes import EpisodeSummary, Whose
from simpl_sb3.results.rows import EpisodeRow
from simpl_sb3.results.traces import Completions

FILMED = "FilmedLine-v0"


class FilmedLine(LineEnv):
    """A line that says how it is filmed."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}


@dataclass(frozen=True)
class TwoPlaces(LineTask):
    """Be to the right of the start, then far to the right."""


def trace(whose: Whose, task: TwoPlaces, episode: EpisodeSummary) -> Completions:
    assert episode.observations is not None
    x = episode.observations[1:, 0]
    steps = np.array([int(np.argmax(x > place)) + 1 if (x > place).any() else 0 for place in (0.5, 9.0)])
    return Completions(*whose, (0, 1), steps, steps)


DOMAIN = Domain(name="filmed", env_id=FILMED, task_sets={}, traces=Traces(trace=trace, subtasks=("near", "far")))


@pytest.fixture(autouse=True)
def filmed_line() -> Iterator[None]:
    gym.register(FILMED, FilmedLine, disable_env_checker=True, order_enforce=False)
    yield
    del gym.registry[FILMED]


@pytest.fixture(scope="module")
def agent() -> SkillPriorSAC:
    return SkillPriorSAC("MlpPolicy", SkillActionWrapper(LineEnv(), tiny_skills()), net_arch=(8,), seed=0, device="cpu")


def rows(task: str, seed: int, successes: str, reward: float = 1.0) -> list[EpisodeRow]:
    return [
        EpisodeRow("simpl", "p", FILMED, "target", task, seed, k, 10 * k, reward, int(digit))
        for k, digit in enumerate(successes, start=1)
    ]


def test_the_agent_that_succeeds_most_in_its_last_episodes() -> None:
    early, late = rows("early", 0, "1" * 20 + "0" * 10), rows("late", 0, "0" * 25 + "11110")
    assert most_successful([*early, *late, *rows("late", 1, "0" * 27 + "111")]) == ("late", 0)
    assert most_successful([*rows("a", 0, "01"), *rows("b", 2, "01", reward=1.5)]) == ("b", 2)  # returns decide
    assert most_successful(reversed([*rows("a", 0, "01"), *rows("b", 0, "11")])) == ("b", 0)
    assert most_successful([*rows("a", 0, "01"), *rows("b", 0, "01")]) == ("a", 0)


def test_equal_seeds_give_equal_episodes_filmed_or_not(agent: SkillPriorSAC) -> None:
    plain = take_episode(agent, FILMED, TwoPlaces(30.0), 3)
    filmed = take_episode(agent, FILMED, TwoPlaces(30.0), 3, filmed=True)
    other = take_episode(agent, FILMED, TwoPlaces(30.0), 4)
    assert np.array_equal(plain.observations, filmed.observations)
    assert not np.array_equal(plain.observations, other.observations)
    assert (plain.observations.shape, plain.pictures, plain.success) == ((15, 2), [], False)
    assert len(filmed.pictures) == 1 + 14  # the start, and one per env step
    assert [int(picture[0, 0, 0]) for picture in filmed.pictures[1:]] == [
        int(x) + 100 for x in plain.observations[1:, 0]
    ]


@pytest.mark.parametrize(
    ("successes", "seed", "luck"),
    [
        ([True], 5, "All 2 in order, on the first try."),
        ([False, False, True], 7, "All 2 in order, on try 3; the 2 before failed."),
        ([False] * 10, 6, "1 of 2 in order: the best of 10 tries, none of which did all."),
    ],
)
def test_the_first_success_is_shown_or_else_the_best(
    agent: SkillPriorSAC, monkeypatch: pytest.MonkeyPatch, successes: list[bool], seed: int, luck: str
) -> None:
    asked: list[tuple[int, bool]] = []

    def take(_: SkillPriorSAC, env_id: str, task: Any, seed: int, filmed: bool = False) -> Take:
        asked.append((seed, filmed))
        success = successes[seed - 5]
        observations = np.full((5, 2), 10.0 if success else 1.0)
        return Take(seed, observations, 2.0 if success else float(seed == 6), success, [np.zeros((4, 4, 3))] * 5)

    drawn: list[tuple[Any, ...]] = []

    def draw(*arguments: Any) -> Film:
        drawn.append(arguments)
        return Film(b"", b"", arguments[2])

    monkeypatch.setattr(film, "take_episode", take)
    monkeypatch.setattr(film, "draw_film", draw)
    agents = [Adapted(TwoPlaces(1.0), 0, agent), Adapted(TwoPlaces(30.0), 0, agent)]
    shown = film_best(agents, [*rows("1", 0, "00"), *rows("30", 0, "01")], FILMED, ", unseen", seed=5, domain=DOMAIN)
    assert asked == [*((5 + k, False) for k in range(len(successes))), (seed, True)]
    assert shown.caption == f"An agent after 2 episodes on task 30, unseen: near, far. {luck}"
    ((pictures, fps, _, stills, checklist),) = drawn
    assert (fps, len(pictures)) == (10.0, 5)
    assert isinstance(checklist, Checklist)
    assert checklist.done.rewarded.tolist() == ([1, 1] if successes[-1] else [1, 0])
    assert stills == ({0: "start", 1: "1 near, 2 far"} if successes[-1] else {0: "start", 1: "1 near", 4: "end"})


@pytest.mark.parametrize(
    ("success", "luck", "last"),
    [
        (True, "It succeeds on the first try.", "success"),
        (False, "It fails: the best of 10 tries, none of which succeeded.", "end"),
    ],
)
def test_any_environment_that_draws_itself_is_filmed(
    agent: SkillPriorSAC, monkeypatch: pytest.MonkeyPatch, success: bool, luck: str, last: str
) -> None:
    stills: list[dict[int, str]] = []
    draw = film.draw_film

    def watched(pictures: Any, fps: float, caption: str, texts: dict[int, str], panel: Any = None) -> Film:
        stills.append(texts)
        assert panel is None
        return draw(pictures, fps, caption, texts, panel)

    monkeypatch.setattr(film, "draw_film", watched)
    task = LineTask(0.0 if success else 30.0)
    shown = film_best([Adapted(task, 0, agent)], rows(task.name, 0, "1"), FILMED)
    assert shown.caption == f"An agent after 1 episodes on task {task.name}. {luck}"
    assert shown.mp4[4:8] == b"ftyp"
    assert (stills[0][0], stills[0][max(stills[0])]) == ("start", last)


def test_a_machine_without_a_camera_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    check_camera(FILMED)

    def render(_: Any) -> None:
        raise ImportError("no EGL")

    monkeypatch.setattr(FilmedLine, "render", render)
    said = r"FilmedLine-v0 cannot be drawn here \(ImportError: no EGL\)\."
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    with pytest.raises(SettingsError, match=said + " If it draws by MuJoCo .* set MUJOCO_GL=egl"):
        check_camera(FILMED)
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    with pytest.raises(SettingsError, match=said + "$"):
        check_camera(FILMED)
