"""
``AdaptationSession``: adaptation driven from outside, one env step at a time, without tasks and vec envs.

It is the learner of ``adapt``: the same :class:`~simpl_sb3.algorithms.adaptation.Adaptation` of one agent, whose skills
are lived by whoever calls ``act`` and ``observe``.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self, cast

import numpy as np
import torch as th
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.adaptation import Adaptation, OnEpisode
from simpl_sb3.algorithms.outside import Outside, conditioned_agent, infer_agent
from simpl_sb3.algorithms.own_random import OwnRandom, cuda_of, one_at_a_time
from simpl_sb3.algorithms.policies import Gaussian
from simpl_sb3.algorithms.session_file import read_session, session_parts, take_session_parts, write_session
from simpl_sb3.algorithms.settings import AdaptationSettings
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.algorithms.training_state import global_generators, take_generators
from simpl_sb3.errors import EnvironmentSpecError, ModelFileError, SettingsError
from simpl_sb3.experience.collector import EpisodeCollector
from simpl_sb3.experience.episode import RecordedEpisode, SkillEpisode
from simpl_sb3.settings import checked_seed
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.checks import check_numbers

__all__ = ["AdaptationSession", "Phase", "StepsAdaptations"]

Phase = Literal["exploring", "inferred", "fine-tuning", "adapted"]


class AdaptationSession:
    """
    An agent that adapts while something else, such as a robot's own loop, steps the environment::

        session = model.start_adaptation(seed=0, n_episodes=40)
        while session.phase != "adapted":
            observation, ended = robot.reset(), False
            while not ended:
                action = session.act(observation)
                observation, reward, terminated, truncated = robot.step(action)
                session.observe(observation, reward, terminated, truncated)
                ended = terminated or truncated

    Each action is primitive: the session decodes the skill that it is in, and chooses another after ``horizon`` env
    steps or at an episode's end. With the same seed it lives the same episodes as ``adapt``. Random numbers are its
    own: what the process draws in between does not change them. Sessions in several threads wait for each other while
    they choose a skill or learn.

    :param skills: what is decoded
    :param model: a meta-trained model over these skills (SiMPL), or None (SPiRL)
    :param seed: of exploration, samples and noise
    :param on_episode: called after every episode with agent (0), episode (from 1), and a ``FinishedEpisode``
    :param settings: those of ``AdaptationSettings``
    :raises SettingsError: for a setting that there is not, or a value outside its range
    """

    def __init__(
        self,
        skills: Skills,
        model: Any = None,
        *,
        seed: int | None = None,
        on_episode: OnEpisode | None = None,
        **settings: Any,
    ) -> None:
        chosen = AdaptationSettings.of(settings) if model is None else model.adaptation_settings(**settings)
        self._start(skills, model, seed, on_episode, chosen)
        with self._random.in_place():
            self._advance()

    def _start(
        self, skills: Skills, model: Any, seed: int | None, on_episode: OnEpisode | None, settings: AdaptationSettings
    ) -> None:
        self.skills, self._model, self._seed = skills, model, checked_seed(seed)
        self._decode = skills.folded()
        outside = cast(VecEnv, Outside(skills, model))
        self._adaptation = Adaptation(outside, (None,), skills, model, settings, seed, on_episode)
        self._random = OwnRandom(self._adaptation.device, self._seed)
        self._steps = self._adaptation.steps()
        self._collector: EpisodeCollector | None = None
        self._z: np.ndarray | None = None  # the skill that runs, (1, Z)
        self._seen: list[np.ndarray] = []  # after each of its env steps
        self._reward, self._success, self._acted = 0.0, cast(bool | None, None), False
        self._env_steps = 0  # of the episode that runs

    # ------------------------------------------------------------ the loop

    def act(self, observation: Any) -> np.ndarray:
        """
        The primitive action of one env step.

        :param observation: (O,), or a Dict observation with the skills' key
        :return: inside the environment's action space, (A,) float32
        :raises SettingsError: when the last action was not followed by :meth:`observe`
        :raises EnvironmentSpecError: for another shape, or numbers that are not finite
        """
        if self._acted:
            raise SettingsError("act was called twice: expected observe(...) after each action that act gave.")
        read = self._read(observation)
        if self._z is None:
            with self._random.in_place():
                self._z = self._choose(read)
        self._acted = True
        return self._decode(read[None], self._z)[0]

    def observe(
        self, observation: Any, reward: float, terminated: bool, truncated: bool, success: bool | None = None
    ) -> None:
        """
        What the last action led to. Where it ends a skill, the session learns, which takes longer than ``act``.

        :param observation: after the action, (O,) or a Dict
        :param reward: of this env step
        :param terminated: whether the task ended the episode
        :param truncated: whether a time limit, or whoever watches, ended it
        :param success: whether this env step was a success, where that is known; ``on_episode`` tells it
        :raises SettingsError: where there was no action
        :raises EnvironmentSpecError: for another shape, flags that are not bool, or numbers that are not finite
        """
        if not self._acted:
            raise SettingsError("observe was called without an action: expected act(observation) before it.")
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(flag, bool | np.bool_):
                raise EnvironmentSpecError(f"{name} is {flag!r}: expected True or False.")
        read = self._read(observation, reward)
        self._acted, self._env_steps = False, self._env_steps + 1
        self._seen.append(read)
        self._reward += float(reward)
        if success is not None:
            self._success = bool(success) or bool(self._success)
        if terminated or truncated or len(self._seen) == self.skills.horizon:
            self._end_skill(bool(terminated), bool(truncated))

    def _read(self, observation: Any, reward: Any = 0.0) -> np.ndarray:
        key, shape = self.skills.observation_key, self.skills.observation_space.shape
        try:
            part = observation[key] if isinstance(observation, dict) else observation
            read, rewards = np.array(part, np.float32), np.array([float(reward)])
        except (KeyError, TypeError, ValueError) as error:
            raise EnvironmentSpecError(
                f"Observation and reward cannot be read ({error!r}): expected {shape} numbers, and a number."
            ) from None
        if read.shape != shape:
            raise EnvironmentSpecError(f"The observation has shape {read.shape}: expected {shape}.")
        check_numbers(read[None], rewards, np.array([self._env_steps]))
        return read

    def _choose(self, observation: np.ndarray) -> np.ndarray:
        if self._collector is None:
            return np.asarray(self.agent.predict(observation[None], deterministic=False)[0])
        self._collector.observations[0] = observation
        return self._collector.act(self._collector.observations, self._collector.latents)

    def _end_skill(self, terminated: bool, truncated: bool) -> None:
        after, dones, z = self._seen[-1], terminated or truncated, self._z
        info = {"skill_steps": len(self._seen), "skill_observations": np.stack(self._seen)}
        info |= {"terminal_observation": after, "TimeLimit.truncated": dones and not terminated}
        info |= {} if self._success is None else {"is_success": self._success}
        told = np.array([self._reward], np.float32), np.array([dones]), [info]
        self._z, self._seen, self._reward, self._success = None, [], 0.0, None
        self._env_steps = 0 if dones else self._env_steps
        if self._collector is not None:
            assert z is not None
            with self._random.in_place():
                self._collector.receive(z, after[None], *told)
                self._advance()

    def _advance(self) -> None:
        """Learn, until another skill is wanted; then, or when all episodes are lived, there is nothing to learn."""
        self._collector = next(self._steps, None)

    # ------------------------------------------------------------ what it knows

    @property
    def phase(self) -> Phase:
        """
        "exploring": nothing was rewarded yet; "inferred": explores with what a first reward says of the task;
        "fine-tuning": every skill is learned from; "adapted": all episodes are lived, and ``act`` goes on without
        learning.
        """
        if self._collector is None:
            return "adapted"
        if not self._adaptation.exploring[0]:
            return "fine-tuning"
        return "inferred" if self._adaptation.inferring[0] else "exploring"

    @property
    def n_episodes(self) -> int:
        """Episodes lived."""
        return int(self._adaptation.finished[0])

    @property
    def settings(self) -> AdaptationSettings:
        """Of the adaptation."""
        return self._adaptation.settings

    @property
    def context(self) -> th.Tensor:
        """What was seen while exploring, rows (s, z, r, done, s'), (N, row)."""
        return self._adaptation.context.whole_context(0)[0]

    @property
    def task_latent(self) -> Gaussian | None:
        """q(e | context): mean and standard deviation, each (E,); None while nothing was seen, or without a model."""
        if self._model is None or not self._adaptation.context.sizes[0]:
            return None
        with self._aside():
            mean, std = self._adaptation._infer([0])
        return mean[0], std[0]

    @property
    def acts_with(self) -> th.Tensor | None:
        """The task latent of the skills that it chooses, (E,); None where the bare skill prior acts, or without one."""
        if self._model is None:
            return None
        if self._collector is None:
            return self.agent.policy.task_latent[0]
        if (cohort := self._adaptation.cohort) is not None:
            return cohort.policy.task_latent[0]
        guess = self._collector.latents[0]
        return None if guess[-1] > 0 else guess[:-1]

    @property
    def agent(self) -> SkillPriorSAC:
        """
        The agent as it is: the adapted one, or a copy of the one that fine-tunes; while exploring one that is
        conditioned on q(e | context).

        :raises SettingsError: while nothing was seen
        """
        adaptation = self._adaptation
        if (adapted := adaptation.agents[0]) is not None:
            return adapted
        with self._aside():
            if (cohort := adaptation.cohort) is not None:
                return adaptation._hand_over(cohort, 0)
            return conditioned_agent(adaptation)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Draw random numbers without a trace in what follows."""
        generator = self._adaptation.context.rng
        before = generator.bit_generator.state
        with one_at_a_time, th.random.fork_rng(devices=cuda_of(self._adaptation.device)):
            yield
        generator.bit_generator.state = before

    # ------------------------------------------------------------ files

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write everything but the model, so that :meth:`load` goes on to the bit; at any time.

        :param path: ".zip" is appended where it has no ending
        """
        with self._random.in_place():
            parts = session_parts(self._adaptation)
        own = {
            "settings": self.settings.as_dict(),
            "seed": self._seed,
            "reward": self._reward,
            "success": self._success,
            "acted": self._acted,
            "env_steps": self._env_steps,
            "n_episodes": self.n_episodes,
        }
        arrays = {"seen": np.array(self._seen), "generator": self._random.states[0].numpy()}
        arrays |= {} if self._z is None else {"z": self._z}
        write_session(path, own, arrays, parts)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], skills: Skills, model: Any = None, *, on_episode: OnEpisode | None = None
    ) -> Self:
        """
        Go on from :meth:`save`.

        :param skills: those of the saved session
        :param model: the meta-trained model of the saved session, or None
        :param on_episode: as in the constructor
        :raises ModelFileError: for a file that is missing, corrupt or of another kind, or another model than it began
            with
        """
        own, arrays, parts = read_session(path)
        session = cls.__new__(cls)
        before = global_generators()
        try:
            session._start(skills, model, own["seed"], on_episode, AdaptationSettings.of(own["settings"]))
            with session._random.in_place():
                session._take(own, arrays, parts)
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from None
        except Exception as error:  # noqa: BLE001 - a damaged file fails in many ways
            raise ModelFileError(f"{path} holds no session: {type(error).__name__}: {error}") from None
        finally:
            take_generators(*before)
        return session

    def _take(self, own: dict[str, Any], arrays: dict[str, np.ndarray], parts: dict[str, Any]) -> None:
        adaptation = self._adaptation
        z, seen = arrays.get("z"), arrays["seen"]
        self._check_running(z, seen, own)
        take_session_parts(adaptation, parts)
        adaptation.finished[0] = own["n_episodes"]
        self._z, self._seen = z, list(seen)
        self._reward, self._env_steps = float(own["reward"]), int(own["env_steps"])
        self._success, self._acted = own["success"], bool(own["acted"])
        if adaptation.agents[0] is None:
            self._collector = next(self._steps)  # where it was: it makes a step next
        th.set_rng_state(th.from_numpy(arrays["generator"]))

    def _check_running(self, z: np.ndarray | None, seen: np.ndarray, own: dict[str, Any]) -> None:
        """
        Check what a file says of the skill that runs.

        :raises ValueError: for other shapes, numbers that are not finite, or a skill that cannot run
        """
        rows = (len(seen), *self.skills.observation_space.shape) if len(seen) else (0,)
        fits = z is None or (z.shape == (1, self.skills.skill_dim) and z.dtype == np.float32 and np.isfinite(z).all())
        if not fits or seen.shape != rows or len(seen) >= self.skills.horizon or not np.isfinite(seen).all():
            raise ValueError("its skill or what was seen in it do not fit the skills")
        numbers = own["n_episodes"], own["env_steps"]
        if any(type(number) is not int or number < 0 for number in numbers) or not np.isfinite(float(own["reward"])):
            raise ValueError("its counts are none")
        if own["success"] not in (None, True, False) or (z is None and (own["acted"] or len(seen))):
            raise ValueError("it is in no skill, and in the middle of one")


