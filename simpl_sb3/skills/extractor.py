"""SkillExtractor learns a :class:`~simpl_sb3.skills.SkillModel` from demonstrations: the first phase (Section 4.1)."""

import io
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch as th
from stable_baselines3.common.logger import HumanOutputFormat, Logger, configure
from stable_baselines3.common.utils import get_device
from tqdm import tqdm

from simpl_sb3.demonstrations.windows import DemonstrationDataset, WindowBatch
from simpl_sb3.errors import ModelFileError, SettingsError
from simpl_sb3.files import write_atomically
from simpl_sb3.functional import behaviour_cloning_loss, prior_fit_loss, skill_loss, standard_gaussian_kl
from simpl_sb3.skills.model import SkillModel

__all__ = ["SkillExtractor", "SkillLosses"]

CHECKPOINT_NAME = "checkpoint_{:08d}.pt"
N_METRIC_WINDOWS = 2048
OPTIMISERS: dict[str, Callable[..., th.optim.Optimizer]] = {"adam": th.optim.Adam, "radam": th.optim.RAdam}
DECAYS = ("none", "linear", "cosine")


class SkillLosses(NamedTuple):
    """The parts of one batch's loss, scalars; ``action_mse`` per number, with the action space scaled to [-1, 1]."""

    loss: th.Tensor
    action_mse: th.Tensor
    kl: th.Tensor
    prior_kl: th.Tensor


