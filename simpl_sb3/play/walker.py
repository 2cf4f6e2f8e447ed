"""``Walker``: one agent in one environment, a skill at a time, and what is shown of it."""

import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

from simpl_sb3.algorithms.session import AdaptationSession
from simpl_sb3.domains import Domain
from simpl_sb3.results.episodes import EpisodeSummary, Whose
from simpl_sb3.results.traces import Completions, Trajectory
from simpl_sb3.skills.base import Skills

__all__ = ["Camera", "Walker", "as_read", "has_map"]

FRAMES_PER_SECOND = 20.0
"""Pictures of one agent, at most."""
JPEG_QUALITY = 70
MAX_SIDE = 400
"""Of a picture that is sent, pixels."""
Tell = Callable[[Any], None]


def has_map(domain: Domain) -> bool:
    """Whether a domain's episodes are paths on a map; of another, pictures are shown."""
    return domain.traces is not None and domain.traces.walls is not None


def as_read(skills: Skills, observation: Any) -> np.ndarray:
    """An observation as the skills read it, (O,)."""
    part = observation[skills.observation_key] if isinstance(observation, dict) else observation
    return np.asarray(part, np.float32)


class Camera:
    """
    Makes a domain's environment, with pictures where they are shown and can be drawn here.

    :param domain: of the environment
    :param tell: hears once why there are no pictures
    """

    def __init__(self, domain: Domain, tell: Tell) -> None:
        self.domain, self.works = domain, not has_map(domain)
        if self.works:
            try:
                env = self._make()
                env.reset()
                shown = env.render()
                env.close()
                if not isinstance(shown, np.ndarray) or shown.ndim != 3:
                    raise ValueError("render() gives no picture")
            except Exception as error:  # noqa: BLE001 - the way to a picture is the environment's, and may fail anyhow
                self.works = False
                tell({"type": "note", "text": f"There are no pictures here, the run goes on without them: {error}"})

    def _make(self) -> gym.Env[Any, Any]:
        return gym.make(self.domain.env_id, render_mode="rgb_array")

    def env(self) -> gym.Env[Any, Any]:
        """A new environment."""
        return self._make() if self.works else gym.make(self.domain.env_id)

    @staticmethod
    def jpeg(picture: np.ndarray) -> bytes:
        """A picture, small enough to be sent many times a second."""
        image = Image.fromarray(np.asarray(picture, np.uint8)).convert("RGB")
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        content = io.BytesIO()
        image.save(content, "JPEG", quality=JPEG_QUALITY)
        return content.getvalue()


class Walker:
    """
    Lives one skill after the other, and tells where it went.

    :param number: its place on the page, 0 or 1
    :param session: of the agent
    :param env: where it acts; it is seeded and given its task
    :param task: the task
    :param domain: says what is shown
    :param seed: of the environment
    :param place: of a task latent on the page
    :param tell: hears of every event
    :param pictures: whether the environment draws itself
    """

    def __init__(
        self,
        number: int,
        session: AdaptationSession,
        env: gym.Env[Any, Any],
        task: Any,
        domain: Domain,
        seed: int,
        place: Callable[[Any], list[float]],
        tell: Tell,
        pictures: bool,
    ) -> None:
        self.number, self.session, self.env, self.task, self.domain = number, session, env, task, domain
        self.place, self._tell, self._pictures = place, tell, pictures
        self.episode = self.n_shown = 0
        self.env_steps = 0  # in all
        self._seed: int | None = seed
        self._observation: Any = None  # None between episodes
        self._observed: list[np.ndarray] = []
        self._return, self._success = 0.0, False
        self._told: dict[str, Any] = {}
        self._last_frame = 0.0

    def tell(self, kind: str, **what: Any) -> None:
        """One event of this agent."""
        self._tell({"type": kind, "agent": self.number, **what})

    def tell_changed(self, kind: str, **what: Any) -> None:
        """The same, where it is not what was told last."""
        if self._told.get(kind) != what:
            self._told[kind] = what
            self.tell(kind, **what)

    def live_skill(self) -> None:
        """One skill, or as much of it as the episode has."""
        if self._observation is None:
            self._begin()
        self.tell_changed("phase", phase=self.session.phase)
        began, ended = len(self._observed) - 1, False
        for _ in range(self.session.skills.horizon):
            action = self.session.act(self._observation)
            self._observation, reward, terminated, truncated, info = self.env.step(action)
            success = info.get("is_success", info.get("success"))
            self.session.observe(
                self._observation,
                float(reward),
                bool(terminated),
                bool(truncated),
                None if success is None else bool(success),
            )
            self._observed.append(as_read(self.session.skills, self._observation))
            self._return, self._success = self._return + float(reward), self._success or bool(success)
            self.env_steps += 1
            self._show_frame()
            ended = bool(terminated or truncated)
            if ended:
                break
        self._show(began)
        if ended:
            self._finish()

    def _begin(self) -> None:
        self._observation, _ = self.env.reset(seed=self._seed, options={"task": self.task})
        self._seed, self.episode = None, self.episode + 1
        self._observed = [as_read(self.session.skills, self._observation)]
        self._return, self._success = 0.0, False
        self._phase = self.session.phase
        self.tell("begin", episode=self.episode, phase=self._phase)

    def _finish(self) -> None:
        self._observation = None
        self.n_shown += self._phase == "adapted"
        self.tell(
            "episode",
            episode=self.episode,
            phase=self._phase,
            success=self._success,
            value=round(self._return, 3),
            steps=len(self._observed) - 1,
        )

    def _show(self, began: int) -> None:
        """The path since an index, the subtasks so far, and the latent that it acts with."""
        for trace in self._traces(began):
            if isinstance(trace, Trajectory):
                self.tell_changed("goal", place=list(trace.goal), radius=trace.radius)
                self.tell("path", points=np.round(trace.positions[::2], 2).tolist())
            elif isinstance(trace, Completions):
                done = [trace.asked[i] for i in np.flatnonzero(trace.rewarded)]
                self.tell_changed("subtasks", done=done, order=list(trace.order))
        latent = self.session.acts_with
        self.tell_changed("latent", place=None if latent is None else self.place(latent))

    def _traces(self, began: int) -> Iterator[Any]:
        traces = self.domain.traces
        if traces is None:
            return
        first = began if traces.walls is not None else 0
        observed = np.stack(self._observed[first:])
        summary = EpisodeSummary(self._return, self._success, len(observed) - 1, observed)
        yield traces.trace(Whose("agent", self.task.name, 0, self.episode), self.task, summary)

    def _show_frame(self) -> None:
        now = time.perf_counter()
        if self._pictures and now - self._last_frame >= 1.0 / FRAMES_PER_SECOND:
            self._last_frame = now
            picture: Any = self.env.render()
            self._tell(bytes([self.number]) + Camera.jpeg(picture))

    def close(self) -> None:
        """Let the environment go."""
        self.env.close()
