"""What is told of an agent's skills: paths, subtasks, episodes, pictures."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from play_for_tests import LINE, Told, line_choice, shipped

from simpl_sb3.domains import find_domain
from simpl_sb3.play.choices import wanted_task
from simpl_sb3.play.walker import Camera, Walker, has_map


def walker_of(name: str, told: Told, asked: dict[str, object]) -> Walker:
    loaded = shipped(name).load()
    domain, camera = loaded.choice.domain, Camera(find_domain("maze"), told.put)
    camera = Camera(domain, told.put) if has_map(domain) else camera
    camera.domain = domain
    session = loaded.session("simpl", 0, 3)
    return Walker(
        0, session, camera.env(), wanted_task(domain, asked), domain, 0, loaded.latents.place, told.put, False
    )


def test_a_path_is_told_skill_by_skill() -> None:
    told = Told()
    walker = walker_of("maze", told, {"place": [12.0, 7.0]})
    for _ in range(3):
        walker.live_skill()
    paths = told.of("path")
    assert len(paths) == 3
    assert [message["type"] for message in told.messages][:2] == ["begin", "phase"]
    assert told.of("goal") == [{"type": "goal", "agent": 0, "place": [12.0, 7.0], "radius": 1.0}]
    ends = [np.array(path["points"]) for path in paths]
    assert all(np.linalg.norm(ends[i][-1] - ends[i + 1][0]) < 0.5 for i in range(2))  # where the skill before ended
    assert len(told.of("latent")) == 1  # one guess is kept for many skills
    assert walker.env_steps == 30
    walker.close()


def test_subtasks_are_told_when_they_change() -> None:
    told = Told()
    walker = walker_of("kitchen", told, {"order": [5, 0, 2, 1]})
    walker.live_skill()
    walker.live_skill()
    assert told.of("subtasks") == [{"type": "subtasks", "agent": 0, "done": [], "order": []}]
    assert told.of("path") == told.pictures() == []
    walker.close()


def test_episodes_of_a_domain_without_traces_and_its_pictures(tmp_path: Path) -> None:
    told, loaded = Told(), line_choice(tmp_path).load()
    camera = Camera(LINE, told.put)
    assert camera.works
    task = wanted_task(LINE, {"text": "0.5"})
    walker = Walker(
        1, loaded.session("simpl", 0, 2), camera.env(), task, LINE, 0, loaded.latents.place, told.put, camera.works
    )
    while walker.n_shown < 1:
        walker.live_skill()
    episodes = told.of("episode")
    assert [episode["episode"] for episode in episodes] == [1, 2, 3]
    assert episodes[-1]["phase"] == "adapted"
    assert all(episode["success"] == (episode["value"] > 0) for episode in episodes)
    assert told.pictures()
    assert all(picture[0] == 1 for picture in told.pictures())
    assert Image.open(io.BytesIO(told.pictures()[0][1:])).format == "JPEG"
    walker.close()


def test_a_domain_that_cannot_be_drawn_is_noted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Camera) -> None:
        raise RuntimeError("no EGL")

    monkeypatch.setattr(Camera, "_make", fail)
    told = Told()
    camera = Camera(LINE, told.put)
    assert not camera.works
    (note,) = told.messages
    assert note == {"type": "note", "text": "There are no pictures here, the run goes on without them: no EGL"}
    camera.env().close()  # goes on


def test_a_large_picture_is_made_small() -> None:
    picture = Image.open(io.BytesIO(Camera.jpeg(np.zeros((900, 1200, 3), np.uint8))))
    assert picture.size == (400, 300)