class SkillExtractor:
    """
    Learns skills, their low-level policy and their prior from demonstrations without rewards or task labels.

    The defaults suit two CPU cores. As published for the maze: ``encoder="lstm", encoder_hidden=(128,),
    prior_hidden=(128,) * 6, norm="batch", optimizer="radam", batch_size=128, learning_rate=1e-3,
    learning_rate_decay="none"``.

    Logged under ``train/`` and ``validation/`` every ``log_interval`` updates: ``action_mse`` (mean squared error of a
    number of an action, the action space scaled to [-1, 1], z sampled from the posterior), ``kl`` (nats, posterior to
    N(0, I)), ``prior_kl`` (nats, posterior to prior) and ``loss``; ``validation/prior_action_mse`` samples z from the
    prior instead.

    :param dataset: the demonstrations
    :param horizon: H, env steps per skill
    :param skill_dim: Z
    :param encoder: "mlp" or "lstm"
    :param encoder_hidden: hidden sizes; one number for an LSTM
    :param decoder_hidden: hidden sizes of the low-level policy
    :param prior_hidden: hidden sizes of the prior
    :param norm: "none", "batch" or "layer"
    :param prior_temperature: of the model that comes out, see ``SkillModel``
    :param normalize_observations: standardise observations by the training part's mean and standard deviation
    :param min_observation_std: smallest standard deviation that is taken so, in the observations' units, so that noise
        on what hardly moves is not blown up; below 1e-6 a number counts as constant
    :param observation_noise: standard deviation of the noise on standardised observations while learning, so that
        skills and prior bear states a little off the demonstrations
    :param kl_weight: beta, weight of KL(posterior || N(0, I)) against the actions' log likelihood summed over H and A
    :param batch_size: B, windows per update
    :param learning_rate: at the first update
    :param learning_rate_decay: "none", "linear" or "cosine", to 0 at the last update
    :param optimizer: "adam" or "radam"
    :param validation_fraction: share of episodes set aside for ``validation/`` metrics; 0 for none
    :param folder: where ``progress.csv``, TensorBoard files and checkpoints go; None keeps nothing on disk
    :param seed: of split, initial weights, windows and noise; None takes a random one
    :param device: "auto" takes a GPU if there is one
    :param verbose: 1 prints the metrics
    :raises DatasetError: when no episode is as long as the horizon
    :raises SettingsError: for unknown names and numbers out of range
    """

    def __init__(
        self,
        dataset: DemonstrationDataset,
        *,
        horizon: int = 10,
        skill_dim: int = 10,
        encoder: str = "mlp",
        encoder_hidden: Sequence[int] = (128, 128, 128),
        decoder_hidden: Sequence[int] = (128, 128, 128, 128),
        prior_hidden: Sequence[int] = (128, 128, 128, 128),
        norm: str = "none",
        prior_temperature: float = 1.0,
        normalize_observations: bool = True,
        min_observation_std: float = 1e-6,
        observation_noise: float = 0.0,
        kl_weight: float = 1e-2,
        batch_size: int = 512,
        learning_rate: float = 2e-3,
        learning_rate_decay: str = "cosine",
        optimizer: str = "adam",
        validation_fraction: float = 0.1,
        folder: str | Path | None = None,
        seed: int | None = None,
        device: th.device | str = "auto",
        verbose: int = 0,
    ) -> None:
        if learning_rate_decay not in DECAYS or optimizer not in OPTIMISERS:
            raise SettingsError(
                f"learning_rate_decay and optimizer are {learning_rate_decay!r} and {optimizer!r}, "
                f"expected one of {DECAYS} and one of {tuple(OPTIMISERS)}"
            )
        whole, real = min(horizon, skill_dim, batch_size), min(kl_weight, observation_noise)
        if whole < 1 or not 0.0 <= validation_fraction < 1.0 or real < 0.0:
            raise SettingsError(
                f"given horizon {horizon}, skill_dim {skill_dim}, batch_size {batch_size}, validation_fraction "
                f"{validation_fraction}, kl_weight {kl_weight}, observation_noise {observation_noise}; "
                "expected at least 1, 1, 1, 0 (below 1), 0 and 0"
            )
        self.device = get_device(device)
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self.batch_size, self.kl_weight, self.observation_noise = batch_size, kl_weight, observation_noise
        self.learning_rate, self.learning_rate_decay = learning_rate, learning_rate_decay
        self.folder = None if folder is None else Path(folder)
        self.verbose = verbose
        self.n_updates = 0
        self.metrics: dict[str, float] = {}
        dataset.n_windows(horizon)  # raises if there is none
        self.train_data, self.validation_data = self._split(dataset, validation_fraction, horizon)
        with th.random.fork_rng(devices=[]):
            th.manual_seed(self.seed)
            self.model = SkillModel(
                dataset.observation_space,
                dataset.action_space,
                horizon=horizon,
                skill_dim=skill_dim,
                observation_key=dataset.observation_key,
                encoder=encoder,
                encoder_hidden=encoder_hidden,
                decoder_hidden=decoder_hidden,
                prior_hidden=prior_hidden,
                norm=norm,
                prior_temperature=prior_temperature,
            )
        if normalize_observations:
            mean = self.train_data.observations.mean(axis=0, dtype=np.float64)
            std = self.train_data.observations.std(axis=0, dtype=np.float64)
            self.model.set_observation_statistics(mean, np.where(std > 1e-6, np.maximum(std, min_observation_std), 1.0))
        self.model.to(self.device)
        fused = {"fused": True} if optimizer == "adam" else {}
        self.optimizer = OPTIMISERS[optimizer](self.model.parameters(), lr=learning_rate, **fused)
        self.rng = np.random.default_rng(self.seed)
        self.noise = th.Generator(self.device).manual_seed(self.seed)

    def _split(
        self, dataset: DemonstrationDataset, fraction: float, horizon: int
    ) -> tuple[DemonstrationDataset, DemonstrationDataset | None]:
        long_enough = dataset.at_least(horizon)
        if fraction == 0.0 or long_enough.n_episodes < 2:
            return long_enough, None
        return long_enough.split(fraction, self.seed)

    # ------------------------------------------------------------ learning

    def learn(
        self,
        total_updates: int = 8_000,
        *,
        callback: Callable[["SkillExtractor"], bool | None] | None = None,
        log_interval: int = 500,
        checkpoint_interval: int | None = None,
        progress_bar: bool = False,
    ) -> SkillModel:
        """
        Descends :func:`~simpl_sb3.functional.skill_loss` until ``total_updates`` are done, restored ones included.

        :param total_updates: updates in all
        :param callback: called after every logging; returning False stops
        :param log_interval: updates between two loggings
        :param checkpoint_interval: updates between two checkpoints in ``folder``; None for none
        :param progress_bar: show one
        :return: the model, frozen
        """
        if checkpoint_interval is not None and self.folder is None:
            raise SettingsError("checkpoint_interval is given, but no folder to write checkpoints to")
        logger = self._make_logger()
        self.model.unfreeze()
        sums = th.zeros(len(SkillLosses._fields), device=self.device)
        n_summed = 0
        with tqdm(total=total_updates, initial=self.n_updates, unit="update", disable=not progress_bar) as bar:
            while self.n_updates < total_updates:
                sums += th.stack(self._update(total_updates))
                n_summed += 1
                bar.update()
                if self.n_updates % log_interval == 0 or self.n_updates == total_updates:
                    self._log(logger, sums / n_summed, bar)
                    n_summed, sums = 0, th.zeros_like(sums)
                    if callback is not None and callback(self) is False:
                        break
                if checkpoint_interval is not None and self.n_updates % checkpoint_interval == 0:
                    self.save_checkpoint()
        logger.close()
        return self.model.freeze()

    def _update(self, total_updates: int) -> tuple[th.Tensor, ...]:
        rate = self.learning_rate * self._rate_factor(self.n_updates / total_updates)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = self.losses(self.train_data.sample_windows(self.batch_size, self.model.horizon, self.rng), self.noise)
        self.optimizer.zero_grad()
        losses.loss.backward()
        self.optimizer.step()
        self.n_updates += 1
        return tuple(loss.detach() for loss in losses)

    def _rate_factor(self, progress: float) -> float:
        if self.learning_rate_decay == "linear":
            return 1.0 - progress
        return 0.5 * (1.0 + math.cos(math.pi * progress)) if self.learning_rate_decay == "cosine" else 1.0

    def losses(self, windows: WindowBatch, noise: th.Generator, from_prior: bool = False) -> SkillLosses:
        """
        Loss and metrics of one batch of windows. The decoder sees every one of the H observations.

        :param windows: observations (B, H + 1, O) and actions (B, H, A), in the environment's units
        :param noise: source of the posterior's noise, on the model's device
        :param from_prior: decode z from the prior instead of the posterior (a metric, nothing to train on)
        :return: scalars
        """
        model = self.model
        observations = model.standardise(th.from_numpy(windows.observations).to(self.device))  # (B, H + 1, O)
        if model.training and self.observation_noise > 0.0:
            blur = th.randn(observations.shape, generator=noise, device=self.device)
            observations = observations + self.observation_noise * blur
        actions = model.scale_actions(th.from_numpy(windows.actions).to(self.device))  # (B, H, A)
        mean, std = model.encoder(observations, actions)  # (B, Z)
        prior_mean, prior_std = model.prior_head(model.prior_net(observations[:, 0]))  # (B, Z)
        z_mean, z_std = (prior_mean, prior_std) if from_prior else (mean, std)
        z = z_mean + z_std * th.randn(z_mean.shape, generator=noise, device=self.device)
        repeated = z.unsqueeze(1).expand(-1, model.horizon, -1)
        inputs = th.cat([observations[:, :-1], repeated], dim=-1).flatten(0, 1)  # (B H, O + Z)
        behaviour_cloning = behaviour_cloning_loss(model.decoder(inputs).view_as(actions), actions)
        kl = standard_gaussian_kl(mean, std).mean()
        prior_fit = prior_fit_loss(mean, std, prior_mean, prior_std)
        return SkillLosses(
            loss=skill_loss(behaviour_cloning, kl, prior_fit, self.kl_weight),
            action_mse=2.0 * behaviour_cloning * len(actions) / actions.numel(),
            kl=kl,
            prior_kl=prior_fit,
        )

    # ------------------------------------------------------------ metrics

    def evaluate(self, data: DemonstrationDataset, n_windows: int = N_METRIC_WINDOWS) -> dict[str, float]:
        """
        Metrics in evaluation mode on windows that are the same at every call.

        :param data: demonstrations as long as the horizon
        :param n_windows: how many windows to draw
        :return: ``loss``, ``action_mse``, ``kl``, ``prior_kl``, ``prior_action_mse``
        """
        windows = data.sample_windows(n_windows, self.model.horizon, np.random.default_rng(0))
        noise = th.Generator(self.device).manual_seed(0)
        was_training = self.model.training
        self.model.eval()
        with th.no_grad():
            losses = self.losses(windows, noise)
            prior_action_mse = self.losses(windows, noise, from_prior=True).action_mse
        self.model.train(was_training)
        values = {name: float(value) for name, value in losses._asdict().items()}
        return values | {"prior_action_mse": float(prior_action_mse)}

    def _log(self, logger: Logger, train_means: th.Tensor, bar: Any) -> None:
        means = dict(zip(SkillLosses._fields, train_means.tolist(), strict=True))
        if not all(math.isfinite(value) for value in means.values()):
            raise SettingsError(f"skill extraction diverged by update {self.n_updates}: {means}; lower learning_rate")
        self.metrics = {f"train/{name}": value for name, value in means.items()}
        self.metrics["train/learning_rate"] = self.optimizer.param_groups[0]["lr"]
        if self.validation_data is not None:
            validation = self.evaluate(self.validation_data)
            self.metrics |= {f"validation/{name}": value for name, value in validation.items()}
        for name, value in self.metrics.items():
            logger.record(name, value)
        logger.record("time/n_updates", self.n_updates)
        logger.dump(self.n_updates)
        bar.set_postfix(
            action_mse=f"{means['action_mse']:.4f}", kl=f"{means['kl']:.1f}", prior_kl=f"{means['prior_kl']:.1f}"
        )

    def _make_logger(self) -> Logger:
        if self.folder is not None:
            return configure(str(self.folder), [*(["stdout"] if self.verbose else []), "csv", "tensorboard"])
        return Logger(folder=None, output_formats=[HumanOutputFormat(sys.stdout)] if self.verbose else [])

    # ------------------------------------------------------------ checkpoints

    def save_checkpoint(self) -> Path:
        """
        Writes weights, optimiser and random state to ``folder``, whole or not at all; no pickled code.

        :return: the file
        """
        assert self.folder is not None
        state = {
            "settings": json.dumps(self.model.settings),
            "n_updates": self.n_updates,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": json.dumps(self.rng.bit_generator.state),
            "noise": self.noise.get_state(),
        }
        content = io.BytesIO()
        th.save(state, content)
        path = self.folder / CHECKPOINT_NAME.format(self.n_updates)
        write_atomically(path, content.getvalue())
        return path

    def restore(self, path: str | Path | None = None) -> int:
        """
        Goes back to a checkpoint, so that :meth:`learn` ends as if it had never been interrupted.

        :param path: a checkpoint; None takes the newest in ``folder``, or starts afresh if there is none
        :return: updates done so far
        :raises ModelFileError: for a corrupt checkpoint, or one of other sizes
        """
        if path is None:
            found = sorted(self.folder.glob("checkpoint_*.pt")) if self.folder is not None else []
            if not found:
                return self.n_updates
            path = found[-1]
        try:
            state = th.load(path, map_location=self.device, weights_only=True)
            if json.loads(state["settings"]) != self.model.settings:
                raise ModelFileError(f"checkpoint {path} is of another model: {state['settings']}")
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.rng.bit_generator.state = json.loads(state["rng"])
            self.noise.set_state(state["noise"].cpu())
            self.n_updates = state["n_updates"]
        except ModelFileError:
            raise
        except Exception as error:  # torch raises many kinds for a broken file
            raise ModelFileError(f"{path} is no checkpoint of skill extraction: {error}") from error
        return self.n_updates
