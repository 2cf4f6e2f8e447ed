"""``Worker``: the thread behind one tab. It lives the agents' skills, and obeys between two of them."""

import queue
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch as th

from simpl_sb3.errors import SettingsError, SimplError
from simpl_sb3.play.choices import Choice, Loaded, numbers_of, wanted_task
from simpl_sb3.play.outbox import Closed, Outbox
from simpl_sb3.play.prior import MAX_PATHS, show_skills
from simpl_sb3.play.walker import Camera, Walker
from simpl_sb3.settings import checked_number, checked_seed

__all__ = ["METHODS", "Worker"]

METHODS = ("simpl", "spirl")
"""Side by side on the page, in this order."""
N_SHOWN = 5
"""Episodes that an adapted agent walks before its run is over."""
MAX_SPEED = 100_000


class Worker(threading.Thread):
    """
    :param choices: what a visitor may choose
    :param outbox: to the page
    :param n_episodes: that each agent adapts for
    """

    def __init__(self, choices: Sequence[Choice], outbox: Outbox, n_episodes: int) -> None:
        super().__init__(name=f"play-{id(self):x}", daemon=True)
        self.choices = {choice.name: choice for choice in choices}
        self.outbox, self.n_episodes = outbox, n_episodes
        self._orders: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._left = threading.Event()
        self._choice = choices[0]
        self._cameras: dict[str, Camera] = {}
        self._walkers: list[Walker] = []
        self._paused, self._speed = False, 0.0
        self._free_at = 0.0  # when the next skill may begin
        self._orders.put({"type": "choose"})

    # ------------------------------------------------------------ from the event loop

    def order(self, message: Mapping[str, Any]) -> None:
        """Something that the page asks for."""
        self._orders.put(message)

    def leave(self) -> None:
        """The page is closed: the thread ends at the next skill."""
        self._left.set()
        self.outbox.close()
        self._orders.put(None)

    # ------------------------------------------------------------ in the thread

    def run(self) -> None:
        """Until the page is closed."""
        th.set_num_threads(1)
        try:
            while not self._left.is_set():
                self._obey_or_live()
        except Closed:
            pass
        finally:
            self._clear()

    def _obey_or_live(self) -> None:
        try:
            order = self._orders.get(timeout=self._wait())
        except queue.Empty:
            order = {}
        if order is None:
            return
        try:
            if order:
                self._obey(order)
            elif self._walkers and not self._paused:
                self._live()
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001 - an environment of a visitor's own may fail in any way
            self._clear()
            kind = "" if isinstance(error, SimplError) else f"{type(error).__name__}: "
            self.outbox.put({"type": "error", "text": f"{kind}{error}"})

    def _wait(self) -> float | None:
        """Seconds until there is something to do; None for until somebody asks."""
        if not self._walkers or self._paused:
            return None
        return max(0.0, self._free_at - time.perf_counter())

    def _obey(self, order: Mapping[str, Any]) -> None:
        known = {
            "choose": self._choose,
            "start": self._start,
            "stop": lambda order: self._clear(),
            "pause": lambda order: self._pause(True),
            "resume": lambda order: self._pause(False),
            "speed": self._set_speed,
            "prior": self._prior,
        }
        kind = order.get("type")
        if not isinstance(kind, str) or kind not in known:
            raise SettingsError(f"The page asked for {str(kind)[:40]!r}: expected one of {', '.join(known)}.")
        known[kind](order)

    def _choose(self, order: Mapping[str, Any]) -> None:
        self._clear()
        name = order.get("model", self._choice.name)
        if name not in self.choices:
            raise SettingsError(f"No model {str(name)[:80]!r}: expected one of {', '.join(self.choices)}.")
        self._choice = self.choices[name]
        self.outbox.put({"type": "loading", "model": name})
        try:
            self.outbox.put(
                {**described(self._choice.load(), self._camera(), list(self.choices)), "n_episodes": self.n_episodes}
            )
        except SimplError as error:
            self.outbox.put({"type": "refused", "models": list(self.choices), "model": name})
            raise error

    def _camera(self) -> Camera:
        name = self._choice.name
        if name not in self._cameras:
            self._cameras[name] = Camera(self._choice.domain, self.outbox.put)
        return self._cameras[name]

    def _start(self, order: Mapping[str, Any]) -> None:
        self._clear()
        loaded, domain, camera = self._choice.load(), self._choice.domain, self._camera()
        task = wanted_task(domain, order)
        seed = checked_seed(order.get("seed", 0)) or 0
        both = order.get("compare", True) is not False
        walkers = [
            Walker(
                number,
                loaded.session(method, seed, self.n_episodes),
                camera.env(),
                task,
                domain,
                seed,
                loaded.latents.place,
                self.outbox.put,
                camera.works,
            )
            for number, method in enumerate(METHODS)
            if number == 0 or both
        ]
        self.outbox.put({"type": "started", "task": task.name, "seed": seed, "both": both})
        self._walkers, self._paused = walkers, False

    def _live(self) -> None:
        """One skill of the agent that has lived less."""
        walker = min(self._walkers, key=lambda walker: (walker.env_steps, walker.number))
        begun, before = time.perf_counter(), walker.env_steps
        walker.live_skill()
        if walker.n_shown >= N_SHOWN:
            walker.close()
            self._walkers.remove(walker)
            walker.tell("over")
        if self._speed and self._walkers:
            self._free_at = begun + (walker.env_steps - before) / self._speed / len(self._walkers)

    def _pause(self, paused: bool) -> None:
        self._paused = paused
        self.outbox.put({"type": "paused", "paused": paused})

    def _set_speed(self, order: Mapping[str, Any]) -> None:
        """Env steps per second of each agent; 0 for as many as there can be."""
        self._speed = float(checked_number("speed", order.get("value"), 0))
        self._speed = 0.0 if self._speed >= MAX_SPEED else self._speed
        self._free_at = 0.0

    def _prior(self, order: Mapping[str, Any]) -> None:
        loaded, camera = self._choice.load(), self._camera()
        deviation = numbers_of(order.get("deviation", []), None)
        n_paths = 1 if deviation else checked_number("n", order.get("n", 1), 1)
        env = camera.env()
        try:
            show_skills(
                loaded.model.skills,
                self._choice.domain,
                env,
                self.outbox.put,
                deviation,
                min(n_paths, 1 if camera.works else MAX_PATHS),
                camera.works,
            )
        finally:
            env.close()

    def _clear(self) -> None:
        for walker in self._walkers:
            walker.close()
        self._walkers, self._paused, self._free_at = [], False, 0.0


def described(loaded: Loaded, camera: Camera, names: Sequence[str]) -> dict[str, Any]:
    """What the page has to know of a choice."""
    domain, latents, traces = loaded.choice.domain, loaded.latents, loaded.choice.domain.traces
    told: dict[str, Any] = {
        "type": "chosen",
        "models": list(names),
        "model": loaded.choice.name,
        "domain": domain.name,
        "skill_dim": loaded.model.skills.skill_dim,
        "measure": {"column": domain.measure.column, "label": domain.measure.label, "most": domain.measure.maximum},
        "latents": [{"name": name, "place": place} for name, place in latents.tasks],
        "tasks": [task.name for task in domain.sets.get(domain.test_tasks, ())][:200],
        "task_text": domain.task_text,
        "pictures": camera.works,
        "walls": None,
        "subtasks": [] if traces is None else list(traces.subtasks),
        "n_asked": 0 if traces is None else traces.n_asked,
    }
    if traces is not None and traces.walls is not None:
        told["walls"] = {"rows": list(traces.walls.rows), "corner": list(traces.walls.corner)}
    return told
