"""What both algorithms share: skills found through the wrapper, and files that hold no code, whole or not at all."""

import io
import json
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from envs_for_tests import SKILL_DIM, CountingEnv, LineEnv, LineTask, line_envs, same_parameters, tiny_skills
from gymnasium.spaces import Box
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from simpl_sb3.errors import EnvironmentSpecError, ModelFileError, SettingsError, SimplError, SkillMismatchError
from simpl_sb3.skill_algorithm import SkillAlgorithm, same_skills
from simpl_sb3.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.skill_prior_sac import SkillPriorSAC
from simpl_sb3.vec_env import SkillVecEnv
from simpl_sb3.wrappers import SkillActionWrapper

SAC: dict[str, Any] = {"net_arch": (8,), "batch_size": 8, "buffer_size": 100, "seed": 0, "device": "cpu"}
PEARL: dict[str, Any] = {
    **SAC,
    "gradient_steps": 1,
    "context_buffer_size": 100,
    "task_latent_dim": 2,
    "encoder_width": 8,
    "context_sizes": (2, 8),
    "tasks_per_update": (1, 2),
}
KINDS: dict[type[SkillAlgorithm], dict[str, Any]] = {SkillPriorSAC: SAC, SkillPriorPEARL: PEARL}

both = pytest.mark.parametrize("kind", KINDS)
Kind = type[SkillAlgorithm]


def wrapped(**arguments: Any) -> SkillActionWrapper:
    return SkillActionWrapper(LineEnv(), tiny_skills(**arguments))


