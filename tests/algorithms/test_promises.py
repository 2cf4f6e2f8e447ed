"""What Stable-Baselines3 promises of its algorithms: each works as its users know it, or is refused by one message."""

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from algorithms_for_tests import KINDS, Kind, both, make, save_each, wrapped
from envs_for_tests import SKILL_DIM, LineEnv, LineTask, line_envs, same_parameters, tiny_skills
from stable_baselines3.common.callbacks import CheckpointCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

from simpl_sb3.algorithms.policies import SkillPriorPEARLPolicy, SkillPriorPolicy
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import EnvironmentSpecError, ModelFileError, SettingsError, SkillMismatchError
from simpl_sb3.skills.vec_env import SkillVecEnv
from simpl_sb3.skills.wrapper import SkillActionWrapper

PROBE = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    return save_each(tmp_path_factory.mktemp("models"))


def acts(model: Any) -> np.ndarray:
    e = th.ones(len(PROBE), model.policy.task_latent_dim) if isinstance(model, SkillPriorPEARL) else None
    return model.policy.act(PROBE, e, deterministic=True)


def state_of(model: Any) -> list[th.Tensor]:
    """Every tensor that learns: weights, multipliers, moments."""
    learner = model.learner.state_dict()
    moments = [
        value
        for each in learner["optimizers"].values()
        for values in each["state"].values()
        for value in values.values()
    ]
    return [*model.policy.state_dict().values(), *learner["multipliers"].values(), *moments]


def equal(first: list[th.Tensor], second: list[th.Tensor]) -> bool:
    return len(first) == len(second) and all(th.equal(a, b) for a, b in zip(first, second, strict=True))


# ---------------------------------------------------------------- parameters


@both
@pytest.mark.parametrize("how", ["path", "text", "dict", "open file"])
def test_set_parameters(kind: Kind, how: str, saved: dict[Kind, Path]) -> None:
    """Weights, multipliers and the optimisers' moments, of a file of one's own or of ``get_parameters``."""
    source, target = kind.load(saved[kind], device="cpu"), make(kind, seed=1).learn(20)
    assert not equal(state_of(source), state_of(target))
    given: Any = {"path": saved[kind], "text": str(saved[kind])}.get(how)
    if how == "dict":
        given = source.get_parameters()
    if how == "open file":
        given = io.BytesIO(saved[kind].read_bytes())
    target.set_parameters(given)
    assert equal(state_of(source), state_of(target))
    before = [tensor.clone() for tensor in state_of(source)]
    target.learn(20)
    assert equal(state_of(source), before)  # nothing is shared


@both
def test_set_parameters_of_one_part(kind: Kind) -> None:
    source, target = make(kind), make(kind, seed=1)
    with pytest.raises(SettingsError, match="expected policy and learner"):
        target.set_parameters({"policy": source.policy.state_dict()})
    target.set_parameters({"policy": source.policy.state_dict()}, exact_match=False)
    assert same_parameters(source.policy, target.policy)


@both
def test_set_parameters_that_fails_leaves_the_model_as_it_was(
    kind: Kind, saved: dict[Kind, Path], tmp_path: Path
) -> None:
    model = make(kind, seed=1).learn(20)
    before = [tensor.clone() for tensor in state_of(model)]
    good = copy.deepcopy(kind.load(saved[kind], device="cpu").get_parameters())
    nan, shape, moments = (copy.deepcopy(good) for _ in range(3))
    nan["policy"]["actor.weights.0"][0, 0, 0] = th.nan
    shape["policy"]["actor.weights.0"] = th.zeros(3)
    moments["learner"]["optimizers"]["critic"]["state"][0]["exp_avg"] = th.zeros(3)
    make(kind, net_arch=(9,)).save(tmp_path / "other")
    wrong: list[Any] = [nan, shape, moments, {"policy": {}, "learner": {}}, {"policy": 5, "learner": 5}]
    wrong += [tmp_path / "other", tmp_path / "missing", None, 5, {"policy": good["policy"], "learner": {}}]
    for given in wrong:
        with pytest.raises(ModelFileError):
            model.set_parameters(given)
        assert equal(state_of(model), before)
    for given in ({**good, "more": 1}, {}):
        with pytest.raises(SettingsError, match="policy and learner"):
            model.set_parameters(given)
    model.learn(5)


