"""What can be played with: domains with a meta-trained model, and the tasks that a person asks for."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th

from simpl_sb3.algorithms.policies import SkillPriorPEARLPolicy
from simpl_sb3.algorithms.session import AdaptationSession
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.domains import Domain
from simpl_sb3.errors import SettingsError, SimplError
from simpl_sb3.skills.wrapper import SkillActionWrapper

__all__ = ["Choice", "LatentMap", "Loaded", "numbers_of", "wanted_task"]


@dataclass(frozen=True, eq=False)
class Choice:
    """
    A meta-trained model that a visitor may choose.

    :param name: what the page calls it
    :param domain: where it acts
    :param model: the file that meta-training wrote
    :param simpl: of ``AdaptationSettings``, for the model
    :param spirl: the same, for SPiRL from the model's skills
    """

    name: str
    domain: Domain
    model: Path
    simpl: Mapping[str, Any] = field(default_factory=dict)
    spirl: Mapping[str, Any] = field(default_factory=dict)
    _kept: dict[str, "Loaded"] = field(default_factory=dict, init=False, repr=False)
    _lock: Any = field(default_factory=threading.Lock, init=False, repr=False)

    def load(self) -> "Loaded":
        """
        The model, read once however many visitors there are.

        :raises SimplError: for a file that is no model, or one of another domain
        """
        with self._lock:
            if not self._kept:
                model = SkillPriorPEARL.load(self.model, device="cpu")
                check_fits(model, self.domain)
                self._kept["loaded"] = Loaded(self, model, LatentMap.of(model.policy, self.domain))
            return self._kept["loaded"]


def check_fits(model: SkillPriorPEARL, domain: Domain) -> None:
    """
    :raises SettingsError: for a model that cannot act in a domain
    """
    try:
        SkillActionWrapper(gym.make(domain.env_id), model.skills).close()
    except SimplError as error:
        raise SettingsError(f"The model is not one for the domain {domain.name}: {error}") from error


def wanted_task(domain: Domain, asked: Mapping[str, Any]) -> Any:
    """
    The task that a visitor asks for.

    :param asked: ``{"place": [x, y]}`` on the map, ``{"order": [subtasks]}``, or ``{"text": name}``
    :raises SettingsError: for a task that there is not, in a sentence for the page
    """
    traces = domain.traces
    if "place" in asked and traces is not None and traces.task_at is not None:
        text = traces.task_at(*numbers_of(asked["place"], 2))
    elif "order" in asked and traces is not None and traces.task_of is not None:
        order = [int(number) for number in numbers_of(asked["order"], None)]
        if len(order) != traces.n_asked or len(set(order)) != len(order):
            raise SettingsError(
                f"{len(order)} subtasks were chosen: expected {traces.n_asked} different ones, in order."
            )
        text = traces.task_of(order)
    elif isinstance(asked.get("text"), str):
        text = asked["text"].strip()
    else:
        raise SettingsError(f"No task was asked for: expected {domain.task_text}.")
    try:
        tasks = domain.tasks(text) if text not in domain.sets and not text.startswith("random") else ()
    except SimplError as error:
        raise SettingsError(f"{error.__cause__ or error}") from error
    if len(tasks) != 1:
        raise SettingsError(f"{text!r} is not one task: expected {domain.task_text}.")
    return tasks[0]


def numbers_of(given: Any, count: int | None) -> list[float]:
    """
    :raises SettingsError: for anything but a list of so many finite numbers
    """
    fits = isinstance(given, list) and len(given) <= 100 and count in (None, len(given))
    if not fits or not all(type(number) in (int, float) and abs(number) < 1e6 for number in given):
        raise SettingsError(f"Given {str(given)[:80]}: expected {'some' if count is None else count} numbers.")
    return [float(number) for number in given]


@dataclass(frozen=True, eq=False)
class LatentMap:
    """
    The training tasks' latents seen along their two widest directions.

    :param centre: mean of the training tasks' latents, (E,)
    :param axes: unit vectors, (E, 2), or (E, 1) of a single dimension
    :param spread: standard deviation along each
    :param tasks: names and places of the training tasks that the model imagines, as far as it does
    """

    centre: th.Tensor
    axes: th.Tensor
    spread: tuple[float, ...]
    tasks: Sequence[tuple[str, list[float]]]

    @classmethod
    def of(cls, policy: SkillPriorPEARLPolicy, domain: Domain) -> "LatentMap":
        """
        From the moments that meta-training left, which are those of the training tasks' posteriors. A training task's
        place is where one reward, in the states that it rewards, would put the posterior.
        """
        covariance = policy.latent_cholesky @ policy.latent_cholesky.T
        values, vectors = th.linalg.eigh(covariance)
        axes = vectors[:, -2:].flip(1)
        spread = tuple(float(value) for value in values[-2:].flip(0).clamp_min(0).sqrt())
        made = cls(policy.latent_mean.clone(), axes, spread, ())
        return cls(made.centre, axes, spread, made._imagined(policy, domain))

    def _imagined(self, policy: SkillPriorPEARLPolicy, domain: Domain) -> list[tuple[str, list[float]]]:
        tasks = [task for task in domain.sets.get(domain.train_tasks, ()) if hasattr(task, "rewards")]
        if not policy.imagined.known or not tasks:
            return []
        means, _ = policy.imagine(policy.imagined.rows)
        after = policy.imagined.rows[:, -policy.observation_dim :].cpu().numpy()
        rewarded = {task.name: np.asarray(task.rewards(after)[0]) > 0 for task in tasks}
        return [
            (name, self.place(means[th.as_tensor(where)].mean(dim=0)))
            for name, where in rewarded.items()
            if where.any()
        ]

    def place(self, latent: th.Tensor) -> list[float]:
        """Where a latent (E,) is seen, in standard deviations of the training tasks."""
        seen = ((latent.cpu() - self.centre) @ self.axes).tolist()
        pairs = zip(seen, self.spread, strict=True)
        return [round(value / spread, 3) if spread > 0 else 0.0 for value, spread in pairs]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A choice whose model was read."""

    choice: Choice
    model: SkillPriorPEARL
    latents: LatentMap

    def session(self, method: str, seed: int, n_episodes: int) -> AdaptationSession:
        """
        An adaptation of the meta-policy, or of the bare skills.

        :param method: "simpl" or "spirl"
        :param n_episodes: to live before it has adapted
        """
        own, model = (self.choice.simpl, self.model) if method == "simpl" else (self.choice.spirl, None)
        settings = dict(own) | {"n_episodes": n_episodes}
        if model is not None:
            settings["n_exploration_episodes"] = min(n_episodes, int(settings.get("n_exploration_episodes", 20)))
        else:
            settings["n_exploration_episodes"] = 0
        return AdaptationSession(self.model.skills, model, seed=seed, **settings)
