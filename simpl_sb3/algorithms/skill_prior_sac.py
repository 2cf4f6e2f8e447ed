"""
``SkillPriorSAC``: soft actor-critic with the KL to a skill prior in place of entropy (Equations 1 and 5).

From scratch it is SPiRL; initialised from a meta-policy and conditioned on its task latent, SiMPL's adaptation phase.
"""

import math
from typing import Any, ClassVar, Self

import numpy as np
import torch as th
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.utils import polyak_update

from simpl_sb3 import functional
from simpl_sb3.algorithms.base import SkillAlgorithm
from simpl_sb3.algorithms.policies import SkillPriorPolicy
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.buffer import TaskBatch, TaskReplayBuffer

Optimizers = dict[str, th.optim.Optimizer]


def make_optimizers(policy: SkillPriorPolicy, learning_rate: float, multiplier_learning_rate: float) -> Optimizers:
    """One optimiser each for actors, critics, and multipliers of all agents."""
    return {
        "actor": th.optim.Adam(policy.actor.parameters(), lr=learning_rate, fused=True),
        "critic": th.optim.Adam(policy.critics.parameters(), lr=learning_rate, fused=True),
        "multipliers": th.optim.Adam([policy.log_multiplier], lr=multiplier_learning_rate),
    }


def update_agents(
    policy: SkillPriorPolicy,
    optimizers: Optimizers,
    batch: TaskBatch,
    *,
    skill_kl_target: float,
    kl_clip: float,
    tau: float,
    multipliers_only_grow: bool,
) -> dict[str, float]:
    """
    One update of M agents at once, each on its own part of the batch: critics, actor, multiplier, target critics.

    :param batch: tensors (M, B, ...)
    :return: metrics, mean over the agents
    """
    e = policy.task_latent.unsqueeze(1).expand(-1, batch.rewards.shape[1], -1) if policy.task_latent_dim else None
    multiplier = policy.log_multiplier.detach().exp()  # (M, 1)

    critic_loss = policy.critic_loss(batch, e, multiplier, kl_clip)
    _step(optimizers["critic"], critic_loss)

    actor_loss, kl = policy.actor_loss(batch.observations, e, multiplier)
    _step(optimizers["actor"], actor_loss)

    mean_kl = kl.mean(dim=1, keepdim=True)  # (M, 1)
    optimizers["multipliers"].zero_grad()
    functional.multiplier_loss(policy.log_multiplier.exp(), mean_kl, skill_kl_target).backward()
    if multipliers_only_grow:
        assert policy.log_multiplier.grad is not None
        policy.log_multiplier.grad.clamp_(max=0.0)
    optimizers["multipliers"].step()

    polyak_update(policy.critics.parameters(), policy.critics_target.parameters(), tau)
    losses = {"critic_loss": critic_loss.item(), "actor_loss": actor_loss.item()}
    means = {"skill_kl": mean_kl.mean().item(), "skill_multiplier": multiplier.mean().item()}
    return {name: value / policy.n_agents for name, value in losses.items()} | means


