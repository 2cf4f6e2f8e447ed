"""Live pictures: they appear and are not blank, cost what they may, and change nothing of the training."""

import io
from pathlib import Path
from typing import Any

import gymnasium as gym
import matplotlib as mpl
import numpy as np
import pytest
import torch as th
from envs_for_tests import tiny_skills
from matplotlib._pylab_helpers import Gcf
from own_domain_for_tests import DOMAIN as LINE
from pearl_for_tests import SMALL
from PIL import Image
from stable_baselines3.common.logger import KVWriter, Logger, Video, configure

from simpl_sb3 import PRETRAINED, PicturesCallback, SkillModel, SkillPriorPEARL, make_skill_vec_env
from simpl_sb3.domains import Domain
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.cli import main as simpl_sb3
from simpl_sb3.experiments.live_film import N_FRAMES, TooSlow
from simpl_sb3.experiments.live_pictures import _Allowance
from simpl_sb3.experiments.prior_picture import log_prior, prior_in_folder

SKILLS = PRETRAINED / "maze-fast" / "skills.safetensors"
OWN_DOMAIN = Path(__file__).parents[1] / "own_domain_for_tests.py"
MAZE: dict[str, Any] = {"max_episode_steps": 40}


def spaces_of(env_id: str) -> tuple[Any, Any]:
    env = gym.make(env_id)
    return env.observation_space, env.action_space


def images(folder: Path) -> dict[str, list[Image.Image]]:
    """The pictures of a folder's TensorBoard events, by name."""
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = event_accumulator.EventAccumulator(str(folder), size_guidance={"images": 0})
    found.Reload()
    return {
        tag: [Image.open(io.BytesIO(event.encoded_image_string)) for event in found.Images(tag)]
        for tag in found.Tags()["images"]
    }


def meta_train(folder: Path | None, *callbacks: Any, **settings: Any) -> SkillPriorPEARL:
    env = make_skill_vec_env("SimplMaze-v0", SKILLS, 8, seed=0, **MAZE)
    model = SkillPriorPEARL("MlpPolicy", env, **(SMALL | {"gradient_steps": 1} | settings))
    model.set_logger(Logger(None, []) if folder is None else configure(str(folder), ["tensorboard", "csv"]))
    model.learn(400, list(callbacks))
    model.logger.close()
    return model


@pytest.mark.filterwarnings("ignore")  # of TensorBoard's import
def test_pictures_appear_and_the_training_learns_the_same_to_the_bit(tmp_path: Path) -> None:
    pictures = PicturesCallback("maze", interval=1, max_share=None, env_settings=MAZE)
    style, figures = dict(mpl.rcParams), list(Gcf.get_all_fig_managers())
    drawn = meta_train(tmp_path / "with", pictures)
    assert dict(mpl.rcParams) == style
    assert list(Gcf.get_all_fig_managers()) == figures
    plain = meta_train(tmp_path / "without")
    for a, b in zip(drawn.policy.state_dict().values(), plain.policy.state_dict().values(), strict=True):
        assert th.equal(a, b)
    assert drawn.context_buffer.rng.bit_generator.state == plain.context_buffer.rng.bit_generator.state
    assert drawn.num_meta_iterations == 2
    assert pictures._told == set()
    shown = images(tmp_path / "with")
    assert {name.removeprefix("pictures/") for name in shown} == {"paths", "success", "latents", "film_best"}
    assert [len(shown[f"pictures/{name}"]) for name in ("paths", "success", "latents")] == [2, 2, 2]
    for name, seen in shown.items():
        pixels = np.asarray(seen[-1].convert("RGB"))
        assert min(pixels.shape[:2]) > 200, name
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 8, name
    film = shown["pictures/film_best"][0]
    assert film.format == "GIF"
    assert 2 < getattr(film, "n_frames", 1) <= 2 * N_FRAMES + 1
    assert images(tmp_path / "without") == {}
    columns = {(tmp_path / name / "progress.csv").read_text().splitlines()[0] for name in ("with", "without")}
    assert len(columns) == 1


def test_the_film_shows_the_best_and_then_the_worst_task(tmp_path: Path) -> None:
    class Films(KVWriter):
        names: list[str] = []

        def write(self, key_values: Any, key_excluded: Any, step: int = 0) -> None:
            self.names += [name for name, value in key_values.items() if isinstance(value, Video)]

        def close(self) -> None:
            pass

    class Take(PicturesCallback):
        def _on_training_start(self) -> None:
            super()._on_training_start()
            self.model.set_logger(Logger(None, [Films()]))

    pictures = Take("maze", interval=1, max_share=None, env_settings=MAZE)
    env = make_skill_vec_env("SimplMaze-v0", SKILLS, 8, seed=0, **MAZE)
    SkillPriorPEARL("MlpPolicy", env, **(SMALL | {"gradient_steps": 0})).learn(700, pictures)
    assert Films.names == ["pictures/film_best", "pictures/film_worst"]
    assert pictures._told == set()


