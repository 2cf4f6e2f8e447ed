"""Settings of what learns: nonsense is refused by name wherever it is given, and numpy's numbers are saved."""

import inspect
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from algorithms_for_tests import KINDS, Kind, both, make, save_each, wrapped
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule

from simpl_sb3.algorithms.settings import (
    ACTIVATIONS,
    TASK_ENCODERS,
    AdaptationSettings,
    MetaTrainingSettings,
    SkillPriorSACSettings,
)
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.algorithms.task_encoders import TASK_ENCODERS as MADE_ENCODERS
from simpl_sb3.errors import SettingsError
from simpl_sb3.settings import Settings


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    return save_each(tmp_path_factory.mktemp("models"))


NAN, INF = float("nan"), float("inf")
POSITIVE: tuple[Any, ...] = (0, -1, NAN, INF, "1", None)
NOT_NEGATIVE: tuple[Any, ...] = (-1.0, NAN, INF, "1")
COUNT: tuple[Any, ...] = (0, -1, 1.5, NAN, "8", 10**400)
PAIR: tuple[Any, ...] = ((), (1.0,), (-1.0, 1.0), (1.0, NAN), "ab", ("a", "b"), 1.0, None)
NONSENSE: dict[str, tuple[Any, ...]] = {
    "net_arch": ((0,), (-1, 8), "88", 8, ((8,), (8,)), (1.5,), {"pi": [8], "qf": [8]}, (10**9,), None),
    "activation_fn": ("sinus", 3, None, th.nn.Softplus),
    "learning_rate": (
        *POSITIVE,
        "lin_1e-3",
        ("linear", 1.0),
        ("cosine", 1.0, 0.1),
        ("linear", 1e-3, -1e-3),
        ("linear", 1e-3, 0.0, 0.0),
        ("linear", 1e-3, 0.0, 1.5),
    ),
    "buffer_size": (*COUNT, "text", 10**12, 1e12),
    "batch_size": (*COUNT, 10**12),
    "tau": (*POSITIVE, 1.5, -1),
    "gamma": (1.5, -0.1, 1e30, NAN, "text", None, 10**400),
    "gamma_per_env_step": (2, "yes", None),
    "handle_timeout_termination": ("no", 3),
    "n_steps": (*COUNT, 10**6),
    "multiplier_learning_rate": NOT_NEGATIVE,
    "multipliers_only_grow": (0, "no"),
    "kl_clip": (-1.0, NAN, "1"),
    "matmul_precision": ("low", 32),
    "train_freq": (0, -1, 1.5, "2", (1, "day"), (0, "step"), (1,)),
    "gradient_steps": (-2, 1.5, "1", 10**12, NAN),
    "skill_kl_target": NOT_NEGATIVE,
    "skill_kl_multiplier": (0.0, -1.0, NAN, "1"),
    "task_latent_dim": (-1, 1.5, "2", 10**9),
    "n_episodes": COUNT,
    "n_exploration_episodes": (-1, 1.5, "2"),
    "exploration": ("hope", 1, None),
    "exploration_spread": NOT_NEGATIVE,
    "exploration_latent_skills": (0, -1, 1.5, "2"),
    "exploration_skill_prior": (*NOT_NEGATIVE, 1.01, None),
    "explore_until_reward": ("no", 3),
    "meta_policy_patience": (0, -1, 1.5, "2"),
    "context_size": (0, -1, 1.5, "2"),
    "context_reward_rows": (-1, 1.5, None),
    "reuse_exploration": ("no", 3),
    "initial_updates": (-1, 1.5, 10**12),
    "task_encoder": ("rnn", 3, None),
    "encoder_width": (*COUNT, 10**9),
    "imagined_task_share": (*NOT_NEGATIVE, 0.95, None),
    "context_buffer_size": (*COUNT, 10**12),
    "hindsight": ("yes", 1),
    "context_sizes": (*PAIR, (0, 8), (1.5, 8), (2, 10**12)),
    "tasks_per_update": (*PAIR, (0, 3), (1, 0), (1, 10**9)),
    "skill_kl_targets": PAIR,
    "skill_kl_multipliers": (*PAIR, (0.0, 1.0)),
    "latent_kl_targets": PAIR,
    "latent_kl_multipliers": (*PAIR, (0.0, 1.0)),
}
RECORDS: list[type[Settings]] = [SkillPriorSACSettings, MetaTrainingSettings, AdaptationSettings]


def cases(record: type[Settings]) -> list[tuple[str, Any]]:
    return [(name, value) for name in record.names() for value in NONSENSE[name]]


def test_every_setting_has_a_case_above() -> None:
    assert {name for record in RECORDS for name in record.names()} == set(NONSENSE)


