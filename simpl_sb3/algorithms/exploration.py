"""``Explorer``: how a new task is explored, in meta-training and in adaptation alike."""

from collections.abc import Mapping

import numpy as np
import torch as th

from simpl_sb3.algorithms.policies import Gaussian, SkillPriorPEARLPolicy
from simpl_sb3.algorithms.settings import ExplorationSettings
from simpl_sb3.experience.collector import EXPLORATION, SKILL_PRIOR

__all__ = ["Elimination", "Explorer"]

REACHED = 3.0
"""
Distance from an imagined task, in standard deviations, that counts as having been there; half its distance before where
that is less, so that a search that has been everywhere goes on with finer steps.
"""

LATE_SHARE = 0.5
"""Least share of the bare skill prior in episodes that explore beyond the number that was asked for."""


class Elimination:
    """
    The imagined tasks that agents have not ruled out yet, each agent for itself.

    A state that an agent saw without a reward rules out the tasks that a reward there would speak for: those whose
    latents lie near. Distances are in standard deviations of q(e | one reward): what the task encoder does not tell
    apart does not count, such as a velocity where tasks ask for places.

    :param policy: the meta-policy, with its imagined tasks
    :param n_agents: number of agents
    """

    def __init__(self, policy: SkillPriorPEARLPolicy, n_agents: int) -> None:
        self.policy = policy
        self.latents, std = policy.imagine(policy.imagined.rows)  # (H, E)
        self.scale = std.median(dim=0).values
        self.distances = th.full((n_agents, len(self.latents)), th.inf, device=self.latents.device)
        self.chosen = np.full(n_agents, -1)  # the imagined task that each agent tries, or -1
        self.near = np.zeros(n_agents)  # distance from it that counts as having been there

    def rule_out(self, agents: np.ndarray, rows: th.Tensor) -> None:
        """
        :param agents: indices without repetition, (K,)
        :param rows: what each has seen without a reward, (s, z, r, done, s'), (K, row)
        """
        at = th.as_tensor(agents, device=self.distances.device)
        self.distances[at] = th.minimum(self.distances[at], self._distances(self.policy.imagine(rows)[0]))

    def guess(self, agent: int) -> th.Tensor:
        """
        The latent, (E,), of the imagined task that is farthest from all that this agent has seen or tried. Once it has
        tried all, it begins anew: a policy does not find the way every time.
        """
        distances = self.distances[agent]
        if not distances.any():
            distances.fill_(th.inf)
        unknown = bool(distances.isinf().all())
        self.chosen[agent] = int(th.randint(len(distances), (1,))) if unknown else int(distances.argmax())
        self.near[agent] = min(REACHED, 0.5 * float(distances[self.chosen[agent]]))
        return self.latents[self.chosen[agent]]

    def leave(self, agent: int) -> None:
        """What the agent tried counts as ruled out: it got there, or did not find the way."""
        if self.chosen[agent] >= 0:
            tried = self._distances(self.latents[[self.chosen[agent]]])[0]
            self.distances[agent] = th.minimum(self.distances[agent], tried)
            self.chosen[agent] = -1

    def reached(self, agent: int) -> bool:
        """Whether the agent has been where the task that it tries would reward it."""
        chosen = self.chosen[agent]
        return bool(chosen >= 0 and self.distances[agent, chosen] < self.near[agent])

    def state(self) -> dict[str, np.ndarray]:
        """What has been ruled out, and what is tried, as arrays."""
        return {"distances": self.distances.cpu().numpy(), "chosen": self.chosen, "near": self.near}

    def take_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what :meth:`state` gave."""
        self.distances.copy_(th.from_numpy(state["distances"]))
        self.chosen, self.near = state["chosen"].copy(), state["near"].copy()

    def _distances(self, latents: th.Tensor) -> th.Tensor:
        """Of latents (K, E) to the imagined ones, (K, H)."""
        return th.cdist(latents / self.scale, self.latents / self.scale)


class Explorer:
    """
    The meta-policy with a guess in place of the task latent, or in its stead the bare skill prior.

    Guesses are (E + 1,): a task latent, and 1 where the skill prior acts, else 0. The prior gets to places that no
    latent of the training tasks leads to; a meta-policy alone would never leave what it has learned. It acts through
    whole episodes: what lies far away is not reached within the skills of one guess.

    :param policy: the meta-policy
    :param settings: of the exploration
    :param source: of the latents, see ``SkillPriorPEARLPolicy.sample_latent``
    :param elimination: where to take them from instead
    """

    def __init__(
        self,
        policy: SkillPriorPEARLPolicy,
        settings: ExplorationSettings,
        source: str,
        elimination: Elimination | None = None,
    ) -> None:
        self.policy, self.settings, self.source, self.elimination = policy, settings, source, elimination
        self.size = policy.task_latent_dim + 1

    def kind(self, late: bool = False) -> str:
        """
        Of the next exploring episode: the bare skill prior acts in a share of them, guesses in the others.

        :param late: whether guesses have had their time: where it acts at all, it does in every second one at least
        """
        share = self.settings.exploration_skill_prior
        share = max(share, LATE_SHARE) if late and share > 0.0 else share
        return SKILL_PRIOR if share > 0.0 and th.rand(()).item() < share else EXPLORATION

    def guess(self, agent: int = 0, kind: str = EXPLORATION) -> th.Tensor:
        """
        A guess where nothing is known of an agent's task, (E + 1,).

        :param agent: its index
        :param kind: of the episode
        """
        if self.elimination is not None:
            self.elimination.leave(agent)
        if kind == SKILL_PRIOR:
            return th.cat([th.zeros(self.size - 1), th.ones(1)])
        if self.elimination is not None:
            return self._as_guess(self.elimination.guess(agent))
        return self._as_guess(self.policy.sample_latent(self.source, self.settings.exploration_spread))

    def is_over(self, agent: int, age: int) -> bool:
        """Whether an agent guesses again, that many skills after its last guess."""
        limit = self.settings.exploration_latent_skills
        there = self.elimination is not None and self.elimination.reached(agent)
        return there or (limit is not None and age >= limit)

    def guess_from(self, posterior: Gaussian, agent: int = 0) -> th.Tensor:
        """
        A guess from what is known of an agent's task, (E + 1,).

        :param posterior: mean and standard deviation of q(e | context), each (1, E)
        :param agent: its index
        """
        if self.elimination is not None:
            self.elimination.leave(agent)
        mean, std = posterior
        return self._as_guess((mean + std * th.randn_like(std))[0])

    @staticmethod
    def _as_guess(e: th.Tensor) -> th.Tensor:
        return th.cat([e.cpu(), th.zeros(1)])

    def act(self, observations: np.ndarray, guesses: th.Tensor) -> np.ndarray:
        """
        Skills for observations.

        :param observations: (B, O)
        :param guesses: (B, E + 1)
        :return: (B, Z)
        """
        bare = guesses[:, -1] > 0.0
        return self.policy.act(observations, guesses[:, :-1], bare=bare if bool(bare.any()) else None)