class StepsAdaptations:
    """What a meta-trained model does without an environment: sessions, and agents from recorded episodes."""

    skills: Skills

    def start_adaptation(
        self, *, seed: int | None = None, on_episode: OnEpisode | None = None, **settings: Any
    ) -> AdaptationSession:
        """
        Learn an unseen task one env step at a time, in a loop of your own; see :class:`AdaptationSession`.

        :param seed: of exploration, samples and noise
        :param on_episode: called after every episode with agent (0), episode (from 1), and a ``FinishedEpisode``
        :param settings: those of ``AdaptationSettings``, such as ``n_episodes=40``
        """
        return AdaptationSession(self.skills, self, seed=seed, on_episode=on_episode, **settings)

    def load_adaptation(
        self, path: str | os.PathLike[str], *, on_episode: OnEpisode | None = None
    ) -> AdaptationSession:
        """
        Go on with a session of this model that :meth:`AdaptationSession.save` wrote.

        :raises ModelFileError: for another kind of file, or a session of another model
        """
        return AdaptationSession.load(path, self.skills, self, on_episode=on_episode)

    def infer(self, episodes: Sequence[RecordedEpisode | SkillEpisode], **settings: Any) -> SkillPriorSAC:
        """
        An agent for the task of recorded episodes, without a gradient: the meta-policy, conditioned on the mean of
        q(e | episodes). Its ``learn`` goes on from there.

        :param episodes: of one task, in skills or in primitive actions
        :param settings: those of ``AdaptationSettings``, such as ``context_size``
        :raises SettingsError: for no episode, or what is none
        """
        return infer_agent(self.skills, self, episodes, **settings)
