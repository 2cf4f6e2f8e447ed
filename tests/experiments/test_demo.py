"""The demo, tiny: from the artefacts that come along, and from nothing."""

from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest
from envs_for_tests import tiny_skills
from videos_for_tests import decode

from simpl_envs import KITCHEN_TASK_SETS
from simpl_sb3 import PRESETS, PRETRAINED, SimplError, SkillPriorPEARL, make_skill_vec_env, preset
from simpl_sb3.errors import DrawingError
from simpl_sb3.experiments import demo
from simpl_sb3.results.rows import read_results
from simpl_sb3.results.traces import read_completions

pytestmark = pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")  # SB3's progress bar

TINY = replace(
    preset("maze-fast"),
    train_tasks="easy",
    test_tasks="random:1:0",
    n_trajectories=20,
    skill_updates=2,
    meta_timesteps=2100,  # the second iteration has posterior episodes
    extract={"encoder_hidden": (8,), "decoder_hidden": (8,), "prior_hidden": (8,), "batch_size": 8},
    meta_train={"gradient_steps": 1, "batch_size": 8, "net_arch": (8,), "encoder_width": 8},
    adapt={"n_exploration_episodes": 1, "initial_updates": 1, "train_freq": 50, "batch_size": 8},
    spirl={"n_exploration_episodes": 0, "train_freq": 50, "batch_size": 8, "net_arch": (8,)},
)
KITCHEN = replace(
    TINY,
    name="kitchen-fast",
    domain="kitchen",
    dataset_id="simpl/tiny-kitchen-v0",
    train_tasks="tiny",
    test_tasks="tiny",
    n_trajectories=2,
    meta_timesteps=40,
    collect={"noise": 0.1},
)
KITCHEN_STEPS = 12  # of an episode: drawing takes a while


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "maze-fast", TINY)
    monkeypatch.setitem(PRESETS, "kitchen-fast", KITCHEN)
    monkeypatch.setitem(KITCHEN_TASK_SETS, "tiny", KITCHEN_TASK_SETS["target"][:1])
    monkeypatch.setattr("simpl_sb3.experiments.filming.TAKES", 2)


@pytest.fixture
def short_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym.spec("SimplKitchen-v0"), "max_episode_steps", KITCHEN_STEPS)
    monkeypatch.setattr("simpl_envs.kitchen.env.MAX_EPISODE_STEPS", KITCHEN_STEPS)


