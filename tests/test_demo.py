"""The demo, tiny: from the artefacts that come along, and from nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from simpl_sb3 import PRETRAINED, SimplError, demo, preset
from simpl_sb3.results import read_results

TINY = replace(
    preset("maze-fast"),
    train_tasks="easy",
    test_tasks="random:1:0",
    n_trajectories=20,
    skill_updates=2,
    meta_timesteps=1001,  # the second iteration has posterior episodes
    extract={"encoder_hidden": (8,), "decoder_hidden": (8,), "prior_hidden": (8,), "batch_size": 8},
    meta_train={"gradient_steps": 1, "batch_size": 8, "net_arch": (8,), "encoder_width": 8},
    adapt={"n_exploration_episodes": 1, "initial_updates": 1, "updates_per_skill": 0.02, "batch_size": 8},
    spirl={"n_exploration_episodes": 0, "updates_per_skill": 0.02, "batch_size": 8, "net_arch": (8,)},
)


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simpl_sb3.demo.preset", lambda name: replace(TINY, name=name))


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


def test_settings_are_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(SimplError, match="1 exploring episodes of 0"):
        demo.demo(output=tmp_path / "demo", from_scratch=True, n_episodes=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_from_scratch_and_once_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for overwrite in (False, True):
        demo.demo(from_scratch=True, output=tmp_path / "demo", n_episodes=2, device="cpu", overwrite=overwrite)
    text = capsys.readouterr().out
    assert all(f"{step}/3 " in text for step in (1, 2, 3))
    trained = {path.name for path in (tmp_path / "demo" / "trained").iterdir()}
    assert {path.name for path in (PRETRAINED / "maze-fast").iterdir()} - {"provenance.json"} <= trained
    check_pictures(tmp_path / "demo")