@both
def test_a_policy_alone_is_neither_saved_nor_loaded(kind: Kind, tmp_path: Path) -> None:
    """SB3 would pickle it, and run what a file holds."""
    model = make(kind)
    with pytest.raises(SettingsError, match=r"save the model, model\.save"):
        model.policy.save(str(tmp_path / "policy"))
    for door in (model.policy.load, type(model.policy).load):
        with pytest.raises(SettingsError, match=r"SkillPriorSAC\.load\(path\)"):
            door(str(tmp_path / "policy"))
    assert list(tmp_path.iterdir()) == []


@both
def test_attributes_to_pickle_cannot_be_chosen(kind: Kind, tmp_path: Path) -> None:
    for given in ({"exclude": ["env"]}, {"include": ["env"]}):
        with pytest.raises(SettingsError, match="nothing is pickled here"):
            make(kind).save(tmp_path / "model", **given)  # type: ignore[arg-type]


# ---------------------------------------------------------------- replay


@both
@pytest.mark.parametrize("how", ["path", "open file"])
def test_a_replay_buffer_comes_back(kind: Kind, how: str, tmp_path: Path) -> None:
    """To the bit, its generator included, so that it samples alike."""
    model, other = make(kind).learn(20), make(kind, seed=1).learn(12)
    if how == "path":
        model.save_replay_buffer(tmp_path / "buffer")
        other.load_replay_buffer(tmp_path / "buffer", truncate_last_traj=False)
    else:
        memory = io.BytesIO()
        model.save_replay_buffer(memory)
        memory.seek(0)
        other.load_replay_buffer(memory, truncate_last_traj=False)
    own, theirs = model.replay_buffer.state(), other.replay_buffer.state()
    assert own.keys() == theirs.keys()
    assert all(np.array_equal(own[name], theirs[name]) for name in own)
    first, second = (each.replay_buffer.sample([0], 9, 0.9) for each in (model, other))
    assert th.equal(first.observations, second.observations)
    other.learn(10, reset_num_timesteps=False)


@both
def test_checkpoints_with_a_replay_buffer(kind: Kind, tmp_path: Path) -> None:
    """SB3 names it .pkl; it is none."""
    model = make(kind).learn(13, CheckpointCallback(10, str(tmp_path), save_replay_buffer=True))
    (path,) = tmp_path.glob("*replay_buffer*")
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(path.read_bytes())
    other = make(kind)
    other.load_replay_buffer(path)
    held = int(other.replay_buffer.written.sum())
    assert 0 < held <= model.replay_buffer.written.sum()


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@both
def test_a_foreign_replay_buffer_is_refused(kind: Kind, saved: dict[Kind, Path], tmp_path: Path) -> None:
    model = make(kind).learn(20)
    before = {name: np.array(value) for name, value in model.replay_buffer.state().items()}
    (tmp_path / "code.pkl").write_bytes(pickle.dumps(Code(tmp_path / "made by code")))
    np.savez(tmp_path / "code.npz", rows=np.array([Code(tmp_path / "made by code")], dtype=object))
    state = model.replay_buffer.state()
    np.savez(tmp_path / "nan.npz", **state | {"rows": state["rows"] * np.nan})  # type: ignore[arg-type]
    np.savez(tmp_path / "negative.npz", **state | {"written": state["written"] - 1000})  # type: ignore[arg-type]
    np.savez(tmp_path / "generator.npz", **state | {"generator": np.array("5")})  # type: ignore[arg-type]
    make(kind, buffer_size=7).save_replay_buffer(tmp_path / "small")
    names = ("code.pkl", "code.npz", "nan.npz", "negative.npz", "generator.npz", "small.npz", "missing")
    for given in (*(tmp_path / name for name in names), saved[kind], None, 5):
        with pytest.raises(ModelFileError):
            model.load_replay_buffer(given)
        after = model.replay_buffer.state()
        assert all(np.array_equal(before[name], after[name]) for name in before)
    assert not (tmp_path / "made by code").exists()


# ---------------------------------------------------------------- load


@both
def test_load_as_zoo_and_hub_call_it(kind: Kind, saved: dict[Kind, Path], capsys: pytest.CaptureFixture[str]) -> None:
    custom = {"learning_rate": 2e-4, "lr_schedule": lambda _: 0.0, "clip_range": lambda _: 0.0}
    model = kind.load(
        saved[kind], device="cpu", custom_objects=custom, print_system_info=True, env=wrapped(), force_reset=True
    )
    assert model.learning_rate == 2e-4
    assert "Stable-Baselines3" in capsys.readouterr().out
    with pytest.raises(SettingsError, match=r"^learning_rate is"):
        kind.load(saved[kind], custom_objects={"learning_rate": -1.0})


