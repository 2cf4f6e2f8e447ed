"""What ``SkillPriorSAC`` and ``SkillPriorPEARL`` share: settings, the wrapper's skills, and the loop of ``learn``."""

import os
import pathlib
import sys
import time
from abc import abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.utils import LinearSchedule, safe_mean
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms import checks, files
from simpl_sb3.algorithms.arrays import load_buffer, save_buffer
from simpl_sb3.algorithms.policies import SkillActorCritic
from simpl_sb3.algorithms.progress import SkillProgressBar
from simpl_sb3.algorithms.settings import LearnerSettings, PolicySettings
from simpl_sb3.algorithms.shared import SharedAlgorithm
from simpl_sb3.algorithms.training_state import TrainingState, capture, resume
from simpl_sb3.algorithms.updates import Learner
from simpl_sb3.errors import EnvironmentSpecError, SettingsError
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experience.workers import answering
from simpl_sb3.interrupts import uninterrupted
from simpl_sb3.numerics import checked_device
from simpl_sb3.settings import checked_number, checked_seed, unknown_names, with_settings
from simpl_sb3.skills.base import Skills
from simpl_sb3.skills.fit import find_skills


class SkillAlgorithm(SharedAlgorithm):
    """
    Base of the algorithms over skills. Not SB3's ``OffPolicyAlgorithm``: its replay buffer, warm-up, noise and its way
    of collecting single transitions do not serve skills and tasks.

    Settings are those of ``settings_class``, given by name; its policy settings go into ``policy_kwargs``, as in SB3,
    or stand beside the others. They can be read as attributes (``model.gamma``).

    :param policy: "MlpPolicy", or a subclass of the algorithm's policy
    :param env: environment whose actions are skills
    :param policy_kwargs: settings of the policy, such as ``{"net_arch": (256, 256)}``
    :param stats_window_size: episodes over which rollout metrics are averaged
    :param tensorboard_log: folder for TensorBoard
    :param verbose: 1 prints metrics
    :param seed: of everything random, 0 to 2**32 - 1
    :param device: "auto" takes a GPU if there is one
    :param settings: of ``settings_class``, by name
    :raises SettingsError: for an unknown setting, or a value outside its range
    """

    settings_class: ClassVar[type[LearnerSettings]]
    policy_settings_class: ClassVar[type[PolicySettings]]
    base_policy_class: ClassVar[type[SkillActorCritic]]

    skills: Skills
    learner: Learner
    replay_buffer: TaskReplayBuffer

    def __init__(
        self,
        policy: str | type[BasePolicy] = "MlpPolicy",
        env: GymEnv | str | None = None,
        *,
        policy_kwargs: Mapping[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | os.PathLike[str] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        _init_setup_model: bool = True,
        **settings: Any,
    ) -> None:
        of_policy = self.policy_settings_class.names()
        settings = checks.flattened(settings, policy_kwargs, of_policy)
        if unknown := [name for name in settings if name not in self.settings_class.names()]:
            raise unknown_names(type(self).__name__, unknown, self.settings_class.names())
        stats_window_size = checked_number("stats_window_size", stats_window_size, 1)
        self._bar: SkillProgressBar | None = None
        self._updates_left = 0  # of the round that runs
        self._losses: dict[str, list[float]] = defaultdict(list)  # of its updates so far
        self._results: dict[str, deque[float]] = defaultdict(partial(deque, maxlen=stats_window_size))
        self._state: TrainingState | None = None  # from a file, to be taken up by the next ``learn``
        self.checkpoint: dict[str, Any] | None = None  # which one the model comes from
        self.border_calls: list[Callable[[], None]] = []
        self.config = self.settings_class.of(settings)
        seed = checked_seed(seed)
        if env is None and _init_setup_model:
            raise EnvironmentSpecError("env is None: expected an environment whose actions are skills.")
        rate = self.config.learning_rate
        super().__init__(
            checks.known_policy(policy, self.policy_aliases, self.base_policy_class),
            None if env is None else checks.checked_env(env),
            rate if isinstance(rate, float) else LinearSchedule(*rate[1:], *[1.0] * (4 - len(rate))),
            policy_kwargs={name: getattr(self.config, name) for name in of_policy},
            stats_window_size=stats_window_size,
            tensorboard_log=checks.checked_folder("tensorboard_log", tensorboard_log),
            verbose=checked_number("verbose", verbose, 0),
            seed=seed,
            device=checked_device(device),
            support_multi_env=True,
        )
        if _init_setup_model:
            self._setup_model()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show every setting, with its default, in ``help`` and in a notebook's signature."""
        super().__init_subclass__(**kwargs)
        if "settings_class" in vars(cls):
            shown = with_settings(SkillAlgorithm.__init__, cls.settings_class)
            cls.__signature__ = shown.replace(parameters=list(shown.parameters.values())[1:])  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        config = vars(self).get("config")
        if config is not None and name in config.names():
            return getattr(config, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def settings(self) -> dict[str, Any]:
        """Every setting that the model was made with, and the seed, as plain data."""
        return {**self.config.as_dict(), "stats_window_size": self._stats_window_size, "seed": self.seed}

    def used_settings(self) -> dict[str, Any]:
        """The same with what was decided here, where a setting leaves it to the model."""
        return self.settings()

    # ------------------------------------------------------------ environments and their skills

    @staticmethod
    def _wrap_env(env: GymEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        """As in SB3; what is no environment is refused by our message."""
        return BaseAlgorithm._wrap_env(checks.checked_env(env), verbose, monitor_wrapper)

    def _check_env(self, env: VecEnv) -> None:
        """
        Check that a model that already knows its skills can act in an environment.

        :raises EnvironmentSpecError: for an environment without skills
        :raises SkillMismatchError: for other spaces, or other skills, than those that the model was trained on
        """
        found = find_skills(env, type(self).__name__)
        checks.check_fits(env, found, self.skills, self.observation_space, self.action_space)

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """
        As in SB3; the environment must have the skills that the model was trained on.

        :raises EnvironmentSpecError: for an environment without skills
        :raises SkillMismatchError: for other spaces or other skills
        :raises SettingsError: for another number of environments
        """
        wrapped = self._wrap_env(env, self.verbose)
        self._check_env(wrapped)
        if wrapped.num_envs != self.n_envs:
            raise SettingsError(
                f"The model learns in {self.n_envs} environments, given {wrapped.num_envs}: expected as many, or "
                "load(path, env=env), which takes any number."
            )
        self.observation_space = wrapped.observation_space  # its bounds may differ from the demonstrations'
        super().set_env(wrapped, force_reset)
        self._prepare_env(wrapped)

    def _prepare_env(self, env: VecEnv) -> None:
        """Give an environment that the model is about to use what belongs to the model; here nothing."""

    # ------------------------------------------------------------ learning

    @abstractmethod
    def _collect(self, callback: BaseCallback, log_interval: int | None, total_timesteps: int) -> bool:
        """Collect what one round of updates needs; False where a callback ends the learning."""

    @abstractmethod
    def _n_due(self) -> int:
        """Updates of the round after :meth:`_collect`."""

    @abstractmethod
    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Updates, and their metrics in the logger."""

    def _learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback,
        log_interval: int | None,
        tb_log_name: str,
        reset_num_timesteps: bool,
        progress_bar: bool,
    ) -> Self:
        """The loop of ``learn``: collect, update, until ``total_timesteps`` skills are lived."""
        if self.env is None:
            raise SettingsError("This model has no environment: give one to load(path, env=...), or call set_env.")
        checks.check_no_hidden_task(self.env)
        total_timesteps, callbacks = checks.checked_total(total_timesteps), checks.as_callbacks(callback)
        log_interval = None if log_interval is None else checked_number("log_interval", log_interval, 1)
        bar = [SkillProgressBar()] if progress_bar else []
        self._bar = bar[0] if bar else None
        self.border_calls, state, self._state = [], None if reset_num_timesteps else self._state, None
        self._updates_left = 0
        self._losses.clear()
        with answering(self.env):  # SB3 resets the environments
            total_timesteps, chain = self._setup_learn(
                total_timesteps, [*callbacks, *bar], reset_num_timesteps, tb_log_name
            )
        self._succeeded = np.zeros(self.n_envs, bool)  # in the episodes that run
        if state is not None:
            resume(self, state)
        chain.on_training_start(locals(), globals())
        try:
            while self.num_timesteps < total_timesteps or self._updates_left:
                if not self._updates_left:
                    self._at_border()
                    if not self._collect(chain, log_interval, total_timesteps):
                        break
                    self._updates_left = self._n_due()
                if self._updates_left:
                    self.train(self._updates_left, self.config.batch_size)
        finally:
            if self._bar is not None:
                self._bar.close()
            self._bar = None
        chain.on_training_end()
        return self

    def _update_info_buffer(self, infos: list[dict[str, Any]], dones: np.ndarray | None = None) -> None:
        """As in SB3, but an episode succeeds if any of its skills did, not the last one only."""
        super()._update_info_buffer(checks.with_successes(infos, dones, self._succeeded), dones)

    def _at_border(self) -> None:
        """Between two rounds, or two updates: the training can be stopped here and go on to the bit."""
        for call in self.border_calls:
            call()

    def _count_updates(self, gradient_steps: int) -> Iterator[int]:
        """Numbers of the updates, counted once each is done; there is a border between two of a round of ``learn``."""
        for step in range(gradient_steps):
            with uninterrupted():
                yield step
                self._n_updates += 1
                self._updates_left = max(0, self._updates_left - 1)
            if self._updates_left:
                self._at_border()

    def _buffers(self) -> dict[str, TaskReplayBuffer]:
        """All that holds rows, by name."""
        return {"replay_buffer": self.replay_buffer}

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        """As in SB3, but never below 0: a meta-iteration overshoots, and a schedule would turn a rate negative."""
        self._current_progress_remaining = max(0.0, 1.0 - num_timesteps / total_timesteps)

    def dump_logs(self) -> None:
        """Write the metrics of episodes and time, under SB3's names; ``time/skills`` counts what timesteps are here."""
        elapsed = max((time.time_ns() - self.start_time) / 1e9, sys.float_info.epsilon)
        self.logger.record("time/episodes", self._episode_num, exclude="tensorboard")
        if self.ep_info_buffer:
            self.logger.record("rollout/ep_rew_mean", safe_mean([info["r"] for info in self.ep_info_buffer]))
            self.logger.record("rollout/ep_len_mean", safe_mean([info["l"] for info in self.ep_info_buffer]))
        lived = self.num_timesteps - self._num_timesteps_at_start
        self.logger.record("time/fps", int(lived / elapsed))
        self.logger.record("time/time_elapsed", int(elapsed), exclude="tensorboard")
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        if self.ep_success_buffer:
            self.logger.record("rollout/success_rate", safe_mean(self.ep_success_buffer))
        self.logger.dump(step=self.num_timesteps)

    def _show(self, text: str) -> None:
        """Say on the progress bar, where there is one, what is being done."""
        if self._bar is not None:
            self._bar.say(text, {**self._bar_figures(), "updates": f"{self._n_updates:,}"})

    def _bar_figures(self) -> dict[str, str]:
        """What the progress bar shows at its end."""
        return {}

    # ------------------------------------------------------------ files

    def save(
        self,
        path: str | pathlib.Path | Any,
        exclude: Any = None,
        include: Any = None,
        *,
        with_training_state: bool = False,
    ) -> None:
        """
        Write a zip whose settings are JSON and whose weights are tensors; never a pickle.

        :param path: a path (".zip" is appended where it has no ending), or an open binary file
        :param exclude: SB3's; refused, since a file holds settings, tensors and counters only
        :param include: as ``exclude``
        :param with_training_state: also write buffers, random generators, and the environments' state, so that
            ``load(path, env=env).learn(n, reset_num_timesteps=False)`` goes on to the bit; after ``learn``, or from
            ``border_calls``
        """
        if exclude is not None or include is not None:
            raise SettingsError(
                "save(exclude=..., include=...) choose attributes to pickle, and nothing is pickled here: "
                "expected save(path)."
            )
        files.save(self, path, capture(self) if with_training_state else None)

    @classmethod
    def load(
        cls,
        path: str | pathlib.Path | Any,
        env: GymEnv | None = None,
        device: th.device | str = "auto",
        custom_objects: Mapping[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        *,
        policy: type[BasePolicy] | None = None,
        **settings: Any,
    ) -> Self:
        """
        :param path: a file that :meth:`save` wrote
        :param env: to go on learning in; None to predict and adapt only
        :param device: of the networks
        :param custom_objects: SB3's: settings that replace the saved ones; names that are no settings are left out
        :param print_system_info: print this machine's and the file's versions
        :param force_reset: SB3's; environments are always reset before learning goes on
        :param policy: the policy class, where it is not the algorithm's own and has not been imported
        :param settings: settings that replace the saved ones, ``tensorboard_log`` and ``verbose``; ``policy_kwargs``
            must be those of the file, since its tensors have their sizes
        :raises ModelFileError: for a file that is missing, corrupt, or of another kind
        :raises SettingsError: for a setting that there is not
        :raises EnvironmentSpecError: for an environment without skills
        :raises SkillMismatchError: for other spaces or other skills than those that the model was trained on
        """
        known = [*cls.settings_class.names(), "seed", "stats_window_size", "tensorboard_log", "verbose"]
        settings = checks.flattened(settings, settings.pop("policy_kwargs", None), cls.policy_settings_class.names())
        if not isinstance(custom_objects, Mapping | None):
            raise SettingsError(f"custom_objects is {custom_objects!r}: expected a dict of settings by name.")
        if unknown := [name for name in settings if name not in known]:
            raise unknown_names(cls.__name__, unknown, known)
        replaced = {name: value for name, value in (custom_objects or {}).items() if name in known}
        return files.load(cls, path, env, checked_device(device), print_system_info, policy, replaced | settings)

    def _extra_state(self) -> dict[str, Any]:
        """Further plain data that a saved file holds."""
        return {}

    def _load_extra_state(self, data: dict[str, Any]) -> None:
        """Take back what ``_extra_state`` gave, before ``_setup_model``."""

    def get_parameters(self) -> dict[str, Any]:
        """State of the networks ("policy") and of optimisers and multipliers ("learner")."""
        return {"policy": files.policy_weights(self), "learner": self.learner.state_dict()}

    def set_parameters(
        self,
        load_path_or_dict: str | dict[str, Any],
        exact_match: bool = True,
        device: th.device | str = "auto",
    ) -> None:
        """
        Take the weights of a file of :meth:`save`, or of :meth:`get_parameters`; all are checked before any is taken.

        :param load_path_or_dict: a path, or "policy" and "learner" (either may be missing unless ``exact_match``)
        :param exact_match: both must be there
        :param device: not used: weights go where the model is
        :raises ModelFileError: for tensors that do not fit
        """
        given = load_path_or_dict
        state = given if isinstance(given, dict) else files.read_parameters(type(self), given)
        if unknown := sorted(set(state) - {"policy", "learner"}):
            raise SettingsError(f"Parameters named {', '.join(unknown)}: expected policy and learner.")
        if exact_match and len(state) < 2:
            raise SettingsError(f"Parameters of {', '.join(state) or 'nothing'} only: expected policy and learner.")
        files.take_parameters(self, state, "These parameters")

    def save_replay_buffer(self, path: str | pathlib.Path | Any) -> None:
        """
        Write the replay buffer as arrays without pickles (``.npz``).

        :param path: a path (".npz" is appended where it has no ending)
        """
        save_buffer(self.replay_buffer, path)

    def load_replay_buffer(self, path: str | pathlib.Path | Any, truncate_last_traj: bool = True) -> None:
        """
        Read what :meth:`save_replay_buffer` wrote; never a pickle.

        :param path: the file
        :param truncate_last_traj: what comes next belongs to other episodes
        :raises ModelFileError: for another kind of file, or a buffer of other sizes
        """
        load_buffer(self.replay_buffer, path)
        if truncate_last_traj:
            self.replay_buffer.end_episodes()
