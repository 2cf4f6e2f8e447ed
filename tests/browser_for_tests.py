"""A headless Chromium, driven by its DevTools protocol over ``websockets``."""

import base64
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
)


def chromium() -> str | None:
    """The program, where there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Tab:
    """One page: ask it with :meth:`value`, click, type, look at it."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.number, self.events = 0, list[dict[str, Any]]()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv(timeout=300))
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, address: str, width: int = 1280, height: int = 800, mobile: bool = False) -> None:
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if mobile else 1,
            mobile=mobile,
        )
        self.ask("Page.navigate", url=address)

    def value(self, script: str) -> Any:
        """What JavaScript says."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 60.0) -> Any:
        """Until JavaScript says something that is true."""
        end = time.monotonic() + seconds
        while not (value := self.value(script)):
            assert time.monotonic() < end, f"not within {seconds} s: {script}; {self.value('document.body.innerText')}"
            time.sleep(0.1)
        return value

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, name: str) -> None:
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Tab": 9}
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=codes[name])

    def screenshot(self, path: Path, whole: bool = False) -> Path:
        """A picture of what is seen, or of the whole page."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def complaints(self) -> list[str]:
        """Errors of scripts, of the policy, and requests that failed."""
        self.value("1")
        found = []
        for event in self.events:
            entry = event.get("params", {}).get("entry", {})
            if event["method"] == "Runtime.exceptionThrown" or entry.get("level") == "error":
                found.append(json.dumps(event["params"])[:400])
        return found

    def requested(self) -> set[str]:
        """Hosts that the page asked for something."""
        urls = [
            event["params"].get("request", event["params"]).get("url", "")
            for event in self.events
            if event["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated")
        ]
        return {url.split("/")[2] for url in urls if url.startswith(("http", "ws"))}


@contextmanager
def browser(folder: Path) -> Iterator[Any]:
    """
    Starts Chromium; gives a function that makes a new tab.

    :param folder: for its profile
    """
    program = chromium()
    assert program is not None
    environment = {**os.environ, "HOME": str(folder)}
    process = subprocess.Popen(
        [program, *SWITCHES, f"--user-data-dir={folder / 'profile'}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    sockets = ExitStack()
    try:
        assert process.stderr is not None
        found = next(found for line in process.stderr if (found := re.search(r"ws://([\d.:]+)/", line)))

        def new_tab() -> Tab:
            request = urllib.request.Request(f"http://{found[1]}/json/new?about:blank", method="PUT")
            with urllib.request.urlopen(request, timeout=300) as answer:
                address = json.load(answer)["webSocketDebuggerUrl"]
            return Tab(sockets.enter_context(connect(address, max_size=None, proxy=None, ping_interval=None)))

        yield new_tab
    finally:
        sockets.close()
        process.terminate()
        process.wait(20)
        assert process.stderr is not None
        process.stderr.close()