def _step(optimizer: th.optim.Optimizer, loss: th.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class SkillPriorSAC(SkillAlgorithm):
    """
    SPiRL (Pertsch et al., 2020): SAC over skills, its entropy replaced by the KL to the skill prior.

    :param policy: "MlpPolicy" or a subclass of ``SkillPriorPolicy``
    :param env: ``SkillActionWrapper`` or ``SkillVecEnv``; ``total_timesteps`` counts skills
    :param learning_rate: of actor and critics
    :param buffer_size: skills kept, per environment
    :param batch_size: transitions per update
    :param tau: step of the target critics towards the critics
    :param gamma: discount per skill
    :param gamma_per_env_step: take ``gamma`` per env step: a skill of k env steps counts gamma^k
    :param handle_timeout_termination: value what would follow a time limit, as if the episode went on (SB3's name);
        False takes the limit for an end, so that what comes late is worth less
    :param train_freq: vec-env steps between two rounds of updates
    :param gradient_steps: updates per round
    :param n_steps: skills that a transition spans at most. Note: the paper has 1
    :param net_arch: hidden sizes of actor and critics
    :param task_latent_dim: E of the meta-policy that this agent comes from; 0 for none
    :param skill_kl_target: budget of KL(policy || skill prior) in nats
    :param skill_kl_multiplier: its multiplier at the start
    :param multiplier_learning_rate: step of dual descent on the logarithm of the multiplier
    :param multipliers_only_grow: never lower the multiplier (the paper)
    :param kl_clip: bound of the KL in the Bellman target, nats
    :raises EnvironmentSpecError: for an environment without skills
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": SkillPriorPolicy}
    policy: SkillPriorPolicy

    def __init__(
        self,
        policy: str | type[SkillPriorPolicy] = "MlpPolicy",
        env: GymEnv | str | None = None,
        learning_rate: float = 3e-4,
        buffer_size: int = 20_000,
        batch_size: int = 256,
        tau: float = 0.005,
        gamma: float = 0.99,
        gamma_per_env_step: bool = False,
        handle_timeout_termination: bool = True,
        train_freq: int = 1,
        gradient_steps: int = 1,
        n_steps: int = 1,
        net_arch: tuple[int, ...] = (128, 128, 128),
        task_latent_dim: int = 0,
        skill_kl_target: float = 1.0,
        skill_kl_multiplier: float = 0.05,
        multiplier_learning_rate: float = 3e-4,
        multipliers_only_grow: bool = True,
        kl_clip: float = 10.0,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        super().__init__(
            policy,
            env,  # type: ignore[arg-type]
            learning_rate,
            buffer_size=buffer_size,
            learning_starts=0,
            batch_size=batch_size,
            tau=tau,
            gamma=gamma,
            train_freq=tuple(train_freq) if isinstance(train_freq, list) else train_freq,  # a list from a file
            gradient_steps=gradient_steps,
            n_steps=n_steps,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            seed=seed,
            device=device,
            sde_support=False,
            support_multi_env=True,
        )
        self.gamma_per_env_step, self.handle_timeout_termination = gamma_per_env_step, handle_timeout_termination
        self.net_arch, self.task_latent_dim = tuple(net_arch), task_latent_dim
        self.skill_kl_target, self.skill_kl_multiplier = skill_kl_target, skill_kl_multiplier
        self.multiplier_learning_rate, self.multipliers_only_grow = multiplier_learning_rate, multipliers_only_grow
        self.kl_clip = kl_clip
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self.set_random_seed(self.seed)
        if self.env is not None:
            self.skills = self._find_skills()
        self.build()

    def build(self) -> None:
        """Buffer, policy and optimisers, from spaces and skills that are known."""
        self._setup_lr_schedule()
        self._convert_train_freq()
        dims = self.skills.observation_space.shape[0], self.skills.skill_dim
        self.replay_buffer = TaskReplayBuffer(
            self.n_envs, self.buffer_size, *dims, self.seed, self.device, self.handle_timeout_termination
        )
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space,
            self.action_space,
            self.lr_schedule,
            skill_settings=self.skills.settings,
            net_arch=self.net_arch,
            task_latent_dim=self.task_latent_dim,
        ).to(self.device)
        self.policy.skills.load_state_dict(self.skills.state_dict())
        with th.no_grad():
            self.policy.log_multiplier.fill_(math.log(self.skill_kl_multiplier))
        self.optimizers = make_optimizers(self.policy, self.lr_schedule(1), self.multiplier_learning_rate)

    def learn(
        self,
        total_timesteps: int = 20_000,
        callback: MaybeCallback = None,
        log_interval: int = 4,
        tb_log_name: str = "SkillPriorSAC",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """
        As in SB3, but for the clock.

        :param total_timesteps: skills (not env steps) to live through
        """
        if self.env is None:
            raise SettingsError("This model has no environment: give one to load(path, env=...), or call set_env.")
        if reset_num_timesteps or self._last_obs is None:  # SB3 then resets the environments
            self.replay_buffer.end_episodes()
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Skills as they are: the policy's from the first step on (it starts as the skill prior), never rescaled."""
        z, _ = self.predict(self._last_obs, deterministic=False)  # type: ignore[arg-type]
        return z, z

    def _store_transition(  # type: ignore[override]
        self,
        replay_buffer: TaskReplayBuffer,
        buffer_action: np.ndarray,
        new_obs: np.ndarray,
        reward: np.ndarray,
        dones: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        after = np.array(new_obs, np.float32)
        for i in np.flatnonzero(dones):
            after[i] = infos[i]["terminal_observation"]
        truncated = np.array([info.get("TimeLimit.truncated", False) for info in infos])
        rows = {
            "observations": self._last_obs,
            "actions": buffer_action,
            "rewards": reward,
            "terminated": dones & ~truncated,
            "next_observations": after,
            "skill_steps": np.array([info["skill_steps"] for info in infos]),
            "truncated": dones & truncated,
        }
        replay_buffer.add(np.arange(self.n_envs), rows, dones)
        self._last_obs = new_obs

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """``gradient_steps`` updates on transitions drawn evenly from all environments."""
        self.policy.set_training_mode(True)
        self._update_learning_rate([self.optimizers["actor"], self.optimizers["critic"]])
        metrics: dict[str, float] = {}
        for _ in range(gradient_steps):
            per_env = max(1, batch_size // self.n_envs)
            batch = self.replay_buffer.sample(
                np.arange(self.n_envs), per_env, self.gamma, self.n_steps, self.gamma_per_env_step
            )
            metrics = update_agents(
                self.policy,
                self.optimizers,
                batch.as_one(),
                skill_kl_target=self.skill_kl_target,
                kl_clip=self.kl_clip,
                tau=self.tau,
                multipliers_only_grow=self.multipliers_only_grow,
            )
        self._n_updates += gradient_steps
        for name, value in metrics.items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
