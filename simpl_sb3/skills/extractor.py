"""SkillExtractor learns a ``SkillModel`` from demonstrations: the first phase (Section 4.1)."""

import io
import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch as th
from stable_baselines3.common.logger import HumanOutputFormat, Logger, configure

from simpl_sb3.bars import progress
from simpl_sb3.demonstrations.windows import DemonstrationDataset, WindowBatch
from simpl_sb3.errors import DivergenceError, ModelFileError, SettingsError, SkillMismatchError
from simpl_sb3.files import read_regular, write_atomically
from simpl_sb3.functional import behaviour_cloning_loss, prior_fit_loss, skill_loss, standard_gaussian_kl
from simpl_sb3.interrupts import uninterrupted
from simpl_sb3.logs import hide_later_events
from simpl_sb3.numerics import checked_device
from simpl_sb3.seals import seal_zip
from simpl_sb3.settings import checked_number, checked_seed, takes, unknown_names
from simpl_sb3.skills.cloned import ClonedActions
from simpl_sb3.skills.model import SkillModel, SkillOutputs
from simpl_sb3.skills.settings import ClonedActionsSettings, ExtractionSettings, SkillModelSettings
from simpl_sb3.skills.tensor_files import check_optimizer_state, check_tensors, read_tensors
from simpl_sb3.threads import largest_layer, small_products

__all__ = ["SkillExtractor", "SkillLosses"]

CHECKPOINT_NAME = "checkpoint_{:08d}.pt"
N_METRIC_WINDOWS = 2048
KL_WEIGHT_SHARE = 0.04
"""Of the variance of the demonstrated actions: the KL weight of whoever names none."""
OPTIMIZERS: dict[str, Callable[..., th.optim.Optimizer]] = {"adam": th.optim.Adam, "radam": th.optim.RAdam}
PROVENANCE = {"kind", "dataset_id", "env_id"}  # settings of a model that do not change its networks


Extracted = SkillModel | ClonedActions
Sizes = SkillModelSettings | ClonedActionsSettings


class SkillLosses(NamedTuple):
    """The parts of one batch's loss, scalars; ``action_mse`` per number, with the action space scaled to [-1, 1]."""

    loss: th.Tensor
    action_mse: th.Tensor
    kl: th.Tensor
    prior_kl: th.Tensor


