"""What a saved model holds, and corrupt or foreign files."""

import io
import json
import pickletools
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch as th
from algorithms_for_tests import KINDS, Kind, both, make, rewrite, rewrite_data, save_each, wrapped
from envs_for_tests import CountingEnv, LineEnv, LineTask, same_parameters, tiny_skills
from stable_baselines3 import PPO

from simpl_sb3.algorithms import files
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import DivergenceError, EnvironmentSpecError, ModelFileError, SimplError
from simpl_sb3.skills.wrapper import SkillActionWrapper


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    return save_each(tmp_path_factory.mktemp("models"))


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
        assert set(archive.namelist()) == {"data", "policy.pth", "learner.pth", "_stable_baselines3_version"}
        data = json.loads(archive.read("data"))
        for name in ("policy.pth", "learner.pth"):
            content = archive.read(name)
            th.load(io.BytesIO(content), weights_only=True)
            with zipfile.ZipFile(io.BytesIO(content)) as inner:
                (pickled,) = (inner.read(member) for member in inner.namelist() if member.endswith("data.pkl"))
            names = globals_of(pickled) - ALLOWED
            assert all(module == "torch" and name.endswith("Storage") for module, name in names), names
    assert (data["class"], data["schema_version"]) == (kind.__name__, 2)
    assert data["settings"]["net_arch"] == [8]


@both
def test_what_cannot_be_saved_leaves_the_file_that_was_there(kind: Kind, tmp_path: Path) -> None:
    """Weights that are NaN. No half-written file is left."""
    (tmp_path / "model.zip").write_bytes(b"before")
    model = make(kind)
    with th.no_grad():
        model.policy.actor.weights[0][0, 0, 0] = th.nan  # type: ignore[union-attr, index]
    with pytest.raises(DivergenceError, match=r"actor\.weights\.0 are NaN"):
        model.save(tmp_path / "model.zip")
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
    "no optimisers": without("learner.pth"),
    "truncated tensors": truncate,
    "tensors of other sizes": other_tensors,
    "data that is no JSON": not_json,
}


@both
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_a_corrupt_file_is_refused(kind: Kind, corruption: str, saved: dict[Kind, Path], tmp_path: Path) -> None:
    path = rewrite(saved[kind], tmp_path / "model.zip", CORRUPTIONS[corruption])
    with pytest.raises(ModelFileError, match=r"model\.zip"):
        kind.load(path, device="cpu")


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@both
@pytest.mark.parametrize("member", ["policy.pth", "learner.pth"])
def test_code_in_a_file_is_not_run(kind: Kind, member: str, saved: dict[Kind, Path], tmp_path: Path) -> None:
    content = io.BytesIO()
    th.save({"weights": Code(tmp_path / "made by code")}, content)
    path = rewrite(saved[kind], tmp_path / "model.zip", lambda members: members.update({member: content.getvalue()}))
    with pytest.raises(ModelFileError, match=r"model\.zip"):
        kind.load(path, device="cpu")
    assert not (tmp_path / "made by code").exists()


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


# ---------------------------------------------------------------- hostile files