def make(kind: Kind, env: Any = None, **settings: Any) -> SkillAlgorithm:
    return kind("MlpPolicy", wrapped() if env is None else env, **(KINDS[kind] | settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    """A file of each kind, of a model that has learned a little."""
    folder = tmp_path_factory.mktemp("models")
    for kind in KINDS:
        make(kind).learn(20).save(folder / kind.__name__)
    return {kind: folder / f"{kind.__name__}.zip" for kind in KINDS}


def rewrite(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of a model file with other members."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def rewrite_data(source: Path, target: Path, **changes: Any) -> Path:
    def change(members: dict[str, bytes]) -> None:
        data = json.loads(members["data"]) | changes
        members["data"] = json.dumps({key: value for key, value in data.items() if value is not ...}).encode()

    return rewrite(source, target, change)


# ---------------------------------------------------------------- environments that fit, and that do not


@both
def test_skills_are_found_through_wrappers(kind: Kind) -> None:
    env = gym.wrappers.TimeLimit(wrapped(), 5)
    model = make(kind, env)
    assert model.skills is env.get_wrapper_attr("skills")
    assert same_skills(model.policy.skills, model.skills)  # type: ignore[arg-type]
    assert make(kind, SkillVecEnv(line_envs(2), env.get_wrapper_attr("skills"))).n_envs == 2


@both
@pytest.mark.parametrize("env", [LineEnv(), DummyVecEnv([LineEnv])], ids=["single", "many"])  # type: ignore[list-item]
def test_an_environment_without_skills_is_refused(kind: Kind, env: Any) -> None:
    with pytest.raises(EnvironmentSpecError, match=r"SkillActionWrapper\(env, skills\)"):
        make(kind, env)


@both
def test_vec_normalize_is_refused(kind: Kind) -> None:
    with pytest.raises(SettingsError, match="VecNormalize"):
        make(kind, VecNormalize(SkillVecEnv(line_envs(2), tiny_skills())))


@both
def test_learning_without_an_environment_is_refused(kind: Kind, saved: dict[Kind, Path]) -> None:
    with pytest.raises(SettingsError, match="set_env"):
        kind.load(saved[kind], device="cpu").learn(1)


@both
def test_set_env(kind: Kind, saved: dict[Kind, Path]) -> None:
    """As the message says that one should: after loading without an environment."""
    model = kind.load(saved[kind], device="cpu")
    assert model.env is None
    model.set_env(SkillActionWrapper(LineEnv(), model.skills))
    before = model.num_timesteps
    model.learn(10, reset_num_timesteps=False)
    assert model.num_timesteps > before


class WiderBox(gym.ObservationWrapper[Any, Any, Any]):
    """The same observations in a larger space than the demonstrations had."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = Box(-99.0, 99.0, (2,), np.float32)

    def observation(self, observation: Any) -> Any:
        return observation


@both
def test_the_bounds_of_observations_may_differ_from_the_demonstrations(kind: Kind, saved: dict[Kind, Path]) -> None:
    model = kind.load(saved[kind], device="cpu")
    env = SkillActionWrapper(WiderBox(LineEnv()), model.skills)
    model.set_env(env)
    model.learn(3)
    kind.load(saved[kind], env, device="cpu").learn(3)


MISFITS: dict[str, Callable[[], gym.Env[Any, Any]]] = {
    "other weights": lambda: wrapped(seed=1),
    "other sizes": lambda: wrapped(decoder_hidden=(9,)),
    "another horizon": lambda: wrapped(horizon=5),
    "another skill dimension": lambda: wrapped(skill_dim=SKILL_DIM + 1),
    "another bound": lambda: SkillActionWrapper(LineEnv(), tiny_skills(), bound=2.0),
}


@both
@pytest.mark.parametrize("misfit", MISFITS)
@pytest.mark.parametrize("how", ["load", "set_env"])
def test_an_environment_of_other_skills_is_refused(kind: Kind, misfit: str, how: str, saved: dict[Kind, Path]) -> None:
    """The policy speaks to the decoder that it was trained with, and to no other."""
    env = MISFITS[misfit]()
    with pytest.raises(SkillMismatchError):
        kind.load(saved[kind], env, device="cpu") if how == "load" else kind.load(saved[kind], device="cpu").set_env(
            env
        )


@both
@pytest.mark.parametrize("how", ["load", "set_env"])
def test_a_loaded_model_refuses_an_environment_without_skills(kind: Kind, how: str, saved: dict[Kind, Path]) -> None:
    with pytest.raises(EnvironmentSpecError):
        kind.load(saved[kind], LineEnv(), device="cpu") if how == "load" else kind.load(
            saved[kind], device="cpu"
        ).set_env(LineEnv())


# ---------------------------------------------------------------- save and load


@both
def test_save_load_same_action(kind: Kind, saved: dict[Kind, Path]) -> None:
    model = make(kind).learn(20)
    again = kind.load(saved[kind], device="cpu")
    assert same_parameters(model.policy, again.policy)
    for name, optimizer in model.optimizers.items():
        states = optimizer.state_dict()["state"], again.optimizers[name].state_dict()["state"]
        assert all(th.equal(states[0][i][key], states[1][i][key]) for i in states[0] for key in states[0][i])
    observations = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    for deterministic in (True, False):
        acted = []
        for one in (model, again):
            th.manual_seed(0)
            acted.append(one.predict(observations, deterministic=deterministic)[0])
        assert np.array_equal(*acted)
    assert (again.num_timesteps, again._n_updates) == (model.num_timesteps, model._n_updates)
    assert again._settings() == model._settings()


@both
def test_a_loaded_model_goes_on(kind: Kind, saved: dict[Kind, Path]) -> None:
    model = kind.load(saved[kind], SkillVecEnv(line_envs(3), tiny_skills()), device="cpu")
    assert model.n_envs == 3
    before, updates = model.num_timesteps, model._n_updates
    model.learn(30, reset_num_timesteps=False)
    assert model.num_timesteps >= before + 30
    assert model._n_updates > updates


@both
def test_settings_can_be_replaced_when_loading(kind: Kind, saved: dict[Kind, Path]) -> None:
    model = kind.load(saved[kind], device="cpu", gamma=0.5, batch_size=3, verbose=0)
    assert (model.gamma, model.batch_size) == (0.5, 3)
    with pytest.raises(SettingsError, match="gama"):
        kind.load(saved[kind], device="cpu", gama=0.5)


@both
def test_load_gives_the_skills_too(kind: Kind, saved: dict[Kind, Path]) -> None:
    """So that an environment can be made from the file alone."""
    model = kind.load(saved[kind], device="cpu")
    assert same_skills(model.skills, tiny_skills())
    assert not model.skills.training
    kind.load(saved[kind], SkillActionWrapper(LineEnv(), model.skills), device="cpu")


@both
def test_paths_as_sb3_takes_them(kind: Kind, tmp_path: Path) -> None:
    model = make(kind)
    model.save(str(tmp_path / "deep" / "folder" / "model"))
    assert (tmp_path / "deep" / "folder" / "model.zip").is_file()
    for path in (tmp_path / "deep" / "folder" / "model", str(tmp_path / "deep" / "folder" / "model.zip")):
        assert same_parameters(kind.load(path, device="cpu").policy, model.policy)
    with (tmp_path / "open.zip").open("wb") as file:
        model.save(file)
    with (tmp_path / "open.zip").open("rb") as file:
        assert same_parameters(kind.load(file, device="cpu").policy, model.policy)
    memory = io.BytesIO()
    model.save(memory)
    memory.seek(0)
    assert same_parameters(kind.load(memory, device="cpu").policy, model.policy)


@both
def test_settings_survive(kind: Kind, tmp_path: Path) -> None:
    """Lists come back as what they were."""
    changed = {"n_steps": 3, "gamma_per_env_step": True, "net_arch": (5, 6), "multipliers_only_grow": False, "tau": 0.5}
    changed |= {"train_freq": 4} if kind is SkillPriorSAC else {"task_encoder": "set-transformer", "hindsight": False}
    model = make(kind, **changed)
    model.save(tmp_path / "model.zip")
    again = kind.load(tmp_path / "model.zip", device="cpu")
    assert again._settings() == model._settings()
    assert again._settings() | changed == again._settings()
    assert again.net_arch == (5, 6)  # type: ignore[attr-defined]


def test_a_training_frequency_in_episodes_survives(tmp_path: Path) -> None:
    model = make(SkillPriorSAC, train_freq=(1, "episode"))
    model.save(tmp_path / "model.zip")
    assert SkillPriorSAC.load(tmp_path / "model.zip", device="cpu").train_freq == model.train_freq


# ---------------------------------------------------------------- what a file holds


ALLOWED = {("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2")}


def globals_of(content: bytes) -> set[tuple[str, str]]:
    """Names that unpickling would import."""
    found, texts = set(), []
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("BINUNICODE", "SHORT_BINUNICODE", "UNICODE"):
            texts.append(argument)
        if opcode.name == "GLOBAL":
            module, name = argument.split(" ")
            found.add((module, name))
        if opcode.name == "STACK_GLOBAL":
            found.add((texts[-2], texts[-1]))
    return found


@both
def test_no_code_is_pickled(kind: Kind, saved: dict[Kind, Path]) -> None:
    """``data`` is JSON; the others hold tensors that ``weights_only`` loads, and name only torch's storages."""
    with zipfile.ZipFile(saved[kind]) as archive:
        assert set(archive.namelist()) == {"data", "policy.pth", "optimizers.pth", "_stable_baselines3_version"}
        data = json.loads(archive.read("data"))
        for name in ("policy.pth", "optimizers.pth"):
            content = archive.read(name)
            th.load(io.BytesIO(content), weights_only=True)
            with zipfile.ZipFile(io.BytesIO(content)) as inner:
                (pickled,) = (inner.read(member) for member in inner.namelist() if member.endswith("data.pkl"))
            names = globals_of(pickled) - ALLOWED
            assert all(module == "torch" and name.endswith("Storage") for module, name in names), names
    assert (data["class"], data["schema_version"]) == (kind.__name__, 1)
    assert data["settings"]["net_arch"] == [8]


@both
def test_only_plain_data_is_saved(kind: Kind, tmp_path: Path) -> None:
    """A function would need a pickle. What was there stays, and no half-written file is left."""
    (tmp_path / "model.zip").write_bytes(b"before")
    with pytest.raises(SettingsError, match="plain data"):
        make(kind, learning_rate=lambda progress: 1e-3 * progress).save(tmp_path / "model.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]
    assert (tmp_path / "model.zip").read_bytes() == b"before"


@both
def test_an_interrupted_write_leaves_the_old_file(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(kind)
    model.save(tmp_path / "model.zip")
    before = (tmp_path / "model.zip").read_bytes()

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(KeyboardInterrupt):
            model.save(tmp_path / "model.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]
    assert (tmp_path / "model.zip").read_bytes() == before


# ---------------------------------------------------------------- corrupt and foreign files


def without(name: str) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.pop(name) and None


def truncate(members: dict[str, bytes]) -> None:
    members["policy.pth"] = members["policy.pth"][:-500]


def evil(members: dict[str, bytes]) -> None:
    """A pickle that would run code."""
    members["policy.pth"] = b"cos\nsystem\n(S'exit 1'\ntR."


def other_tensors(members: dict[str, bytes]) -> None:
    state = th.load(io.BytesIO(members["policy.pth"]), weights_only=True)
    content = io.BytesIO()
    th.save({name: th.zeros(3) for name in state}, content)
    members["policy.pth"] = content.getvalue()


def not_json(members: dict[str, bytes]) -> None:
    members["data"] = b"{"


CORRUPTIONS: dict[str, Callable[[dict[str, bytes]], None]] = {
    "no data": without("data"),
    "no tensors": without("policy.pth"),
    "no optimisers": without("optimizers.pth"),
    "truncated tensors": truncate,
    "a pickle with code": evil,
    "tensors of other sizes": other_tensors,
    "data that is no JSON": not_json,
}


@both
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_corrupt_file_is_refused(kind: Kind, corruption: str, saved: dict[Kind, Path], tmp_path: Path) -> None:
    path = rewrite(saved[kind], tmp_path / "model.zip", CORRUPTIONS[corruption])
    with pytest.raises(ModelFileError, match=r"model\.zip"):
        kind.load(path, device="cpu")


WRONG_DATA: dict[str, dict[str, Any]] = {
    "another class": {"class": "PPO"},
    "a newer schema": {"schema_version": 99},
    "no schema": {"schema_version": "new"},
    "no settings": {"settings": ...},
    "an unknown setting": {"settings": {"colour": "red"}},
    "settings of another type": {"settings": [1, 2]},
    "no skills": {"skills": ...},
    "foreign skills": {"skills": {"legs": 4}},
    "no bound": {"action_bound": ...},
    "a bound that is no number": {"action_bound": "wide"},
}


@both
@pytest.mark.parametrize("wrong", WRONG_DATA)
def test_a_file_with_wrong_data_is_refused(kind: Kind, wrong: str, saved: dict[Kind, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        kind.load(rewrite_data(saved[kind], tmp_path / "model.zip", **WRONG_DATA[wrong]), device="cpu")


@both
def test_foreign_files_are_refused(kind: Kind, saved: dict[Kind, Path], tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("not a zip file")
    (tmp_path / "empty.zip").write_bytes(b"")
    half = saved[kind].read_bytes()
    (tmp_path / "half.zip").write_bytes(half[: len(half) // 2])
    PPO("MlpPolicy", wrapped(), n_steps=8, batch_size=4, device="cpu").save(tmp_path / "ppo.zip")
    tiny_skills().save(tmp_path / "skills.zip")
    (other,) = KINDS.keys() - {kind}
    paths = [
        tmp_path / name
        for name in ("text.zip", "empty.zip", "half.zip", "ppo.zip", "skills.zip", "missing.zip", "missing")
    ]
    for path in [*paths, saved[other]]:
        with pytest.raises(ModelFileError, match=path.stem):
            kind.load(path, device="cpu")
    assert issubclass(ModelFileError, SimplError)


def test_errors_say_what_was_expected(saved: dict[Kind, Path]) -> None:
    with pytest.raises(ModelFileError, match="holds a SkillPriorPEARL: expected a SkillPriorSAC"):
        SkillPriorSAC.load(saved[SkillPriorPEARL])


def test_tasks_of_another_environment_are_refused_when_loading(saved: dict[Kind, Path]) -> None:
    env = SkillActionWrapper(LineEnv(train_tasks=(LineTask(1.0),)), tiny_skills())
    with pytest.raises(EnvironmentSpecError, match="was trained on the tasks"):
        SkillPriorPEARL.load(saved[SkillPriorPEARL], env, device="cpu")


def test_counting_environments_have_no_tasks_for_meta_training() -> None:
    with pytest.raises(EnvironmentSpecError, match="no tasks"):
        make(SkillPriorPEARL, SkillActionWrapper(CountingEnv(), tiny_skills()))
