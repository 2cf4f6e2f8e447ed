"""
Policy gradients: advantages over a linear baseline, and a step inside a trust region (Schulman et al., 2015, 2016).

The solver of the trust region is sb3-contrib's.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch as th
from sb3_contrib.common.utils import conjugate_gradient_solver, flat_grad
from torch import nn

from simpl_sb3.experience.episode import SkillEpisode

__all__ = ["RIDGE", "Rollouts", "Step", "advantages", "log_likelihood", "trust_region_step"]

RIDGE = 1e-5
"""Weight of the squared coefficients in the baseline's fit."""
SHRINK = 0.8
"""Factor on a step that leaves the trust region, or does not improve."""


def log_likelihood(mean: th.Tensor, std: th.Tensor, z: th.Tensor) -> th.Tensor:
    """
    :param mean: (..., Z)
    :param std: (..., Z)
    :param z: (..., Z)
    :return: log density of a diagonal Gaussian, nats, (...,)
    """
    return th.distributions.Normal(mean, std, validate_args=False).log_prob(z).sum(dim=-1)


# ------------------------------------------------------------ advantages


def _features(observations: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Observations, their squares, and powers of the time (Duan et al., 2016), (L, 2 O + 4)."""
    t = times[:, None] / 100.0
    clipped = np.clip(observations, -10.0, 10.0)
    return np.concatenate([clipped, clipped**2, t, t**2, t**3, np.ones_like(t)], axis=1, dtype=np.float64)


def advantages(episodes: Sequence[SkillEpisode], gamma: float, gae_lambda: float) -> list[np.ndarray]:
    """
    Generalised advantages over a linear baseline that is fitted to these episodes' own returns; a time limit is an end.

    :param episodes: of one task
    :param gamma: discount of a skill
    :param gae_lambda: 1 for returns less the baseline, 0 for one-step errors
    :return: (L,) of each episode, standardised over all of them; zeros where all are alike
    """
    features = [_features(episode.observations, np.arange(len(episode))) for episode in episodes]
    returns = [_discounted(episode.rewards.astype(np.float64), gamma) for episode in episodes]
    x, y = np.concatenate(features), np.concatenate(returns)
    coefficients = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
    found = []
    for rows, episode in zip(features, episodes, strict=True):
        values = np.append(rows @ coefficients, 0.0)
        errors = episode.rewards + gamma * values[1:] - values[:-1]
        found.append(_discounted(errors, gamma * gae_lambda))
    everything = np.concatenate(found)
    spread = everything.std()
    if not spread > 1e-8:
        return [np.zeros_like(part) for part in found]
    return [(part - everything.mean()) / spread for part in found]


def _discounted(values: np.ndarray, factor: float) -> np.ndarray:
    """Each value and the discounted sum of those after it, (L,)."""
    sums, total = np.zeros(len(values)), 0.0
    for at in range(len(values) - 1, -1, -1):
        sums[at] = total = values[at] + factor * total
    return sums


class Rollouts(NamedTuple):
    """
    Episodes of several tasks, laid side by side.

    :param observations: (T, N, O)
    :param z: skills as they were drawn, (T, N, Z)
    :param advantages: (T, N)
    :param weights: 1 over the task's rows; 0 where it has no row, (T, N)
    """

    observations: th.Tensor
    z: th.Tensor
    advantages: th.Tensor
    weights: th.Tensor

    @classmethod
    def of(
        cls, episodes: Sequence[Sequence[SkillEpisode]], gamma: float, gae_lambda: float, device: th.device
    ) -> "Rollouts":
        """
        :param episodes: of each task, at least one
        """
        n_rows = [sum(map(len, lived)) for lived in episodes]
        first = episodes[0][0]
        sizes = (first.observations.shape[1], first.actions.shape[1])
        arrays = [
            np.zeros((len(episodes), max(n_rows), *size), np.float32) for size in ((sizes[0],), (sizes[1],), (), ())
        ]
        for task, (lived, n) in enumerate(zip(episodes, n_rows, strict=True)):
            columns = (
                [episode.observations for episode in lived],
                [episode.actions for episode in lived],
                advantages(lived, gamma, gae_lambda),
                [np.full(n, 1.0 / n)],
            )
            for array, column in zip(arrays, columns, strict=True):
                array[task, :n] = np.concatenate(column)
        return cls(*(th.as_tensor(array, device=device) for array in arrays))

    def thinned(self, n_rows: int) -> "Rollouts":
        """At most so many rows of each task, evenly spaced, weights adding up to 1 again."""
        n = self.weights.shape[1]
        if n <= n_rows:
            return self
        at = th.linspace(0, n - 1, n_rows, device=self.weights.device).long()
        parts = [part[:, at] for part in self]
        parts[-1] = parts[-1] / parts[-1].sum(dim=1, keepdim=True).clamp(min=1e-12)
        return Rollouts(*parts)


# ------------------------------------------------------------ the trust region


class Step(NamedTuple):
    """
    What a step did.

    :param gain: by which the objective rose; 0 where no step was taken
    :param kl: nats; 0 where no step was taken
    """

    gain: float
    kl: float


def trust_region_step(
    parameters: Sequence[nn.Parameter],
    evaluate: Callable[[], tuple[th.Tensor, th.Tensor]],
    *,
    max_kl: float,
    cg_steps: int = 10,
    cg_damping: float = 0.1,
    line_search_steps: int = 10,
) -> Step:
    """
    Raise an objective by a natural-gradient step whose KL is at most ``max_kl``; shrink it until both hold, or stay.

    :param parameters: what is changed, in place
    :param evaluate: objective and KL to the start, scalars, at the parameters as they are; both with gradients
    :param max_kl: nats
    :param cg_steps: of the conjugate gradient
    :param cg_damping: added to the diagonal of the KL's curvature
    :param line_search_steps: steps that are tried, each shorter
    """
    before, kl = evaluate()
    gradient = flat_grad(before, parameters, retain_graph=True)
    if not bool(th.isfinite(gradient).all()) or not bool(gradient.any()):
        return Step(0.0, 0.0)
    slope = flat_grad(kl, parameters, create_graph=True, retain_graph=True)

    def curvature(vector: th.Tensor) -> th.Tensor:
        return flat_grad((slope * vector).sum(), parameters, retain_graph=True) + cg_damping * vector

    direction = conjugate_gradient_solver(curvature, gradient, max_iter=cg_steps)
    squared = float(direction @ curvature(direction))
    if not squared > 0.0:
        return Step(0.0, 0.0)
    step = (2.0 * max_kl / squared) ** 0.5 * direction
    start = [parameter.detach().clone() for parameter in parameters]
    for k in range(line_search_steps):
        _move(parameters, start, SHRINK**k * step)
        after, kl = evaluate()
        gain = float(after.detach() - before.detach())
        if gain > 0.0 and float(kl.detach()) <= max_kl:
            return Step(gain, float(kl.detach()))
    _move(parameters, start, th.zeros_like(step))
    return Step(0.0, 0.0)


def _move(parameters: Sequence[th.Tensor], start: Sequence[th.Tensor], step: th.Tensor) -> None:
    """Set the parameters to where they started plus a flat step."""
    parts = step.split([value.numel() for value in start])
    with th.no_grad():
        for parameter, value, part in zip(parameters, start, parts, strict=True):
            parameter.copy_(value + part.view_as(value))
