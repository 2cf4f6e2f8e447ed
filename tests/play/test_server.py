"""The page over HTTP, the run over a WebSocket: who may come in, what is told, and that a closed tab's run ends."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from play_for_tests import ORDERS, line_choice, socket_of, until
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from simpl_sb3.errors import SettingsError
from simpl_sb3.play.choices import Choice
from simpl_sb3.play.server import PAGE, make_app, open_socket, serve

START = {"type": "start", "text": "0.5", **ORDERS}
ENDLESS = {"type": "start", "text": "30", **ORDERS}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Choice:
    return line_choice(tmp_path_factory.mktemp("line"))


@pytest.fixture
def client(line: Choice) -> Iterator[TestClient]:
    with TestClient(make_app([line], 4), base_url="http://127.0.0.1:8765") as made:
        yield made


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("play-")]


# ---------------------------------------------------------------- the page


def test_the_page_is_small_and_asks_nobody_else(client: TestClient) -> None:
    parts = {path: client.get(path) for path in PAGE}
    assert all(part.status_code == 200 for part in parts.values())
    assert sum(len(part.content) for part in parts.values()) < 200_000
    for path, part in parts.items():
        assert not re.search(r"(?:src|href|url|import|fetch)\s*[=(]\s*[\"']?(?:https?:)?//", part.text), path
        policy = part.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
    assert "onclick=" not in parts["/"].text  # the policy would not run it
    assert "style=" not in parts["/"].text
    assert client.get("/models").status_code == 404


def test_another_name_of_this_machine_is_refused(client: TestClient) -> None:
    assert client.get("/", headers={"host": "evil.example:80"}).status_code == 403
    assert client.get("/", headers={"host": "127.0.0.1:8765"}).status_code == 200


# ---------------------------------------------------------------- a run


def test_a_tab_is_told_of_a_run_to_its_end(client: TestClient) -> None:
    with socket_of(client) as tab:
        assert until(tab, "chosen")["domain"] == "line"
        pictures: list[bytes] = []
        tab.send_json(START)
        assert until(tab, "started")["task"] == "0.5"
        assert until(tab, "episode", pictures)["episode"] == 1
        until(tab, "over", pictures)
        assert pictures
        tab.send_json({"type": "prior", "n": 1})
        assert until(tab, "prior")["paths"] == []


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", "null", '{"type": 5}', "[" * 30_000, '{"type": "start"}', "x" * 70_000]
)
def test_bad_input_is_answered_and_the_tab_lives_on(client: TestClient, text: str) -> None:
    with socket_of(client) as tab:
        until(tab, "chosen")
        tab.send_text(text)
        while True:
            message = tab.receive_json()
            if message["type"] == "error":
                break
        assert "expected" in message["text"]
        tab.send_json(START)
        until(tab, "started")


def test_tabs_have_runs_of_their_own_and_a_closed_one_stops(client: TestClient) -> None:
    before = len(running())
    with socket_of(client) as one:
        until(one, "chosen")
        with socket_of(client) as other:
            until(other, "chosen")
            one.send_json(ENDLESS)
            other.send_json(START)
            assert until(one, "started")["task"] == "30"
            assert until(other, "started")["task"] == "0.5"
            until(one, "episode")
            assert len(running()) == before + 2
    end = time.monotonic() + 60.0
    while len(running()) > before and time.monotonic() < end:
        time.sleep(0.05)
    assert len(running()) == before


# ---------------------------------------------------------------- who may come in


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1.evil.example:8765"])
def test_a_websocket_of_another_page_is_refused(client: TestClient, origin: str) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, socket_of(client, origin):
        pass
    assert refused.value.code == 1008
    assert not running()


def test_elsewhere_the_token_is_asked_for(line: Choice) -> None:
    with TestClient(make_app([line], 4, token="secret")) as client:
        assert client.get("/").status_code == 403
        assert client.get("/?token=wrong").status_code == 403
        assert client.get("/?token=secret", headers={"host": "robot:8765"}).status_code == 200
        for path in ("/ws", "/ws?token=wrong"):
            with pytest.raises(WebSocketDisconnect), socket_of(client, path=path):
                pass
        with socket_of(client, path="/ws?token=secret") as tab:
            until(tab, "chosen")


def test_a_port_in_use_is_one_message() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1, port {port} .*expected a free port"):
            open_socket("127.0.0.1", port)


def test_the_address_has_a_token_where_others_can_come(line: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: None)
    monkeypatch.setattr("simpl_sb3.play.server.open_socket", lambda host, port: open_socket("127.0.0.1", port))
    told: list[Any] = []
    serve([line], "127.0.0.1", 0, 4, told.append)
    serve([line], "0.0.0.0", 0, 4, told.append)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", told[0])
    assert re.fullmatch(r"http://0\.0\.0\.0:\d+/\?token=[\w-]{20,}", told[1])