def change_learner(source: Path, target: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    return change_tensors(source, target, "learner.pth", change)


def change_tensors(source: Path, target: Path, member: str, change: Callable[[dict[str, Any]], Any]) -> Path:
    def rewritten(members: dict[str, bytes]) -> None:
        state = th.load(io.BytesIO(members[member]), weights_only=True)
        change(state)
        content = io.BytesIO()
        th.save(state, content)
        members[member] = content.getvalue()

    return rewrite(source, target, rewritten)


@both
def test_moments_of_other_shapes_never_reach_the_fused_step(
    kind: Kind, saved: dict[Kind, Path], tmp_path: Path
) -> None:
    """It would write past their end."""

    def small(state: dict[str, Any]) -> None:
        for moments in state["optimizers"]["actor"]["state"].values():
            moments["exp_avg"], moments["exp_avg_sq"] = th.zeros(3), th.zeros(3)

    with pytest.raises(
        ModelFileError, match=r"model\.zip: .*optimiser 'actor'.*exp_avg of parameter 0.*expected a tensor"
    ):
        kind.load(change_learner(saved[kind], tmp_path / "model.zip", small), device="cpu")


@both
def test_rates_of_a_file_are_not_obeyed(kind: Kind, saved: dict[Kind, Path], tmp_path: Path) -> None:
    """A learning rate of NaN, betas that are text: the settings say what these are."""

    def hostile(state: dict[str, Any]) -> None:
        for optimizer in state["optimizers"].values():
            optimizer["param_groups"][0].update(lr=float("nan"), betas="x", eps=-1.0)

    model = kind.load(change_learner(saved[kind], tmp_path / "model.zip", hostile), wrapped(), device="cpu").learn(5)
    assert all(th.isfinite(parameter).all() for parameter in model.policy.parameters())


@both
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(
    kind: Kind, number: float, saved: dict[Kind, Path], tmp_path: Path
) -> None:
    for name in ("actor.weights.0", "critics_target.biases.0", "skills.decoder.layers.0.weight"):

        def spoil(state: dict[str, Any], name: str = name) -> None:
            key = name if name in state else next(key for key in state if key.startswith("skills.decoder"))
            state[key].view(-1)[0] = number

        path = change_tensors(saved[kind], tmp_path / "model.zip", "policy.pth", spoil)
        with pytest.raises(ModelFileError, match="NaN or infinite"):
            kind.load(path, device="cpu")


HUGE: dict[str, dict[str, Any]] = {
    "network": {"net_arch": [16384, 16384, 16384, 16384]},
    "a network beyond the range": {"net_arch": [10**9]},
    "a buffer": {"buffer_size": 10**12},
    "an encoder": {"encoder_width": 16384},
    "a latent": {"task_latent_dim": 16384},
    "a seed": {"seed": -1},
    "a rate": {"learning_rate": "x"},
    "a folder": {"tensorboard_log": "somewhere"},
    "words": {"verbose": 3},
    "layers of -1": {"net_arch": [-1]},
}


@both
@pytest.mark.parametrize("what", HUGE)
def test_settings_of_a_file_are_checked_before_memory_is_taken(
    kind: Kind, what: str, saved: dict[Kind, Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(saved[kind]) as archive:
        settings = json.loads(archive.read("data"))["settings"]
    path = rewrite_data(saved[kind], tmp_path / "model.zip", settings=settings | HUGE[what])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelFileError, match=r"model\.zip"):
        kind.load(path, device="cpu")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@both
@pytest.mark.parametrize("bound", [-1, 0, float("inf"), float("nan"), 1e30, [1.0]])
def test_bounds_that_are_none(kind: Kind, bound: Any, saved: dict[Kind, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"model\.zip"):
        kind.load(rewrite_data(saved[kind], tmp_path / "model.zip", action_bound=bound), device="cpu")


@both
@pytest.mark.parametrize("member", ["policy.pth", "learner.pth"])
@pytest.mark.parametrize("content", [[1, 2], 5, {}, {"policy": th.zeros(3)}], ids=str)
def test_members_that_are_something_else(
    kind: Kind, member: str, content: Any, saved: dict[Kind, Path], tmp_path: Path
) -> None:
    written = io.BytesIO()
    th.save(content, written)
    path = rewrite(saved[kind], tmp_path / "model.zip", lambda members: members.update({member: written.getvalue()}))
    with pytest.raises(ModelFileError, match=r"model\.zip"):
        kind.load(path, device="cpu")


@both
def test_a_zip_bomb_is_not_unpacked(
    kind: Kind, saved: dict[Kind, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_MEMBER_BYTES", {**files.MAX_MEMBER_BYTES, "policy.pth": 1000})
    with pytest.raises(ModelFileError, match=r"policy\.pth unpacks to"):
        kind.load(saved[kind], device="cpu")


@both
def test_the_refusal_of_a_pickle_gives_no_advice(kind: Kind, saved: dict[Kind, Path], tmp_path: Path) -> None:
    """Torch would advise to run what the file holds."""
    content = io.BytesIO()
    th.save({"weights": Code(tmp_path / "made by code")}, content)
    path = rewrite(
        saved[kind], tmp_path / "model.zip", lambda members: members.update({"policy.pth": content.getvalue()})
    )
    with pytest.raises(ModelFileError) as caught:
        kind.load(path, device="cpu")
    assert "weights_only" not in str(caught.value)


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


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
@both
def test_a_compiled_policy_is_saved_as_the_policy_that_it_is(kind: Kind, tmp_path: Path) -> None:
    model = make(kind)
    expected = {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}
    model.policy = th.compile(model.policy)  # nothing is compiled before it is called
    assert any(name.startswith("_orig_mod.") for name in model.policy.state_dict())
    model.save(tmp_path / "compiled")
    again = kind.load(tmp_path / "compiled", device="cpu")
    assert all(th.equal(tensor, expected[name]) for name, tensor in again.policy.state_dict().items())


@pytest.mark.parametrize("name", [[], {}, [[1]], 3])
def test_a_policy_class_that_is_no_text(name: Any, tmp_path: Path) -> None:
    make(SkillPriorSAC).save(tmp_path / "model")
    broken = rewrite_data(tmp_path / "model.zip", tmp_path / "broken.zip", policy_class=name)
    with pytest.raises(ModelFileError, match=r"names the policy class .*expected a text"):
        SkillPriorSAC.load(broken)


def test_skills_in_place_of_a_model_are_told(tmp_path: Path) -> None:
    tiny_skills().save(tmp_path / "skills.safetensors")
    with pytest.raises(ModelFileError, match=r"This is a file of skills: SkillModel\.load, or --method spirl"):
        SkillPriorPEARL.load(tmp_path / "skills.safetensors")


def test_diverged_numbers_are_not_the_environments_fault() -> None:
    model = make(SkillPriorSAC)
    with th.no_grad():
        for parameter in model.policy.actor.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(DivergenceError, match=r"The policy's skills are NaN: the learning diverged"):
        model.learn(4)


@both
@pytest.mark.parametrize("part", ["policy", "actor"])
def test_a_compiled_policy_gives_and_takes_parameters(kind: Kind, part: str, tmp_path: Path) -> None:
    plain, compiled = make(kind), make(kind, seed=1)
    if part == "policy":
        compiled.policy = th.compile(compiled.policy)
    else:
        compiled.policy.actor = th.compile(compiled.policy.actor)
    plain.save(tmp_path / "plain")
    for given in (tmp_path / "plain", plain.get_parameters()):
        compiled.set_parameters(given)
    again = make(kind, seed=2)
    again.set_parameters(compiled.get_parameters())
    assert same_parameters(again.policy, plain.policy)
    again = make(kind, seed=2)
    again.set_parameters({"policy": compiled.policy.state_dict()}, exact_match=False)
    assert same_parameters(again.policy, plain.policy)