@pytest.mark.parametrize("record", RECORDS)
def test_nonsense_is_refused_with_its_name(record: type[Settings]) -> None:
    for name, value in cases(record):
        for how in (lambda given: record(**given), record.of):
            with pytest.raises(SettingsError, match=rf"^{name} is ") as caught:
                how({name: value})
            assert "expected" in str(caught.value), (name, value)


@both
def test_nonsense_is_refused_by_constructor_and_load(kind: Kind, saved: dict[Kind, Path]) -> None:
    for name, value in cases(kind.settings_class):
        with pytest.raises(SettingsError, match=f"^{name} is "):
            make(kind, **{name: value})
    of_each = dict(reversed(cases(kind.settings_class)))  # the first value of each
    for name, value in of_each.items():
        with pytest.raises(SettingsError, match=f"^{name} is "):
            kind.load(saved[kind], device="cpu", **{name: value})


OTHERS: dict[str, tuple[Any, ...]] = {
    "seed": (-1, 1.5, 2**32, "0", True),
    "stats_window_size": (0, -1, "x", None),
    "verbose": ("x", -1, None),
    "tensorboard_log": (5,),
    "device": ("nonsense", "meta", "mps", 5),
    "policy_kwargs": (5, "net_arch"),
}


@both
@pytest.mark.parametrize("name", OTHERS)
def test_nonsense_beside_the_settings_is_refused(kind: Kind, name: str, saved: dict[Kind, Path]) -> None:
    for value in OTHERS[name]:
        with pytest.raises(SettingsError, match=f"^{name} is "):
            make(kind, **{name: value})
        if name != "policy_kwargs":
            with pytest.raises(SettingsError, match=f"^{name} is "):
                kind.load(saved[kind], **({"device": "cpu"} | {name: value}))


@both
def test_names_that_are_no_settings_are_refused_with_those_that_are(kind: Kind) -> None:
    with pytest.raises(SettingsError, match=rf"{kind.__name__} has no setting 'gama' \(did you mean 'gamma'\?\).*tau"):
        make(kind, gama=0.9)
    for name in ("use_sde", "action_noise", "learning_starts", "replay_buffer_class", "optimize_memory_usage"):
        with pytest.raises(SettingsError, match=f"no setting '{name}'"):
            make(kind, **{name: 1})


@both
def test_signatures_show_every_setting_with_its_default(kind: Kind) -> None:
    shown = inspect.signature(kind).parameters
    for name, value in kind.settings_class().as_dict().items():
        assert shown[name].default == value
    assert {"policy", "env", "policy_kwargs", "seed", "device"} <= shown.keys()
    assert not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in shown.values())


def test_names_are_those_of_torch_and_the_encoders() -> None:
    assert tuple(MADE_ENCODERS) == TASK_ENCODERS
    assert all(issubclass(getattr(th.nn, name), th.nn.Module) for name in ACTIVATIONS.values())


# ---------------------------------------------------------------- numpy's numbers, and rates that fall


NUMPY: dict[str, Any] = {
    "gamma": np.float32(0.99),
    "batch_size": np.int64(6),
    "net_arch": np.array([8, 8]),
    "seed": np.int64(3),
    "learning_rate": np.float32(1e-3),
    "stats_window_size": np.int64(5),
    "verbose": np.int64(0),
    "kl_clip": INF,
}


@both
def test_numbers_of_numpy_are_taken_and_saved(kind: Kind, tmp_path: Path) -> None:
    given = NUMPY | ({"tasks_per_update": np.array([1, 2])} if kind is SkillPriorPEARL else {"train_freq": np.int8(2)})
    model = make(kind, **given).learn(20)
    model.save(tmp_path / "model")
    again = kind.load(tmp_path / "model", device="cpu")
    assert again.settings() == model.settings()
    assert (again.batch_size, again.net_arch, again.seed) == (6, (8, 8), 3)
    assert again.gamma == pytest.approx(0.99)
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        assert json.loads(archive.read("data"))["settings"]["net_arch"] == [8, 8]


FALLING: list[Any] = [
    ("linear", 1e-3, 1e-5),
    ["linear", np.float64(1e-3), 1e-5],
    LinearSchedule(1e-3, 1e-5, 1.0),
    FloatSchedule(LinearSchedule(1e-3, 1e-5, 1.0)),
]


def rates(model: Any) -> set[float]:
    return {group["lr"] for optimizer in model.learner.optimizers.values() for group in optimizer.param_groups}


@both
@pytest.mark.parametrize("schedule", FALLING, ids=lambda schedule: type(schedule).__name__)
def test_a_rate_that_falls_is_trained_with_saved_and_loaded(kind: Kind, schedule: Any, tmp_path: Path) -> None:
    model = make(kind, learning_rate=schedule)
    assert rates(model) == {1e-3}
    model.learn(20)
    assert list(rates(model)) == pytest.approx([1e-5])
    model.save(tmp_path / "model")
    again = kind.load(tmp_path / "model", wrapped(), device="cpu")
    assert again.config.learning_rate == ("linear", 1e-3, 1e-5)
    again.learn(2 * model.num_timesteps, reset_num_timesteps=False)
    assert list(rates(again)) == pytest.approx([1e-5])