def test_without_an_output_for_pictures_nothing_is_drawn() -> None:
    pictures = PicturesCallback("maze", interval=1, max_share=None)
    meta_train(None, pictures)
    assert pictures._drawing.spent == pictures._filming.spent == 0.0


def test_they_take_no_more_than_their_share(tmp_path: Path) -> None:
    """What takes a second may be drawn once fifty have gone by, and no film is begun that would take too long."""
    allowance = _Allowance(0.02, guess=1.0)
    assert not allowance.covers(49.0)
    assert allowance.covers(50.0)
    allowance.spent, allowance.latest = 1.0, 0.5
    assert not allowance.covers(74.0)
    assert allowance.covers(75.0)
    assert _Allowance(None, guess=1e9).covers(0.0)
    pictures = PicturesCallback("maze", interval=1)
    meta_train(tmp_path, pictures)
    assert pictures._drawing.spent == 0.0  # over before a second is 1 %
    assert TooSlow(12.4).seconds == 12.4


def test_what_cannot_be_drawn_is_told_once_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    domain = Domain(name="none", env_id="SimplMaze-v0", task_sets={"train": (), "test": ()}, film_mode="no-such-mode")
    pictures = PicturesCallback(domain, interval=1, max_share=None)
    meta_train(tmp_path, pictures)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("No film")]
    assert len(told) == 1
    assert "no-such-mode" in told[0]
    assert pictures._told == {"film"}


def test_a_domain_without_paths_has_the_other_pictures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    env_id = LINE.env_id
    env = make_skill_vec_env(env_id, tiny_skills(*spaces_of(env_id)), 2, seed=0)
    model = SkillPriorPEARL("MlpPolicy", env, **(SMALL | {"gradient_steps": 1, "tasks_per_update": (1, 1)}))
    model.set_logger(configure(str(tmp_path), ["tensorboard"]))
    pictures = PicturesCallback(LINE, interval=1, max_share=None, film=False)
    model.learn(40, pictures)
    model.logger.close()
    assert set(images(tmp_path)) == {"pictures/success"}  # two tasks have no two directions
    assert pictures._told == set()


@pytest.mark.parametrize("wrong", [{"interval": 0}, {"max_share": 0.0}, {"max_share": 2.0}, {"domain": "nowhere"}])
def test_bad_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        PicturesCallback(**wrong)


# ------------------------------------------------------------ the skill prior


@pytest.mark.filterwarnings("ignore")
def test_the_skill_prior_is_drawn_after_an_extraction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from simpl_sb3.domains import find_domain

    skills, maze = SkillModel.load(SKILLS), find_domain("maze")
    before = th.get_rng_state()
    assert prior_in_folder(tmp_path, skills, maze, 7, 1.0, MAZE) == 0.0  # too little time
    assert images(tmp_path) == {}
    assert prior_in_folder(tmp_path, skills, maze, 7, 60.0, MAZE) > 0.0
    assert th.equal(before, th.get_rng_state())
    (picture,) = images(tmp_path)["pictures/prior"]
    assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 100
    assert not log_prior(Logger(None, []), skills, maze, 1)
    assert prior_in_folder(tmp_path, tiny_skills(), maze, 8, 60.0, MAZE) > 0.0  # of another environment
    assert "No picture of the skill prior" in capsys.readouterr().out


# ------------------------------------------------------------ the command line


def test_the_flag_turns_them_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    init = PicturesCallback.__init__

    def spy(self: PicturesCallback, *args: Any, **kwargs: Any) -> None:
        made.append(kwargs)
        init(self, *args, **kwargs)

    monkeypatch.setattr(PicturesCallback, "__init__", spy)
    tiny_skills(*spaces_of(LINE.env_id)).save(tmp_path / "skills.safetensors")
    flags = ["--skills", str(tmp_path / "skills.safetensors"), "--domain", str(OWN_DOMAIN), "--total-timesteps", "1"]
    flags += ["--gradient-steps", "1", "--no-progress-bar", "--n-envs", "2"]
    simpl_sb3(["meta-train", *flags, "--output", str(tmp_path / "off"), "--no-pictures"])
    assert made == []
    simpl_sb3(["meta-train", *flags, "--output", str(tmp_path / "on")])
    assert len(made) == 1
