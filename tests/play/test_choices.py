"""Which tasks a visitor may ask for, and where latents are seen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from play_for_tests import LINE, line_choice, shipped

from simpl_sb3.domains import find_domain
from simpl_sb3.errors import SimplError
from simpl_sb3.play.choices import Choice, LatentMap, wanted_task


def test_a_click_is_a_goal() -> None:
    maze = find_domain("maze")
    assert wanted_task(maze, {"place": [12.04, 6.96]}).goal == (12.0, 7.0)
    assert wanted_task(maze, {"text": "5-12"}).goal == (5.0, 12.0)


def test_subtasks_in_order_are_a_task() -> None:
    assert wanted_task(find_domain("kitchen"), {"order": [5, 0, 2, 1]}).name == "5021"


@pytest.mark.parametrize(
    ("domain", "asked", "message"),
    [
        ("maze", {"place": [0.2, 5.0]}, "lies in a wall"),
        ("maze", {"place": [500.0, 5.0]}, "lies outside the maze"),
        ("maze", {"place": [1.0]}, "expected 2 numbers"),
        ("maze", {"place": [float("nan"), 1.0]}, "expected 2 numbers"),
        ("maze", {"place": "here"}, "expected 2 numbers"),
        ("maze", {}, "No task was asked for: expected a goal such as 12-7"),
        ("maze", {"text": "target"}, "is not one task"),
        ("maze", {"text": "1-2,3-4"}, "not one task|is given|lies"),
        ("maze", {"order": [1, 2, 3, 4]}, "No task was asked for"),
        ("kitchen", {"order": [0, 1, 2, 3, 4]}, "5 subtasks were chosen: expected 4 different ones"),
        ("kitchen", {"order": [0, 1, 2, 2]}, "4 subtasks were chosen: expected 4 different ones"),
        ("kitchen", {"order": [0, 1, 2, 9]}, "digits|unknown"),
    ],
)
def test_what_is_no_task_is_said_in_a_sentence(domain: str, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(SimplError, match=message):
        wanted_task(find_domain(domain), asked)


def test_a_domain_without_pictures_takes_its_tasks_by_name() -> None:
    assert wanted_task(LINE, {"text": " 0.5 "}).goal == 0.5
    with pytest.raises(SimplError, match="77"):
        wanted_task(LINE, {"text": "77"})


def test_a_model_of_another_domain_is_refused() -> None:
    maze = shipped("maze")
    with pytest.raises(SimplError, match="not one for the domain kitchen"):
        Choice("wrong", find_domain("kitchen"), maze.model).load()


def test_latents_are_seen_along_the_widest_directions() -> None:
    axes = th.eye(3)[:, [2, 0]]
    seen = LatentMap(th.tensor([1.0, 1.0, 1.0]), axes, (2.0, 0.5), ())
    assert seen.place(th.tensor([2.0, 9.0, 5.0])) == [2.0, 2.0]


def test_training_tasks_have_a_place_where_the_model_imagines_them() -> None:
    latents = shipped("maze").load().latents
    assert len(latents.tasks) == 40
    places = np.array([place for _, place in latents.tasks])
    assert places.shape == (40, 2)
    assert np.abs(places).max() < 4.0
    assert places.std(axis=0).min() > 0.2
    assert latents.spread[0] >= latents.spread[1] > 0
    assert shipped("kitchen").load().latents.tasks == []  # it imagines none


def test_sessions_are_of_both_methods(tmp_path: Path) -> None:
    loaded = line_choice(tmp_path).load()
    assert loaded.session("simpl", 0, 4).phase == "exploring"
    assert loaded.session("spirl", 0, 4).phase == "fine-tuning"
    assert loaded.session("simpl", 0, 1).settings.n_exploration_episodes == 1  # never more than all