@pytest.mark.parametrize("schedule", [("linear", 3e-3, 1e-3, 0.5), LinearSchedule(3e-3, 1e-3, 0.5)], ids=str)
def test_a_rate_that_falls_over_a_part_of_the_training(schedule: Any, tmp_path: Path) -> None:
    make(SkillPriorSAC, learning_rate=schedule).save(tmp_path / "model")
    again = SkillPriorSAC.load(tmp_path / "model", wrapped(), device="cpu")
    assert again.config.learning_rate == ("linear", 3e-3, 1e-3, 0.5)
    remaining = [1.0, 0.75, 0.5, 0.25, 0.0]
    assert [again.lr_schedule(share) for share in remaining] == pytest.approx([3e-3, 2e-3, 1e-3, 1e-3, 1e-3])


@both
@pytest.mark.parametrize("schedule", [FloatSchedule(2e-3), ConstantSchedule(2e-3), 2e-3], ids=str)
def test_a_rate_that_stays(kind: Kind, schedule: Any) -> None:
    model = make(kind, learning_rate=schedule).learn(10)
    assert model.learning_rate == 2e-3
    assert rates(model) == {2e-3}


@both
def test_a_rate_may_fall_to_nothing(kind: Kind) -> None:
    """As the linear schedules of SB3's zoo do."""
    assert list(rates(make(kind, learning_rate=LinearSchedule(1e-3, 0.0, 1.0)).learn(12))) == pytest.approx([0.0])


@both
def test_a_rate_that_cannot_be_saved_is_refused_at_construction(kind: Kind) -> None:
    with pytest.raises(SettingsError, match=r"learning_rate is .*cannot be saved.*\(\"linear\", start, end\)"):
        make(kind, learning_rate=lambda progress: 1e-3 * progress)


# ---------------------------------------------------------------- the policy's settings


@both
@pytest.mark.parametrize("activation", ["tanh", th.nn.Tanh])
def test_policy_kwargs(kind: Kind, activation: Any, tmp_path: Path) -> None:
    """As in SB3, or beside the other settings; not both."""
    small = {name: value for name, value in KINDS[kind].items() if name != "net_arch"}
    given = {"net_arch": [5, 4], "activation_fn": activation}
    model = kind("MlpPolicy", wrapped(), policy_kwargs=given, **small).learn(10)
    assert [tuple(weight.shape[1:]) for weight in model.policy.actor.weights][1] == (5, 4)
    assert isinstance(model.policy.actor.activation, th.nn.Tanh)
    assert (model.net_arch, model.activation_fn) == ((5, 4), "tanh")
    model.save(tmp_path / "model")
    again = kind.load(tmp_path / "model", device="cpu")
    assert isinstance(again.policy.critics.activation, th.nn.Tanh)
    observations = np.ones((1, 2), np.float32)
    e = th.ones(1, again.task_latent_dim) if kind is SkillPriorPEARL else None
    acted = [each.policy.act(observations, e, deterministic=True) for each in (model, again)]
    assert np.array_equal(*acted)
    with pytest.raises(SettingsError, match="net_arch given twice"):
        make(kind, policy_kwargs={"net_arch": (4,)})
    with pytest.raises(SettingsError, match="policy_kwargs has no setting 'optimizer_class'"):
        make(kind, policy_kwargs={"optimizer_class": th.optim.SGD})


# ---------------------------------------------------------------- adaptation


def test_updates_per_skill_is_the_earlier_name() -> None:
    for share, expected in {0.5: (2, 1), 2.0: (1, 2), 1: (1, 1), 0.0: (1, 0), 0.75: (4, 3)}.items():
        settings = AdaptationSettings.of({"updates_per_skill": share})
        assert (settings.train_freq, settings.gradient_steps) == expected
    for wrong in (-1, NAN, INF, "2", True, 1e30):
        with pytest.raises(SettingsError, match="updates_per_skill is"):
            AdaptationSettings.of({"updates_per_skill": wrong})


def test_settings_of_an_adaptation_that_contradict_each_other() -> None:
    with pytest.raises(SettingsError, match="30 exploring episodes of 20"):
        AdaptationSettings(n_episodes=20, n_exploration_episodes=30)
    with pytest.raises(SettingsError, match="adaptation expects a number of skills"):
        AdaptationSettings(train_freq=(1, "episode"))


def test_as_many_updates_as_skills() -> None:
    model = make(SkillPriorSAC, gradient_steps=-1, train_freq=3).learn(12)
    assert model._n_updates == 12
