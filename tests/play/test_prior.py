"""Skills that a visitor chooses, and skills that are drawn."""

from pathlib import Path

import numpy as np
from play_for_tests import LINE, Told, line_choice, shipped

from simpl_sb3.play.prior import MAX_PATHS, N_SKILLS, show_skills
from simpl_sb3.play.walker import Camera


def test_a_chosen_skill_goes_the_same_way_and_another_one_another() -> None:
    loaded = shipped("maze").load()
    domain, paths = loaded.choice.domain, []
    for deviation in ([0.0], [0.0], [2.0, -2.0, 2.0]):
        told = Told()
        env = Camera(domain, told.put).env()
        env.reset(seed=1)
        show_skills(loaded.model.skills, domain, env, told.put, deviation)
        (message,) = told.of("prior")
        paths.append(np.array(message["paths"][0]))
        env.close()
    assert [path.shape for path in paths] == [(10 * N_SKILLS + 1, 2)] * 3
    assert np.array_equal(paths[0], paths[1])
    assert not np.allclose(paths[0][-1], paths[2][-1], atol=0.2)


def test_drawn_skills_differ() -> None:
    loaded, told = shipped("maze").load(), Told()
    env = Camera(loaded.choice.domain, told.put).env()
    show_skills(loaded.model.skills, loaded.choice.domain, env, told.put, n_paths=1000)
    (message,) = told.of("prior")
    assert len(message["paths"]) == MAX_PATHS
    assert len({tuple(path[-1]) for path in message["paths"]}) > 1
    env.close()


def test_without_a_map_pictures_are_shown(tmp_path: Path) -> None:
    loaded, told = line_choice(tmp_path).load(), Told()
    camera = Camera(LINE, told.put)
    env = camera.env()
    show_skills(loaded.model.skills, LINE, env, told.put, [1.0], pictures=True)
    assert told.of("prior") == [{"type": "prior", "paths": []}]
    assert {picture[0] for picture in told.pictures()} == {2}
    env.close()
