"""What the playground's tests play with: a small domain with a model of its own, and the model that comes along."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
from adaptation_for_tests import QUICK, trained
from envs_for_tests import LineEnv, LineTask

from simpl_sb3.domains import Domain, find_domain
from simpl_sb3.experiments.presets import PRETRAINED, find_preset
from simpl_sb3.play.choices import Choice
from simpl_sb3.play.outbox import Closed

ORDERS: dict[str, Any] = {"compare": False, "seed": 0}
SHORT = {**QUICK, "n_exploration_episodes": 2}
del SHORT["n_episodes"]


class SeenLine(LineEnv):
    """A line that can be drawn."""

    metadata = {"render_modes": ["rgb_array"]}


if "SeenLine-v0" not in gym.registry:
    gym.register("SeenLine-v0", SeenLine, disable_env_checker=True)

LINE = Domain(
    name="line",
    env_id="SeenLine-v0",
    task_sets={"train": LineEnv.train_tasks, "test": (LineTask(0.5), *LineEnv.test_tasks)},
    task_text="a place such as 2",
)


def line_choice(folder: Path) -> Choice:
    """The small domain, its model in a file."""
    path = folder / "line.zip"
    trained().save(path)
    return Choice("line", LINE, path, SHORT, {"net_arch": (8,), **SHORT})


def shipped(name: str) -> Choice:
    """A domain that comes along, as the command offers it."""
    domain = find_domain(name)
    preset = find_preset(None, domain)
    return Choice(preset.name, domain, PRETRAINED / preset.name / "model.zip", preset.adapt, preset.spirl)


class Told:
    """Stands where the page would: keeps what it is told, and leaves after so many messages of a kind."""

    def __init__(self, kind: str = "", number: int = 1) -> None:
        self.kind, self.left = kind, number
        self.messages: list[Any] = []

    def put(self, message: Any) -> None:
        self.messages.append(message)
        if isinstance(message, dict):
            json.dumps(message)  # can be sent
            self.left -= message["type"] == self.kind
            if self.kind and self.left <= 0:
                raise Closed

    def close(self) -> None:
        pass

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if isinstance(message, dict) and message["type"] == kind]

    def pictures(self) -> list[bytes]:
        return [message for message in self.messages if isinstance(message, bytes)]


@contextmanager
def socket_of(client: Any, origin: str = "http://127.0.0.1:8765", path: str = "/ws") -> Iterator[Any]:
    """A WebSocket as the page opens it."""
    with client.websocket_connect(path, headers={"origin": origin, "host": "127.0.0.1:8765"}) as socket:
        yield socket


def until(socket: Any, kind: str, pictures: list[bytes] | None = None) -> dict[str, Any]:
    """The next message of a kind; pictures on the way are kept."""
    while True:
        message = socket.receive()
        if message.get("bytes") is not None:
            if pictures is not None:
                pictures.append(message["bytes"])
            continue
        told = json.loads(message["text"])
        if told["type"] == kind:
            return dict(told)
        assert told["type"] != "error", told
