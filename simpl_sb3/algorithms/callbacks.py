"""Callbacks of meta-training: evaluation on held-out tasks by adapting to them."""

import inspect
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EvalCallback, EventCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.progress import bar_of
from simpl_sb3.algorithms.settings import AdaptationSettings
from simpl_sb3.algorithms.tasks import check_given_tasks
from simpl_sb3.algorithms.training_state import global_generators, take_generators
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.settings import checked_number, checked_seed

__all__ = ["AdaptationEvalCallback", "evaluated_env", "evaluations", "warn_of_exploring_evaluation"]


class AdaptationEvalCallback(BaseCallback):
    """
    Adapts the meta-policy to held-out tasks now and then, and logs what the adapted agents reach: ``eval/success`` and
    ``eval/return``, means over the last episodes of all agents. SB3's ``EvalCallback`` would measure the exploring
    policy, which knows no task.

    :param env: as many environments as tasks; not those of the training
    :param tasks: held-out tasks, one agent each
    :param eval_freq: skills of meta-training between two evaluations; each begins before a meta-iteration
    :param n_last_episodes: episodes of each agent that count, the last ones; all where there are fewer
    :param best_model_save_path: folder for ``best_model.zip``, the model with the highest mean return so far
    :param seed: of each evaluation; the training's random numbers are not touched
    :param verbose: 1 prints each evaluation
    :param settings: of ``AdaptationSettings``, such as ``n_episodes=30``
    """

    def __init__(
        self,
        env: VecEnv,
        tasks: Sequence[Any],
        eval_freq: int = 50_000,
        n_last_episodes: int = 5,
        best_model_save_path: str | Path | None = None,
        seed: int = 0,
        verbose: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(verbose)
        check_given_tasks(tasks, env)
        self.env, self.tasks, self.seed = env, tuple(tasks), checked_seed(seed)
        self.eval_freq = checked_number("eval_freq", eval_freq, 1)
        self.n_last_episodes = checked_number("n_last_episodes", n_last_episodes, 1)
        self.settings = {"n_episodes": 30, **settings}
        AdaptationSettings.of(self.settings)
        self.best_model_save_path = None if best_model_save_path is None else Path(best_model_save_path)
        self.best_mean_return, self.last_mean_success, self.last_mean_return = -np.inf, 0.0, 0.0
        self._next = self.eval_freq

    def _init_callback(self) -> None:
        if not hasattr(self.model, "adapt_tasks"):
            raise SettingsError(
                f"AdaptationEvalCallback adapts a meta-policy, and {type(self.model).__name__} has none: expected "
                "SkillPriorPEARL, or SB3's EvalCallback."
            )

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps >= self._next:
            self._next = self.model.num_timesteps + self.eval_freq
            self.evaluate()

    def _on_training_end(self) -> None:
        self.evaluate()

    def evaluate(self) -> float:
        """
        Adapt to the tasks as the model is now.

        :return: mean success over the last episodes
        """
        first = self.settings["n_episodes"] - self.n_last_episodes
        last: list[FinishedEpisode] = []

        def keep(agent: int, episode: int, finished: FinishedEpisode) -> None:
            if episode > first:
                last.append(finished)

        with untouched_random_numbers():
            self.model.adapt_tasks(  # type: ignore[attr-defined]
                self.env, self.tasks, seed=self.seed, on_episode=keep, **{"progress_bar": False} | self.settings
            )
        self.last_mean_success = float(np.mean([finished.success for finished in last]))
        self.last_mean_return = float(np.mean([finished.episode.total_reward for finished in last]))
        self.logger.record("eval/success", self.last_mean_success)
        self.logger.record("eval/return", self.last_mean_return)
        self.logger.dump(self.model.num_timesteps)
        if (bar := bar_of(self.model)) is not None:
            bar.keep("held-out", f"{self.last_mean_success:.2f}")
        if self.verbose >= 1:
            print(  # noqa: T201 - as SB3's EvalCallback
                f"{self.model.num_timesteps} skills: {len(self.tasks)} held-out tasks, last {self.n_last_episodes} of "
                f"{self.settings['n_episodes']} episodes: success {self.last_mean_success:.2f}, "
                f"return {self.last_mean_return:.2f}"
            )
        if self.last_mean_return > self.best_mean_return:
            self.best_mean_return = self.last_mean_return
            if self.best_model_save_path is not None:
                self.model.save(self.best_model_save_path / "best_model.zip")
        return self.last_mean_success


@contextmanager
def untouched_random_numbers() -> Iterator[None]:
    """Leave the process-wide generators of torch, numpy and Python as they were before the block."""
    states = global_generators()
    try:
        yield
    finally:
        take_generators(*states)


def evaluations(callback: Any) -> Iterator[EvalCallback]:
    """SB3's ``EvalCallback`` wherever they are among some callbacks."""
    waiting = [callback]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list | tuple):
            waiting.extend(found)
        elif isinstance(found, EvalCallback):
            yield found
        elif isinstance(found, CallbackList):
            waiting.extend(found.callbacks)
        elif isinstance(found, EventCallback) and found.callback is not None:
            waiting.append(found.callback)


def evaluated_env() -> VecEnv | None:
    """The environment of the ``evaluate_policy`` that asks for skills; SB3 tells a model nothing of it."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not evaluate_policy.__code__:
        frame = frame.f_back
    return None if frame is None else frame.f_locals.get("env")


def warn_of_exploring_evaluation(callback: Any) -> None:
    """Warn where SB3's ``EvalCallback`` is among the callbacks of a meta-training."""
    for _ in evaluations(callback):
        warnings.warn(
            "EvalCallback measures the meta-policy as it explores, with a random task latent: to measure adapted "
            "agents on held-out tasks use simpl_sb3.AdaptationEvalCallback(env, tasks).",
            stacklevel=4,
        )