@pytest.fixture
def untrained_kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Skills and a meta-policy that have learned nothing, in place of those that come along."""
    env = gym.make("SimplKitchen-v0")
    skills = tiny_skills(env.observation_space, env.action_space, horizon=10, skill_dim=4)  # type: ignore[arg-type]
    env.close()
    vec_env = make_skill_vec_env("SimplKitchen-v0", skills, 2)
    model = SkillPriorPEARL("MlpPolicy", vec_env, net_arch=(8,), encoder_width=8, seed=0, device="cpu")
    folder = tmp_path / "pretrained" / "kitchen-fast"
    model.save(folder / "model.zip")
    skills.save(folder / "skills.safetensors")
    vec_env.close()
    monkeypatch.setattr(demo, "PRETRAINED", folder.parent)
    return folder


def check_pictures(folder: Path) -> None:
    assert (folder / "report" / "index.html").stat().st_size > 1_000
    pictures = list((folder / "report" / "figures").glob("*.png"))
    assert pictures
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_it_ends_with_numbers_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "demo"
    demo.demo(output=output, n_episodes=2, spirl=False, device="cpu")
    text = capsys.readouterr().out
    assert "Using the meta-trained model" in text
    assert f"Page:     {output / 'report' / 'index.html'}" in text
    (file,) = read_results(output / "simpl.csv")
    assert [row.episode for row in file.rows] == [1, 2]
    check_pictures(output)
    with pytest.raises(SimplError, match="not empty"):
        demo.demo(output=output)


def check_film(folder: Path, episode_steps: int) -> None:
    text = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert 'src="data:video/mp4;base64,' in text
    assert "on task 5021, which no training saw: microwave, bottom burner, light switch, top burner." in text
    assert (folder / "simpl.mp4").read_bytes() == (folder / "report" / "figures" / "film.mp4").read_bytes()
    frames, _ = decode(folder / "simpl.mp4", 720, 480)
    assert len(frames) == 1 + episode_steps + 25
    assert frames[0, :, :480].std() > 20  # a kitchen, not a blank
    assert (frames[-1, :, :480].astype(int) - frames[0, :, :480]).std() > 5  # something moves


@pytest.mark.usefixtures("short_episodes", "untrained_kitchen")
def test_the_kitchen_ends_with_a_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "demo"
    demo.demo("kitchen", output=output, n_episodes=2, device="cpu")
    text = capsys.readouterr().out
    assert "2 episodes on each of the tiny tasks" in text
    assert "An agent after 2 episodes on task 5021, which no training saw" in text
    assert f"Film:     {output / 'simpl.mp4'}" in text
    check_pictures(output)
    check_film(output, KITCHEN_STEPS)
    for method in ("simpl", "spirl"):
        (file,) = read_results(output / f"{method}.csv")
        completions, _ = read_completions(output / f"{method}.npz")
        assert [row.env_steps for row in file.rows] == [KITCHEN_STEPS, 2 * KITCHEN_STEPS]
        assert [(row.task, row.episode) for row in file.rows] == [(one.task, one.episode) for one in completions]
        assert [row.episode_return for row in file.rows] == [(kept.rewarded > 0).sum() for kept in completions]
        assert list((output / "report" / "figures").glob(f"order-*-{method}-demo.png"))


@pytest.mark.usefixtures("short_episodes", "untrained_kitchen")
def test_without_a_camera_there_is_no_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def draw(*_: object) -> None:
        raise DrawingError("MuJoCo cannot draw here. Install EGL.")

    monkeypatch.setattr("simpl_envs.kitchen.env.SimplKitchenEnv.render", draw)
    demo.demo("kitchen", output=tmp_path / "demo", n_episodes=2, spirl=False, device="cpu")
    assert "No film: SimplKitchen-v0: MuJoCo cannot draw here. Install EGL.\n" in capsys.readouterr().out
    check_pictures(tmp_path / "demo")
    assert not list(tmp_path.rglob("*.mp4"))


def test_missing_artefacts_are_said_before_the_work(
    tmp_path: Path, untrained_kitchen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (untrained_kitchen / "model.zip").unlink()
    with pytest.raises(
        SimplError, match=r"No trained artefacts of kitchen-fast .*\(model\.zip missing\): give --from-s"
    ):
        demo.demo("kitchen", output=tmp_path / "demo")
    monkeypatch.setattr(demo, "PRETRAINED", tmp_path / "nothing")
    with pytest.raises(SimplError, match=r"\(model\.zip, skills\.safetensors missing\)"):
        demo.demo(output=tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_settings_are_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(SimplError, match="n_episodes is 0"):
        demo.demo(output=tmp_path / "demo", from_scratch=True, n_episodes=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_from_scratch_and_once_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for overwrite in (False, True):
        demo.demo(from_scratch=True, output=tmp_path / "demo", n_episodes=2, device="cpu", overwrite=overwrite)
    text = capsys.readouterr().out
    assert all(f"{step}/3 " in text for step in (1, 2, 3))
    trained = {path.name for path in (tmp_path / "demo" / "trained").rglob("*")}
    assert {path.name for path in (PRETRAINED / "maze-fast").iterdir()} - {"provenance.json"} <= trained
    check_pictures(tmp_path / "demo")


@pytest.mark.slow
@pytest.mark.usefixtures("short_episodes")
def test_the_kitchen_from_scratch(tmp_path: Path) -> None:
    demo.demo("kitchen", from_scratch=True, output=tmp_path / "demo", n_episodes=2, device="cpu")
    check_pictures(tmp_path / "demo")
    check_film(tmp_path / "demo", KITCHEN_STEPS)
    assert (tmp_path / "demo" / "report" / "figures" / "meta-training.png").exists()
