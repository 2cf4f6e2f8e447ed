"""The thread of a tab: what it obeys, in which order agents live, and how it ends."""

import time
from typing import Any

import pytest
from play_for_tests import ORDERS, Told, line_choice, shipped

from simpl_sb3.play.choices import Choice
from simpl_sb3.play.worker import N_SHOWN, Worker


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Choice:
    return line_choice(tmp_path_factory.mktemp("line"))


def run(choices: list[Choice], told: Told, *orders: dict[str, Any], n_episodes: int = 3) -> Told:
    worker = Worker(choices, told, n_episodes)  # type: ignore[arg-type]
    for order in orders:
        worker.order(order)
    worker.run()  # until the page leaves
    return told


def test_a_run_ends_with_the_adapted_agents_walks(line: Choice) -> None:
    told = run([line], Told("over", 2), {"type": "start", "text": "0.5", "seed": 0})
    assert told.messages[0] == {"type": "loading", "model": "line"}
    (chosen,) = told.of("chosen")
    assert (chosen["domain"], chosen["walls"], chosen["tasks"]) == ("line", None, ["0.5", "2", "-2"])
    for agent in (0, 1):
        episodes = [episode for episode in told.of("episode") if episode["agent"] == agent]
        phases = [episode["phase"] for episode in episodes]
        assert phases.count("adapted") == N_SHOWN
        assert len(episodes) == 3 + N_SHOWN
    explored = [episode["phase"] for episode in told.of("episode") if episode["agent"] == 0]
    assert explored[0] == "exploring"


def test_both_agents_have_lived_about_as_long(line: Choice) -> None:
    told = run([line], Told("episode", 6), {"type": "start", "text": "30", "seed": 0}, n_episodes=50)
    lived = [sum(episode["steps"] for episode in told.of("episode") if episode["agent"] == agent) for agent in (0, 1)]
    assert abs(lived[0] - lived[1]) <= 14  # an episode


def test_a_seed_gives_the_same_run(line: Choice) -> None:
    order = {"type": "start", "text": "2", **ORDERS}
    one, other, third = (run([line], Told("episode", 4), order | {"seed": seed}) for seed in (0, 0, 5))
    for kind in ("episode", "latent"):
        assert one.of(kind) == other.of(kind)
    assert third.of("latent") != one.of("latent")


def test_pause_stop_and_speed_are_obeyed_between_skills(line: Choice) -> None:
    worker: Any = Worker([line], Told(), 3)  # type: ignore[arg-type]
    worker._obey({"type": "start", "text": "0.5", **ORDERS})
    assert worker._wait() == 0.0
    worker._obey({"type": "pause"})
    assert worker._wait() is None  # until somebody asks
    worker._obey({"type": "resume"})
    worker._obey({"type": "speed", "value": 1})
    before = time.perf_counter()
    worker._live()
    assert worker._free_at >= before + worker._walkers[0].env_steps  # one env step each second
    worker._obey({"type": "speed", "value": 0})
    assert worker._wait() == 0.0
    worker._obey({"type": "stop"})
    assert worker._wait() is None
    assert [message["paused"] for message in worker.outbox.of("paused")] == [True, False]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"type": "dance"}, "'dance': expected one of choose, start"),
        ({"type": ["start"]}, "expected one of choose, start"),
        ({"type": "start"}, "No task was asked for"),
        ({"type": "start", "text": "0.5", "seed": -1}, "seed is -1"),
        ({"type": "speed", "value": "fast"}, "speed is 'fast'"),
        ({"type": "choose", "model": "nothing"}, "No model 'nothing': expected one of line"),
        ({"type": "prior", "deviation": ["a"]}, "expected some numbers"),
        ({"type": "prior", "n": 0}, "n is 0"),
    ],
)
def test_nonsense_is_one_message_and_the_thread_goes_on(line: Choice, order: dict[str, Any], message: str) -> None:
    told = run([line], Told("episode"), order, {"type": "start", "text": "0.5", **ORDERS})
    (error,) = told.of("error")
    assert message in error["text"]


def test_an_environment_that_fails_ends_the_run_with_its_message(line: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    from play_for_tests import SeenLine

    def fail(*arguments: Any) -> None:
        raise ValueError("the arm fell off")

    monkeypatch.setattr(SeenLine, "step", fail)
    told = run([line], Told("error"), {"type": "start", "text": "0.5", **ORDERS})
    assert told.of("error") == [{"type": "error", "text": "ValueError: the arm fell off"}]


def test_a_model_that_does_not_fit_is_refused_and_another_can_be_chosen(line: Choice) -> None:
    wrong = Choice("wrong", shipped("kitchen").domain, line.model)
    told = run([wrong, line], Told("chosen"), {"type": "choose", "model": "line"})
    assert [message["model"] for message in told.of("refused")] == ["wrong"]
    assert "not one for the domain kitchen" in told.of("error")[0]["text"]
    assert told.of("chosen")[0]["model"] == "line"


def test_the_map_of_a_domain_is_described() -> None:
    (chosen,) = run([shipped("maze")], Told("chosen")).of("chosen")
    assert len(chosen["walls"]["rows"]) == 22
    assert (chosen["pictures"], chosen["n_asked"], len(chosen["latents"])) == (False, 0, 40)