@both
def test_load_takes_the_policy_kwargs_of_the_file(kind: Kind, saved: dict[Kind, Path]) -> None:
    assert kind.load(saved[kind], policy_kwargs={"net_arch": [8]}, device="cpu").config.net_arch == (8,)
    with pytest.raises(ModelFileError, match="do not fit its settings"):
        kind.load(saved[kind], policy_kwargs={"net_arch": [9]})
    for wrong in ({"policy_kwargs": 5}, {"policy_kwargs": {"net": 1}}, {"custom_objects": 5}):
        with pytest.raises(SettingsError, match=r"policy_kwargs|custom_objects"):
            kind.load(saved[kind], **wrong)  # type: ignore[arg-type]


@both
def test_load_refuses_what_is_no_file_or_no_environment(kind: Kind, saved: dict[Kind, Path], tmp_path: Path) -> None:
    for path in (None, 5, tmp_path, tmp_path / "missing"):
        with pytest.raises(ModelFileError):
            kind.load(path)
    for env in ("SimplMaze-v0", 5, LineEnv):
        for door in (
            lambda env=env: kind.load(saved[kind], env=env),
            lambda env=env: kind.load(saved[kind]).set_env(env),
            lambda env=env: kind("MlpPolicy", env),
        ):
            with pytest.raises(EnvironmentSpecError, match=r"^env is "):
                door()
    with pytest.raises(EnvironmentSpecError, match="env is None"):
        kind("MlpPolicy", None)


# ---------------------------------------------------------------- policy classes


class Still(SkillPriorPolicy):
    """Always skill 0."""

    def predict(self, observation: Any, *args: Any, **kwargs: Any) -> Any:
        z, state = super().predict(observation, *args, **kwargs)
        return np.zeros_like(z), state


class StillPEARL(SkillPriorPEARLPolicy):
    def predict(self, observation: Any, *args: Any, **kwargs: Any) -> Any:
        z, state = super().predict(observation, *args, **kwargs)
        return np.zeros_like(z), state


OWN: dict[Kind, type] = {SkillPriorSAC: Still, SkillPriorPEARL: StillPEARL}


@both
def test_a_policy_class_of_ones_own_comes_back(kind: Kind, tmp_path: Path) -> None:
    model = kind(OWN[kind], wrapped(), **KINDS[kind]).learn(10)
    model.save(tmp_path / "model")
    for again in (
        kind.load(tmp_path / "model", device="cpu"),
        kind.load(tmp_path / "model", device="cpu", policy=OWN[kind]),
    ):
        assert type(again.policy) is OWN[kind]
        assert (again.predict(PROBE)[0] == 0.0).all()
        assert same_parameters(again.policy, model.policy)


@both
def test_a_policy_class_that_is_not_imported_is_asked_for(kind: Kind, tmp_path: Path) -> None:
    """A file never makes anything be imported."""
    hidden = type("Hidden", (OWN[kind],), {"__module__": "not_imported_anywhere"})
    kind(hidden, wrapped(), **KINDS[kind]).save(tmp_path / "model")
    hidden.__qualname__ = "Renamed"
    with pytest.raises(ModelFileError, match=r"not_imported_anywhere:Hidden, which is not imported.*policy=\.\.\."):
        kind.load(tmp_path / "model", device="cpu")
    assert type(kind.load(tmp_path / "model", device="cpu", policy=hidden).policy) is hidden


@both
@pytest.mark.parametrize("policy", ["CnnPolicy", None, dict, 5])
def test_what_is_no_policy_is_refused(kind: Kind, policy: Any) -> None:
    with pytest.raises(SettingsError, match=r"^policy is .*expected 'MlpPolicy' or a subclass of SkillPrior"):
        kind(policy, wrapped(), **KINDS[kind])


# ---------------------------------------------------------------- environments


@both
def test_rewards_may_be_normalised(kind: Kind, tmp_path: Path) -> None:
    """The frozen prior does not see them. From training to file and back."""
    env = VecNormalize(SkillVecEnv(line_envs(2), tiny_skills()), norm_obs=False)
    model = make(kind, env).learn(20)
    model.save(tmp_path / "model")
    again = kind.load(tmp_path / "model", env, device="cpu").learn(10)
    assert again.get_vec_normalize_env() is env
    assert env.ret_rms.count > 10