class SkillExtractor:
    """
    Learns skills, their low-level policy and their prior from demonstrations without rewards or task labels.

    Logged under ``train/`` and ``validation/`` every ``log_interval`` updates: ``action_mse`` (mean squared error of a
    number of an action, the action space scaled to [-1, 1], z sampled from the posterior), ``kl`` (nats, posterior to
    N(0, I)), ``prior_kl`` (nats, posterior to prior) and ``loss``; ``validation/prior_action_mse`` samples z from the
    prior instead.

    :param dataset: the demonstrations
    :param model: the model to train, or its settings (those of ``ClonedActions`` clone primitive actions); None makes a
        ``SkillModel`` of the settings that are given by name
    :param folder: where ``progress.csv``, TensorBoard files and checkpoints go; None keeps nothing on disk
    :param seed: seed of split, initial weights, windows and noise, 0 to 2^32 - 1; None takes a random one
    :param device: "auto" takes a GPU if there is one
    :param verbose: 1 prints the metrics
    :param settings: fields of :class:`~simpl_sb3.skills.settings.ExtractionSettings`, and, where ``model`` is None, of
        :class:`~simpl_sb3.skills.settings.SkillModelSettings`
    :raises DatasetError: when no episode is as long as the horizon
    :raises SettingsError: for unknown names, and values out of range
    :raises SkillMismatchError: for a model whose spaces are not the dataset's
    """

    @takes(SkillModelSettings, ExtractionSettings)
    def __init__(
        self,
        dataset: DemonstrationDataset,
        model: Extracted | Sizes | None = None,
        *,
        folder: str | Path | None = None,
        seed: int | None = None,
        device: th.device | str = "auto",
        verbose: int = 0,
        **settings: Any,
    ) -> None:
        sizes, self.extraction = _sorted_settings(model, settings)
        self.device = checked_device(device)
        drawn = int(np.random.SeedSequence().generate_state(1)[0])
        self.seed = drawn if seed is None else int(checked_seed(seed) or 0)
        self.folder = None if folder is None else Path(folder)
        self.verbose = verbose
        self.n_updates = 0
        self.metrics: dict[str, float] = {}
        dataset.n_windows(sizes.horizon)  # raises if there is none
        self.train_data, self.validation_data = self._split(dataset, self.extraction.validation_fraction, sizes.horizon)
        self.model: Extracted = model if isinstance(model, Extracted) else self._new_model(dataset, sizes)
        _check_model_fits(self.model, dataset)
        if self.extraction.normalize_observations:
            self.model.fit_observation_statistics(self.train_data.observations, self.extraction.min_observation_std)
        self.model.to(self.device)
        if self.extraction.kl_weight is None:
            self.extraction = replace(self.extraction, kl_weight=self._usual_kl_weight())
        fused = {"fused": True} if self.extraction.optimizer == "adam" else {}
        self.optimizer = OPTIMIZERS[self.extraction.optimizer](
            self.model.parameters(), lr=self.extraction.learning_rate, **fused
        )
        self.rng = np.random.default_rng(self.seed)
        self.noise = th.Generator(self.device).manual_seed(self.seed)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that is used, by name, JSON-able: the model's settings, those of the extraction, and the seed."""
        own = {**self.extraction.as_dict(), "seed": self.seed, "device": str(self.device)}
        spaces = {"kind", "observation_space", "action_space"}
        return {name: value for name, value in self.model.settings.items() if name not in spaces} | own

    def _new_model(self, dataset: DemonstrationDataset, sizes: Sizes) -> Extracted:
        kind = SkillModel if isinstance(sizes, SkillModelSettings) else ClonedActions
        with th.random.fork_rng(devices=[]):
            th.manual_seed(self.seed)
            return kind(
                dataset.observation_space,
                dataset.action_space,
                observation_key=dataset.observation_key,
                dataset_id=dataset.id,
                env_id=dataset.env_id,
                **sizes.as_dict(),
            )

    def _usual_kl_weight(self) -> float:
        actions = th.from_numpy(self.train_data.some_actions()).to(self.device)
        return float(f"{KL_WEIGHT_SHARE * self.model.scale_actions(actions).var(dim=0).sum().item():.3g}")

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
    ) -> Any:
        """
        Descends :func:`~simpl_sb3.functional.skill_loss` until ``total_updates`` are done, restored ones included.

        :param total_updates: updates in all
        :param callback: called after every logging; returning False stops
        :param log_interval: updates between two loggings
        :param checkpoint_interval: updates between two checkpoints in ``folder``; None for none
        :param progress_bar: show one
        :return: the model, frozen
        :raises DivergenceError: where the losses are NaN or infinite at a logging
        """
        if checkpoint_interval is not None and self.folder is None:
            raise SettingsError("checkpoint_interval is given, but no folder to write checkpoints to")
        total_updates = checked_number("total_updates", total_updates, 0)
        log_interval = checked_number("log_interval", log_interval, 1)
        if checkpoint_interval is not None:
            checkpoint_interval = checked_number("checkpoint_interval", checkpoint_interval, 1)
        logger = self._make_logger()
        if self.n_updates:
            hide_later_events(logger, self.n_updates)
        self.model.unfreeze()
        sums = th.zeros(len(SkillLosses._fields), device=self.device)
        n_summed = 0
        try:
            with progress(total=total_updates, initial=self.n_updates, unit="update", shown=progress_bar) as bar:
                while self.n_updates < total_updates:
                    with uninterrupted():
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
        finally:
            logger.close()
        return self.model.freeze()

    def _update(self, total_updates: int) -> tuple[th.Tensor, ...]:
        rate = self.extraction.learning_rate * self._rate_factor(self.n_updates / total_updates)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        windows = self.train_data.sample_windows(self.extraction.batch_size, self.model.horizon, self.rng)
        rows = self.extraction.batch_size * self.model.horizon
        with small_products(rows * largest_layer(self.model)):
            losses = self.losses(windows, self.noise)
            self.optimizer.zero_grad()
            losses.loss.backward()
            self.optimizer.step()
        self.n_updates += 1
        return tuple(loss.detach() for loss in losses)

    def _rate_factor(self, done: float) -> float:
        if self.extraction.learning_rate_decay == "linear":
            return 1.0 - done
        return 0.5 * (1.0 + math.cos(math.pi * done)) if self.extraction.learning_rate_decay == "cosine" else 1.0

    def losses(self, windows: WindowBatch, noise: th.Generator, from_prior: bool = False) -> SkillLosses:
        """
        Loss and metrics of one batch of windows. The decoder sees every one of the H observations.

        :param windows: observations (B, H + 1, O) and actions (B, H, A), in the environment's units
        :param noise: source of the posterior's noise, on the model's device
        :param from_prior: decode z from the prior instead of the posterior (a metric, nothing to train on)
        :return: scalars
        """
        outputs: SkillOutputs = self.model(
            th.from_numpy(windows.observations).to(self.device),
            th.from_numpy(windows.actions).to(self.device),
            noise,
            observation_noise=self.extraction.observation_noise if self.model.training else 0.0,
            from_prior=from_prior,
        )
        behaviour_cloning = behaviour_cloning_loss(outputs.actions, outputs.targets)
        kl = standard_gaussian_kl(*outputs.posterior).mean()
        prior_fit = prior_fit_loss(*outputs.posterior, *outputs.prior)
        assert self.extraction.kl_weight is not None  # the constructor has chosen
        return SkillLosses(
            loss=skill_loss(behaviour_cloning, kl, prior_fit, self.extraction.kl_weight),
            action_mse=2.0 * behaviour_cloning * len(outputs.actions) / outputs.actions.numel(),
            kl=kl,
            prior_kl=prior_fit,
        )

    # ------------------------------------------------------------ metrics

    def evaluate(self, data: DemonstrationDataset, n_windows: int = N_METRIC_WINDOWS) -> dict[str, float]:
        """
        Metrics in evaluation mode on windows that are the same at every call.

        :param data: demonstrations as long as the horizon
        :param n_windows: number of windows to draw
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
            raise DivergenceError(
                f"skill extraction diverged by update {self.n_updates}: {means}; expected a lower learning rate"
            )
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
        write_atomically(path, seal_zip(content.getvalue()))
        return path

    def restore(self, path: str | Path | None = None) -> int:
        """
        Goes back to a checkpoint, so that :meth:`learn` ends as if it had never been interrupted. Everything in the
        checkpoint is checked before any of it is taken.

        :param path: a checkpoint; None takes the newest in ``folder`` that can be read, or starts afresh if there is
            none
        :return: updates done so far
        :raises ModelFileError: for a corrupt checkpoint, or one of other sizes
        """
        if path is None:
            found = sorted(self.folder.glob("checkpoint_*.pt"), reverse=True) if self.folder is not None else []
            for newest in found:
                try:
                    return self.restore(newest)
                except ModelFileError:
                    if newest == found[-1]:
                        raise
            return self.n_updates
        try:
            state = read_tensors(read_regular(path))
            later = json.loads(json.dumps(type(self.model.sizes)().as_dict()))  # what earlier versions did not have
            given = later | json.loads(state["settings"])
            if _without_provenance(given) != _without_provenance(self.model.settings):
                raise ModelFileError(f"it is of another model: {state['settings']}")
            check_tensors(state["model"], self.model.state_dict())
            optimizer_state = check_optimizer_state(state["optimizer"], self.optimizer)
            rng = np.random.default_rng()
            rng.bit_generator.state = json.loads(state["rng"])
            noise = th.Generator(self.device)
            noise.set_state(state["noise"])
            n_updates = state["n_updates"]
            if type(n_updates) is not int or n_updates < 0:
                raise ModelFileError(f"n_updates is {n_updates!r}, expected a whole number of at least 0")
        except Exception as error:  # torch raises many kinds for a broken file
            reason = error if isinstance(error, ValueError) else f"{type(error).__name__} while reading it"
            raise ModelFileError(f"{path} is no checkpoint of this skill extraction: {reason}") from error
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(optimizer_state)
        self.rng, self.noise, self.n_updates = rng, noise, n_updates
        return self.n_updates


def _sorted_settings(model: Extracted | Sizes | None, given: dict[str, Any]) -> tuple[Sizes, ExtractionSettings]:
    """What is given by name, as the model's settings and as the extraction's."""
    of_model, of_extraction = SkillModelSettings.names(), ExtractionSettings.names()
    if unknown := [name for name in given if name not in (*of_model, *of_extraction)]:
        raise unknown_names("SkillExtractor", unknown, [*of_model, *of_extraction])
    sizes = {name: value for name, value in given.items() if name in of_model}
    if model is not None and sizes:
        raise SettingsError(f"given a model and {', '.join(sizes)}: expected these in the model's own settings.")
    extraction = ExtractionSettings.of({name: value for name, value in given.items() if name in of_extraction})
    if model is None:
        return SkillModelSettings.of(sizes), extraction
    if not isinstance(model, Extracted | Sizes):
        raise SettingsError(f"model is {model!r}: expected a SkillModel, SkillModelSettings or None.")
    return model.sizes if isinstance(model, Extracted) else model, extraction


def _check_model_fits(model: Extracted, dataset: DemonstrationDataset) -> None:
    own = model.observation_space, model.action_space
    if own != (dataset.observation_space, dataset.action_space):
        raise SkillMismatchError(
            f"The model has observations in {own[0]} and actions in {own[1]}; the dataset {dataset.id} has "
            f"{dataset.observation_space} and {dataset.action_space}."
        )


def _without_provenance(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in PROVENANCE}
