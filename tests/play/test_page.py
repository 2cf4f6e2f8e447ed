"""The page in a real browser: a click on a goal, success, the keyboard, and nothing that the policy forbids."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from browser_for_tests import Tab, browser, chromium
from play_for_tests import line_choice, shipped
from starlette.applications import Starlette

from simpl_sb3.domains import find_domain
from simpl_sb3.experiments.play_verb import Play
from simpl_sb3.play.server import make_app, open_socket

pytestmark = pytest.mark.skipif(chromium() is None, reason="needs chromium (Debian: apt-get install chromium)")
MAP = "document.querySelector('#agent-0 canvas')"
MESSAGE = "document.getElementById('message').textContent"
SOLVED = "state.agents[0].episodes.some((one) => one.success && ['fine-tuning', 'adapted'].includes(one.phase))"
N_GOALS = 10


@contextmanager
def playground(app: Starlette) -> Iterator[str]:
    """Its address, while it runs."""
    opened = open_socket("127.0.0.1", 0)
    config = uvicorn.Config(app, log_level="error", ws="websockets-sansio", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{opened.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(60.0)
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A playground in which agents adapt for four episodes."""
    with playground(make_app([shipped("maze"), line_choice(tmp_path_factory.mktemp("line"))], 4)) as found:
        yield found


@pytest.fixture
def new_tab(tmp_path: Path) -> Iterator[Any]:
    with browser(tmp_path) as made:
        yield made


def place(tab: Tab, x: float, y: float) -> tuple[float, float]:
    """Where an observed place of the map is on the screen."""
    script = f"(() => {{ const b = {MAP}.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; }})()"
    left, top, width, height = tab.value(script)
    first, second = tab.value("state.about.walls.corner")
    cell = width / tab.value("state.about.walls.rows.length")
    return left + (x - first) * cell, top + height - (y - second) * cell


def test_a_click_on_a_goal_leads_to_success(address: str, new_tab: Any, tmp_path: Path) -> None:
    tab = new_tab()
    tab.open(address)
    tab.wait(f"Boolean(window.playground?.about && {MAP})")
    tab.click(*place(tab, 0.1, 5.0))
    assert "lies in a wall" in tab.wait(f"document.getElementById('message').className === 'bad' && {MESSAGE}")
    tab.click(*place(tab, 11.0, 10.0))  # next to the start: a few skills
    tab.wait("state.agents[0].episodes.some((episode) => episode.success)", 120)
    assert "success" in tab.wait("document.querySelector('#agent-0 .line .won')?.textContent")
    assert tab.value("document.getElementById('sentence').textContent").split(":")[0] in (
        "Exploring",
        "Inferring",
        "Fine-tuning",
        "Adapted",
    )
    assert tab.screenshot(tmp_path / "page.png").stat().st_size > 20_000
    assert tab.complaints() == []
    assert tab.requested() == {address.split("/")[2]}


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_clicks_on_goals_of_no_list_lead_to_adapted_agents(new_tab: Any) -> None:
    """Beside SPiRL, as the page begins; this process's CPU seconds, so that a busy machine does not count."""
    with playground(make_app([shipped("maze")], Play.n_episodes)) as address:
        taken = clicks(new_tab(), address)
    print(taken)  # noqa: T201 - for whoever asks with -s
    assert sum(solved for _, solved in taken.values()) >= 0.8 * N_GOALS, taken


def clicks(tab: Tab, address: str) -> dict[str, tuple[float, bool]]:
    """CPU seconds from a click on a goal to its end, and whether an adapted agent was seen to reach it."""
    taken = {}
    tab.open(address, 1400, 1400)
    tab.wait(f"Boolean(window.playground?.about && {MAP})")
    for task in find_domain("maze").tasks(f"random:{N_GOALS}:7"):
        tab.value("document.getElementById('reset').click()")
        tab.wait("!state.running")
        started = time.process_time()
        tab.click(*place(tab, *task.goal))
        tab.wait("state.running")
        while not (solved := tab.value(SOLVED)) and time.process_time() - started < 90.0 and tab.value("state.running"):
            time.sleep(0.5)
        taken[task.name] = round(time.process_time() - started, 1), solved
    return taken


def test_the_keyboard_chooses_a_goal_and_a_phone_sees_the_whole_width(address: str, new_tab: Any) -> None:
    tab = new_tab()
    tab.open(address, 390, 844, mobile=True)
    tab.wait(f"Boolean(window.playground?.about && {MAP})")
    assert tab.value("document.documentElement.scrollWidth <= innerWidth")
    tab.value(f"{MAP}.focus()")
    for name in ("ArrowLeft", "ArrowDown", "Enter"):
        tab.key(name)
    tab.wait("state.running || document.getElementById('message').className === 'bad'")
    assert tab.value("state.chosen") == [
        10.0 + 0.5 + tab.value("state.about.walls.corner[0]"),
        10.5 + tab.value("state.about.walls.corner[1]"),
    ]


def test_a_domain_of_ones_own_shows_pictures_and_returns(address: str, new_tab: Any) -> None:
    tab = new_tab()
    tab.open(address)
    tab.wait("Boolean(window.playground?.about)")
    tab.value(
        "document.getElementById('model').value = 'line';"
        "document.getElementById('model').dispatchEvent(new Event('change'))"
    )
    tab.wait("state.about !== null && state.about.domain === 'line'")
    tab.value("document.getElementById('start').click()")
    tab.wait("state.agents[0].episodes.length > 2 && state.frames > 0", 120)  # a busy machine skips frames
    assert tab.complaints() == []
