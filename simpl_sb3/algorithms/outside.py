"""Adaptations of one agent whose environment somebody else steps, or has stepped already."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.adaptation import Adaptation
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.episode import RecordedEpisode, SkillEpisode
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.fit import skill_action_space

__all__ = ["Outside", "conditioned_agent", "infer_agent"]


def infer_agent(
    skills: Skills, model: Any, episodes: Sequence[RecordedEpisode | SkillEpisode], **settings: Any
) -> SkillPriorSAC:
    """
    An agent that is conditioned on what recorded episodes say of their task, without a gradient; its ``learn`` goes on
    from there.

    :param skills: the model's
    :param model: the meta-trained model
    :param episodes: of one task
    :param settings: those of ``AdaptationSettings``, such as ``context_size``
    :raises SettingsError: for no episode, or what is none
    """
    chosen = model.adaptation_settings(**settings)
    adaptation = Adaptation(cast(VecEnv, Outside(skills, model)), (None,), skills, model, chosen)
    if not episodes:
        raise SettingsError("No episode was given: expected at least one RecordedEpisode.")
    for episode in episodes:
        if not isinstance(episode, RecordedEpisode | SkillEpisode):
            raise SettingsError(f"An episode is a {type(episode).__name__}: expected a RecordedEpisode.")
        in_skills = episode.in_skills(skills) if isinstance(episode, RecordedEpisode) else episode
        adaptation.context.add_episode(0, in_skills)
    adaptation.replay.copy_ring(0, adaptation.context, 0)
    return conditioned_agent(adaptation)


def conditioned_agent(adaptation: Adaptation) -> SkillPriorSAC:
    """
    A copy of the meta-policy with the mean of q(e | context), which has learned nothing yet.

    :raises SettingsError: where the context is empty
    """
    if not adaptation.context.sizes[0]:
        raise SettingsError("Nothing was seen of the task: expected at least one skill before an agent is asked for.")
    cohort = adaptation.new_cohort(np.zeros(1, int))
    assert adaptation.meta is not None
    cohort.policy.copy_meta(adaptation.meta)
    cohort.policy.task_latent.copy_(adaptation._infer([0])[0])
    return adaptation._hand_over(cohort, 0)


class Outside:
    """Stands where a vec env of one environment would: whoever calls the session steps it, and gives observations."""

    num_envs = 1
    holds_episodes = True  # nothing of them is here

    def __init__(self, skills: Skills, model: Any) -> None:
        self.observation_space = skills.observation_space if model is None else model.observation_space
        self.action_space = skill_action_space(skills) if model is None else model.action_space

    @property
    def unwrapped(self) -> "Outside":
        """Itself, as of a vec env without wrappers."""
        return self

    def reset(self) -> None:
        """Nothing: an episode begins with the observation that ``act`` is given."""

    def get_state(self) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Nothing: whoever calls the session has the environment as it is."""

    def env_method(self, name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """A task is not known here, and what follows a reset comes with ``act``."""
        return [(np.zeros(self.observation_space.shape, np.float32), {})]