@both
def test_wrappers_that_change_what_the_prior_reads_are_refused(kind: Kind) -> None:
    for wrap, name in ((VecNormalize, "VecNormalize"), (lambda env: VecFrameStack(env, 2), "VecFrameStack")):
        with pytest.raises(SettingsError, match=name):
            make(kind, wrap(SkillVecEnv(line_envs(2), tiny_skills())))


@both
def test_another_number_of_environments(kind: Kind, saved: dict[Kind, Path]) -> None:
    """Refused by ``set_env``, which keeps the replay; ``load`` takes any."""
    env = SkillVecEnv(line_envs(3), tiny_skills())
    with pytest.raises(SettingsError, match="1 environments, given 3"):
        make(kind).set_env(env)
    assert kind.load(saved[kind], env, device="cpu").learn(12).n_envs == 3


# ---------------------------------------------------------------- copies


@both
def test_models_can_be_pickled_and_copied(kind: Kind) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    model = make(kind, SkillActionWrapper(LineEnv(), tiny_skills())).learn(20)
    for again in (
        pickle.loads(pickle.dumps(model)),
        pickle.loads(cloudpickle.dumps(model)),
        copy.deepcopy(model),
    ):
        assert equal(state_of(again), state_of(model))
        assert np.array_equal(acts(again), acts(model))
        assert again.gamma == model.gamma
        again.learn(5)


# ---------------------------------------------------------------- predict


@both
@pytest.mark.parametrize(
    "wrong",
    [np.zeros(3), np.zeros((4, 1)), np.zeros((2, 3)), np.zeros(4), np.zeros((2, 2, 2)), np.zeros(0), 1.0, "x", None]
    + [np.zeros((0, 2)), {"observation": np.zeros(2)}, th.zeros(3)],
    ids=lambda wrong: f"{type(wrong).__name__}{getattr(wrong, 'shape', '')}",
)
def test_predict_refuses_wrong_shapes(kind: Kind, wrong: Any) -> None:
    with pytest.raises(SettingsError, match=r"expected \(2,\) or \(n_envs, 2\)"):
        make(kind).predict(wrong)


@both
def test_predict_takes_what_sb3_takes(kind: Kind) -> None:
    model = make(kind)
    for given in ([0, 0], np.zeros(2), th.zeros(2)):
        assert model.predict(given)[0].shape == (SKILL_DIM,)  # type: ignore[arg-type]
    for batch in (np.zeros((3, 2)), [[0, 0]] * 3, th.zeros(3, 2)):
        z, _ = model.predict(batch, deterministic=True)  # type: ignore[arg-type]
        assert (z.shape, z.dtype) == ((3, SKILL_DIM), np.float32)
    assert model.policy(th.zeros(3, 2)).shape == (3, SKILL_DIM)


@both
def test_numbers_of_skills_to_learn(kind: Kind) -> None:
    assert make(kind).learn(np.int64(5)).num_timesteps >= 5
    assert make(kind).learn(5.0).num_timesteps >= 5  # type: ignore[arg-type]
    for wrong in (float("nan"), "x", True):
        with pytest.raises(SettingsError, match=r"^total_timesteps is"):
            make(kind).learn(wrong)  # type: ignore[arg-type]


@both
def test_a_task_that_a_wrapper_hides_is_refused(kind: Kind) -> None:
    env = DummyVecEnv([lambda: Monitor(SkillActionWrapper(LineEnv(), tiny_skills()))])
    model = make(kind, env=env)
    env.env_method("set_task", LineTask(2.0))
    model.learn(2)
    env.set_attr("task", LineTask(3.0))
    with pytest.raises(EnvironmentSpecError, match=r"wrapper Monitor.*env_method"):
        model.learn(2)


@both
def test_functions_as_callbacks(kind: Kind) -> None:
    calls: list[dict[str, Any]] = []

    def stop(seen: dict[str, Any], _: dict[str, Any]) -> bool:
        calls.append(seen)
        return len(calls) < 3

    assert make(kind).learn(100, stop).num_timesteps == 3
    assert {"infos", "dones", "rewards", "new_obs"} <= calls[-1].keys()
    with pytest.raises(SettingsError, match=r"^callback is 5"):
        make(kind).learn(10, 5)  # type: ignore[arg-type]


@both
def test_skills_of_another_environment(kind: Kind) -> None:
    with pytest.raises(SkillMismatchError):
        make(kind).set_env(wrapped(seed=1))
