"""``PicturesCallback``: pictures of a meta-training in TensorBoard, while it runs."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from tqdm import tqdm

from simpl_sb3.algorithms.callbacks import untouched_random_numbers
from simpl_sb3.domains import Domain, find_domain
from simpl_sb3.errors import SettingsError, SimplError
from simpl_sb3.experience.collector import FinishedEpisode, SkillStep
from simpl_sb3.experiments.filming import no_camera
from simpl_sb3.experiments.live_film import Studio, TooSlow
from simpl_sb3.experiments.recorder import summary_of
from simpl_sb3.logs import picture_logger, record_film, record_picture
from simpl_sb3.report.live import LatestPath, draw_latents, draw_latest_paths, draw_success
from simpl_sb3.results.episodes import Whose
from simpl_sb3.results.facts import SUCCESS, Walls
from simpl_sb3.results.traces import Trajectory
from simpl_sb3.settings import checked_number, checked_seed

__all__ = ["PicturesCallback"]

LATELY = 5
"""Meta-iterations that say how well a task is done."""
MAX_COLUMNS = 400
"""Meta-iterations of the picture of success; beyond it, every second one is forgotten."""
FILM_FPS = 8.0


class _Clock:
    """
    Seconds so far: of this process on the CPU, so that other work on the machine does not count, and never more than
    have gone by.
    """

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        """Since it was made."""
        return min(time.perf_counter() - self._wall, time.process_time() - self._cpu)


class _Allowance:
    """
    Time that something may take of all the time so far.

    :param share: of it; None for no limit
    :param guess: seconds that it takes, before it was done once
    """

    def __init__(self, share: float | None, guess: float) -> None:
        self.share, self.latest, self.spent = share, guess, 0.0

    def left(self, elapsed: float) -> float:
        """Seconds."""
        return float("inf") if self.share is None else self.share * elapsed - self.spent

    def covers(self, elapsed: float) -> bool:
        """Whether it may be done once more."""
        return self.latest <= self.left(elapsed)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Count the time of the block."""
        started = time.process_time()
        try:
            yield
        finally:
            self.latest = time.process_time() - started
            self.spent += self.latest


