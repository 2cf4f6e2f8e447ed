"""Up and down again, against a stand-in of the hub on this machine."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
from algorithms_for_tests import KINDS, Kind, make
from envs_for_tests import tiny_skills
from hub_for_tests import StandIn, only_hub
from reports_for_tests import MAZE, make_rows

from simpl_sb3 import PRETRAINED, SkillModel, SkillPriorPEARL, load_from_hub, push_to_hub
from simpl_sb3.algorithms.base import SkillAlgorithm
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import HubError, ModelFileError, SettingsError
from simpl_sb3.experiments.cli import main
from simpl_sb3.hub import sharing
from simpl_sb3.results.rows import write_results

REPO = "user/maze"
MAZE_FAST = PRETRAINED / "maze-fast"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how huggingface_hub sends a file


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    with only_hub(monkeypatch, tmp_path) as running:
        yield running


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows" / "simpl.csv"
    write_results(path, make_rows("simpl", MAZE, 0.7), {}, command="simpl-sb3 adapt --seed 0")
    return path


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """huggingface_hub asks a broken server five times more, some twenty seconds in all; here without waiting."""
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


def same_actions(one: SkillAlgorithm, other: SkillAlgorithm, observations: np.ndarray) -> None:
    def actions(model: SkillAlgorithm) -> tuple:
        model.set_random_seed(0)  # SkillPriorPEARL explores
        return model.predict(observations)

    for mine, its in zip(actions(one), actions(other), strict=True):
        np.testing.assert_equal(mine, its)


# ------------------------------------------------------------ there and back


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_comes_back_equal(kind: Kind, hub: StandIn) -> None:
    model = make(kind).learn(20)
    address = model.push_to_hub(REPO)
    repository = hub.repositories[REPO]
    assert address == f"{hub.endpoint}/{REPO}/commit/{repository.head}"
    assert len(repository.commits) == 2  # the empty one and ours
    assert set(repository.files) == {"model.zip", "skills.safetensors", "provenance.json", "README.md"}
    loaded = kind.load_from_hub(REPO, device="cpu")
    same_actions(model, loaded, model.observation_space.sample()[None])
    assert loaded.settings() == model.settings()
    skills = SkillModel.load(load_from_hub(REPO, "skills.safetensors"))
    assert skills.settings == model.skills.settings


def test_settings_and_environment_are_taken_as_by_load(hub: StandIn) -> None:
    model = make(SkillPriorSAC)
    model.push_to_hub(REPO)
    loaded = SkillPriorSAC.load_from_hub(REPO, env=model.get_env(), device="cpu", batch_size=4)
    assert loaded.config.batch_size == 4
    loaded.learn(20)


def test_what_comes_along_can_be_pushed(hub: StandIn, rows: Path, tmp_path: Path) -> None:
    """Files of an earlier release get their seal; the card has the numbers of provenance and rows."""
    film = tmp_path / "film.mp4"
    film.write_bytes(b"\0" * 100)
    push_to_hub(MAZE_FAST, REPO, results=[rows], video=film, license_name="mit", commit_message="Of the release")
    repository = hub.repositories[REPO]
    assert repository.messages[-1] == "Of the release"
    assert {"replay.mp4", "simpl_sb3_results/simpl.csv", "simpl_sb3_results/simpl.json"} <= set(repository.files)
    assert json.loads(repository.files["provenance.json"]) == json.loads((MAZE_FAST / "provenance.json").read_text())
    card = repository.files["README.md"].decode()
    assert "license: mit" in card
    assert "simpl-sb3 meta-train --domain maze --preset fast" in card
    assert "success rate at episode 20" in card
    model = SkillPriorPEARL.load(MAZE_FAST / "model.zip", device="cpu")
    loaded = SkillPriorPEARL.load_from_hub(REPO, device="cpu")
    same_actions(model, loaded, np.zeros((2, 4), np.float32))


def test_skills_alone(hub: StandIn, tmp_path: Path) -> None:
    skills = tiny_skills()
    push_to_hub(skills, REPO)
    assert set(hub.repositories[REPO].files) == {"skills.safetensors", "provenance.json", "README.md"}
    assert SkillModel.load(load_from_hub(REPO, "skills.safetensors")).settings == skills.settings
    skills.save(tmp_path / "skills.safetensors")
    push_to_hub(tmp_path, "user/again")
    assert hub.repositories["user/again"].files["skills.safetensors"] == (tmp_path / "skills.safetensors").read_bytes()


def test_a_later_push_replaces_the_whole_earlier_one(hub: StandIn, rows: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"\0" * 100)
    make(SkillPriorSAC).push_to_hub(REPO, results=[rows], video=film)
    repository = hub.repositories[REPO]
    first = repository.head
    repository.commits[first]["notes.txt"] = b"mine"
    push_to_hub(tiny_skills(), REPO)
    assert set(repository.files) == {"skills.safetensors", "provenance.json", "README.md", "notes.txt"}
    assert SkillPriorSAC.load_from_hub(REPO, revision=first, device="cpu").skills.horizon


def test_provenance(hub: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(SkillPriorSAC).save(tmp_path / "run" / "model.zip")
    push_to_hub("run/model.zip", REPO)
    made = json.loads(hub.repositories[REPO].files["provenance.json"])
    assert (made["stage"], made["settings"]["batch_size"]) == ("push", 8)
    (tmp_path / "run" / "run.json").write_text(json.dumps({"stage": "meta-train", "log": "/somewhere/else/log"}))
    push_to_hub("run", REPO)
    assert json.loads(hub.repositories[REPO].files["provenance.json"]) == {"stage": "meta-train", "log": ".../log"}
    push_to_hub("run", REPO, provenance={"stage": "by hand"})
    assert json.loads(hub.repositories[REPO].files["provenance.json"]) == {"stage": "by hand"}
    (tmp_path / "run" / "run.json").write_text("[1]")
    with pytest.raises(SettingsError, match=r"run\.json is no provenance"):
        push_to_hub("run", REPO)


def test_the_verb_push(hub: StandIn, rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["push", str(MAZE_FAST), "--repo", REPO, "--results", str(rows), "--license", "mit"])
    assert f"Uploaded: {hub.endpoint}/{REPO}/commit/" in capsys.readouterr().out
    assert SkillPriorPEARL.load_from_hub(REPO, device="cpu").policy is not None


# ------------------------------------------------------------ what is refused before anything is sent


def test_sources_that_are_no_models(hub: StandIn, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"1")
    for source, message in ((tmp_path, "holds neither"), (tmp_path / "model.pkl", "is no model")):
        with pytest.raises(ModelFileError, match=message):
            push_to_hub(source, REPO)
    with pytest.raises(SettingsError, match="was given a int"):
        push_to_hub(3, REPO)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="expected an MP4"):
        push_to_hub(MAZE_FAST, REPO, video=tmp_path / "film.mp4")
    assert not hub.requests


def test_two_results_of_one_name(hub: StandIn, rows: Path, tmp_path: Path) -> None:
    shutil.copytree(rows.parent, tmp_path / "more")
    with pytest.raises(SettingsError, match=r"Two results are named simpl\.csv"):
        push_to_hub(MAZE_FAST, REPO, results=[rows, tmp_path / "more"])
    assert not hub.requests


@pytest.mark.parametrize("name", ["replay_buffer.pkl", "vec_normalize.pkl", "policy.pth", "args.yml", "custom.py"])
def test_other_kinds_are_not_even_downloaded(hub: StandIn, name: str) -> None:
    hub.repository(REPO).commit({name: b"1"}, "")
    with pytest.raises(ModelFileError, match="other kinds can hold code"):
        load_from_hub(REPO, name)
    assert not hub.requests


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(sharing, "import_module", absent)
    for call in (lambda: push_to_hub(MAZE_FAST, REPO), lambda: load_from_hub(REPO)):
        with pytest.raises(SettingsError, match=r"pip install 'simpl-sb3\[hub\]'"):
            call()


# ------------------------------------------------------------ what comes down


def test_a_damaged_download_is_refused_and_forgotten(hub: StandIn) -> None:
    model = make(SkillPriorSAC)
    model.push_to_hub(REPO)
    hub.damage = 100
    with pytest.raises(ModelFileError, match="damaged"):
        SkillPriorSAC.load_from_hub(REPO, device="cpu")
    hub.damage = None
    assert SkillPriorSAC.load_from_hub(REPO, device="cpu").settings() == model.settings()


def test_a_pinned_file(hub: StandIn) -> None:
    make(SkillPriorSAC).push_to_hub(REPO)
    repository = hub.repositories[REPO]
    digest = hashlib.sha256(repository.files["model.zip"]).hexdigest()
    commit = repository.head
    make(SkillPriorSAC, batch_size=5).push_to_hub(REPO)
    with pytest.raises(ModelFileError, match=f"expected {digest}"):
        load_from_hub(REPO, sha256=digest)
    assert load_from_hub(REPO, sha256=digest, revision=commit).is_file()
    assert SkillPriorSAC.load_from_hub(REPO, revision=commit, device="cpu").config.batch_size == 8


def test_a_pickle_is_refused(hub: StandIn, tmp_path: Path) -> None:
    from stable_baselines3 import SAC

    SAC("MlpPolicy", "Pendulum-v1", buffer_size=10).save(tmp_path / "model.zip")
    hub.repository(REPO).commit({"model.zip": (tmp_path / "model.zip").read_bytes()}, "")
    with pytest.raises(ModelFileError, match="expected a model that save wrote"):
        load_from_hub(REPO)


def test_another_algorithm_is_refused(hub: StandIn) -> None:
    make(SkillPriorSAC).push_to_hub(REPO)
    with pytest.raises(ModelFileError, match="holds a SkillPriorSAC: expected a SkillPriorPEARL"):
        SkillPriorPEARL.load_from_hub(REPO)


def test_the_cache_serves_without_network(hub: StandIn) -> None:
    make(SkillPriorSAC).push_to_hub(REPO)
    first = load_from_hub(REPO)
    hub.fails = 503
    assert load_from_hub(REPO) == first


# ------------------------------------------------------------ errors of the hub are one message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_from_hub("user/other"), "user/other: the hub has no such repository, or it is private"),
        (lambda: load_from_hub(REPO, "other.zip"), r"it has no file other\.zip"),
        (lambda: load_from_hub(REPO, revision="v9"), "it has no such revision"),
        (lambda: load_from_hub("a/b/c"), "is no name of a repository: expected user/name"),
        (lambda: push_to_hub(MAZE_FAST, "maze"), "is no name of a repository: expected user/name"),
        (lambda: load_from_hub("user/--maze"), "it is no name of a repository: expected user/name"),
        (lambda: push_to_hub(MAZE_FAST, "user/new", token="hf_wrong"), r"the hub refuses \(401\)"),
    ],
)
def test_wrong_requests(hub: StandIn, call, message: str) -> None:
    hub.repository(REPO)
    with pytest.raises(HubError, match=message) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1


def test_without_a_token(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="There is no token for the hub"):
        push_to_hub(MAZE_FAST, REPO)
    assert not hub.requests


def test_a_failed_commit_leaves_what_stood(hub: StandIn, at_once: None) -> None:
    make(SkillPriorSAC).push_to_hub(REPO)
    before = hub.repositories[REPO].head
    for status, message in ((500, r"answered with an error \(500"), (412, "someone else committed at the same time")):
        hub.fails_on_commit = status
        with pytest.raises(HubError, match=message):
            make(SkillPriorSAC, batch_size=5).push_to_hub(REPO)
    assert hub.repositories[REPO].head == before


def test_a_broken_server(hub: StandIn, at_once: None, capsys: pytest.CaptureFixture[str]) -> None:
    hub.fails = 500
    with pytest.raises(HubError, match=r"answered with an error \(500"):
        load_from_hub(REPO)
    with pytest.raises(SystemExit):
        main(["push", str(MAZE_FAST), "--repo", REPO])
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if line.startswith("simpl-sb3: ")]) == 1


def test_no_network(hub: StandIn, at_once: None) -> None:
    nowhere = "http://127.0.0.1:9"  # where nothing listens
    with pytest.raises(HubError, match="the hub cannot be reached"):
        push_to_hub(MAZE_FAST, REPO, endpoint=nowhere)
    with pytest.raises(HubError, match=r"the hub cannot be reached, and model\.zip is not in the cache"):
        load_from_hub(REPO, endpoint=nowhere)