class PicturesCallback(BaseCallback):
    """
    Logs pictures of a meta-training now and then: ``pictures/paths`` (the last meta-iteration by task, where episodes
    are paths), ``pictures/success`` (per task over time), ``pictures/latents`` (of the training tasks, in 2-D), and
    in turn ``pictures/film_best`` and ``pictures/film_worst`` (the task that is done best, or worst).

    They go through SB3's logger to every output that takes its ``Image``, such as TensorBoard's; without one nothing is
    drawn. Random numbers, buffers and environments of the training are not touched: it learns the same to the bit.

    :param domain: of the environment: a ``Domain``, or its name, environment id or file; None for neither paths nor
        films
    :param interval: meta-iterations between two pictures, at least
    :param max_share: of the time so far that pictures may take: what would take more waits; None for no limit
    :param film: whether films are made, where the environment can draw itself here; if not, one line says why
    :param env_settings: of the environment that is filmed
    :param seed: of films and latents
    :raises SettingsError: for a value out of range
    """

    guesses: ClassVar[tuple[float, float]] = 1.0, 2.0
    """Seconds of a set of pictures, and of a film, before one was made."""

    def __init__(
        self,
        domain: Domain | str | None = None,
        *,
        interval: int = 5,
        max_share: float | None = 0.02,
        film: bool = True,
        env_settings: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.domain = find_domain(domain) if isinstance(domain, str) else domain
        self.interval = checked_number("interval", interval, 1)
        if max_share is not None and not 0 < max_share <= 1:
            raise SettingsError(f"max_share is {max_share!r}: expected a share above 0 and at most 1, or None.")
        self.max_share, self.env_settings = max_share, dict(env_settings or {})
        self.seed = int(checked_seed(seed) or 0)
        self.films = film and self.domain is not None
        half = None if max_share is None else max_share / (2 if self.films else 1)
        self._drawing, self._filming = _Allowance(half, self.guesses[0]), _Allowance(half, self.guesses[1])
        self._studio: Studio | None = None
        self._axes: np.ndarray | None = None  # of the latest picture of latents
        self._episodes: list[FinishedEpisode] = []
        self._skills: list[int] = []
        self._values: list[np.ndarray] = []  # by meta-iteration
        self._since = self._n_films = 0
        self._told: set[str] = set()

    # ------------------------------------------------------------ SB3's calls

    def _on_training_start(self) -> None:
        self._clock = _Clock()
        self._drawing.spent = self._filming.spent = 0.0

    def _on_rollout_start(self) -> None:
        self._episodes = []

    def _on_step(self) -> bool:
        step = self.locals.get("step")
        if isinstance(step, SkillStep):
            self._episodes += step.finished
        return True

    def _on_rollout_end(self) -> None:
        if self._episodes:
            self._note()
            self._since += 1
            if self._since >= self.interval:
                self._draw()

    def _on_training_end(self) -> None:
        if self._since and self._episodes:
            self._draw()
        if self._studio is not None:
            self._studio.close()
            self._studio = None

    @property
    def elapsed(self) -> float:
        """Seconds since ``learn`` was called, as long as this process worked."""
        return self._clock.seconds()

    @property
    def share(self) -> float:
        """Of the time since then, what pictures took."""
        return (self._drawing.spent + self._filming.spent) / max(1e-9, self.elapsed)

    # ------------------------------------------------------------ what is shown

    @property
    def _measure(self) -> Any:
        return SUCCESS if self.domain is None else self.domain.measure

    def _note(self) -> None:
        """What each task reached in this meta-iteration: with its task inferred, where some episodes were."""
        informed = [one for one in self._episodes if one.job.kind == "posterior"]
        tasks: Any = self.model.train_tasks  # type: ignore[attr-defined]
        known: list[list[float]] = [[] for _ in tasks]
        for one in informed or self._episodes:
            by_success = self._measure.column == "success"
            known[one.job.task_index].append(float(one.success) if by_success else one.episode.total_reward)
        self._values.append(np.array([np.mean(own) if own else np.nan for own in known]))
        self._skills.append(self.model.num_timesteps)
        if len(self._skills) > MAX_COLUMNS:
            del self._skills[::2], self._values[::2]

    def _lately(self) -> np.ndarray:
        """What each task reached in the latest meta-iterations, (T,); NaN where it was not lived."""
        latest = np.array(self._values[-LATELY:])
        known = ~np.isnan(latest)
        with np.errstate(invalid="ignore"):
            return np.where(known, latest, 0.0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)

    def _draw(self) -> None:
        """Pictures, and a film, as far as time allows."""
        logger = picture_logger(self.logger)
        if logger is None:
            return
        if self._drawing.covers(self.elapsed):
            self._since = 0
            with self._drawing.spending(), untouched_random_numbers():
                for name, draw in (("paths", self._paths), ("success", self._success), ("latents", self._latents)):
                    self._attempt(name, lambda draw=draw, name=name: self._log(logger, name, draw()))
        if self.films and len(self._values) > 1 and self._filming.covers(self.elapsed):
            allowed = self._filming.left(self.elapsed)
            with self._filming.spending(), untouched_random_numbers():
                self._attempt("film", lambda: self._film(logger, allowed))
            if self._too_slow is not None:
                self._filming.latest = self._too_slow

    _too_slow: float | None = None

    def _attempt(self, what: str, draw: Any) -> None:
        """A picture that fails says so once, and does not stop the training."""
        try:
            draw()
        except Exception as error:  # noqa: BLE001 - a training of hours does not end for a picture
            if what not in self._told:
                self._told.add(what)
                reason = str(error) if isinstance(error, SimplError) else f"{error!r:.300}"
                tqdm.write(f"No {what} in the live pictures: {reason}")
            if what == "film":
                self.films = False

    def _log(self, logger: Logger, name: str, picture: np.ndarray | None) -> None:
        if picture is not None:
            record_picture(logger, f"pictures/{name}", picture, self.model.num_timesteps)

    def _title(self, text: str) -> str:
        return f"{text}, {self.model.num_timesteps:,} skills lived"

    def _paths(self) -> np.ndarray | None:
        traces = None if self.domain is None else self.domain.traces
        if traces is None:
            return None
        walls: Walls | None = traces.walls
        paths: dict[str, list[LatestPath]] = {}
        for number, one in enumerate(self._episodes, start=1):
            whose = Whose("live", one.job.task.name, 0, number)
            trace = traces.trace(whose, one.job.task, summary_of(one))
            if isinstance(trace, Trajectory):
                paths.setdefault(one.job.task.name, []).append(LatestPath(trace, one.job.kind == "posterior"))
        return draw_latest_paths(paths, walls, self._title("Latest episodes by task")) if paths else None

    def _success(self) -> np.ndarray:
        names = [task.name for task in self.model.train_tasks]  # type: ignore[attr-defined]
        label = self._measure.label.capitalize()
        return draw_success(names, self._skills, np.array(self._values).T, self._measure, f"{label} by training task")

    def _posteriors(self) -> tuple[np.ndarray, th.Tensor] | None:
        """Indices of the tasks that have a context, and the means of their posteriors (K, E); without own draws."""
        model: Any = self.model
        if not hasattr(model, "infer_task_latent"):
            return None
        buffer = model.context_buffer
        ready = np.flatnonzero(buffer.sizes > 0)
        rng, buffer.rng = buffer.rng, np.random.default_rng(self.seed)
        try:
            return ready, model.infer_task_latent(model._contexts(ready))[0].cpu()
        finally:
            buffer.rng = rng

    def _latents(self) -> np.ndarray | None:
        found = self._posteriors()
        if found is None or len(found[0]) < 3 or found[1].shape[1] < 2:
            return None
        ready, means = found[0], found[1].numpy()
        centred = means - means.mean(axis=0)
        axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
        if self._axes is not None:  # a direction has no sign of its own: the one that it had
            axes *= np.where((axes * self._axes).sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
        self._axes = axes
        names = [self.model.train_tasks[k].name for k in ready]  # type: ignore[attr-defined]
        title = self._title("Task latents, means of q(e | context)")
        return draw_latents(centred @ axes.T, names, self._lately()[ready], self._measure, title)

    def _film(self, logger: Logger, seconds: float) -> None:
        """The best or the worst task in turn."""
        self._too_slow = None
        found, lately, model = self._posteriors(), self._lately(), self.model
        if found is None or self.domain is None:
            self.films = False
            return
        if self._studio is None:
            try:
                self._studio = Studio(self.domain, model, self.env_settings)
            except Exception as error:
                raise no_camera(self.domain.env_id, error) from error
        best = self._n_films % 2 == 0
        ready, means = found
        known = [(float(lately[k]), place) for place, k in enumerate(ready) if not np.isnan(lately[k])]
        if not known:
            return
        _, place = (max if best else min)(known)
        task = model.train_tasks[ready[place]]  # type: ignore[attr-defined]
        which = "best" if best else "worst"
        try:
            frames, _ = self._studio.film(task, means[[place]], f"{which}, {task.name}", self.seed, seconds)
        except TooSlow as slow:
            self._too_slow = slow.seconds
            return
        self._n_films += 1
        record_film(logger, f"pictures/film_{which}", frames, FILM_FPS, model.num_timesteps)
