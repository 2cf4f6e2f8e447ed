"""
Draws the pictures of the page on live views, from the shipped maze model::

    python docs/live_pictures.py        # docs/pictures/live-*.png; a few minutes on one core

The model goes on learning for three meta-iterations of few updates, with pictures after each. The terminal's grid is
that of an adaptation whose rows come along, after 60 episodes of each agent.
"""

import io
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from stable_baselines3.common.logger import configure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simpl_sb3 import PRETRAINED, PicturesCallback, SkillPriorPEARL, make_skill_vec_env
from simpl_sb3.cells import CellGrid
from simpl_sb3.report.film import font
from simpl_sb3.results.rows import read_results

FOLDER = Path(__file__).parent / "pictures"
MODEL = PRETRAINED / "maze-fast" / "model.zip"
ROWS = Path(__file__).parents[1] / "benchmarks" / "results" / "main" / "maze-fast-simpl-0.csv"
SKILLS, N_EPISODES = 20_000, 60
CHARACTER, LINE = 9, 19
"""Of the drawn terminal, pixels."""


def log_pictures(folder: str) -> None:
    """Go on with the shipped meta-training, with pictures in TensorBoard's events."""
    skills = SkillPriorPEARL.load(MODEL).skills
    env = make_skill_vec_env("SimplMaze-v0", skills, 80, seed=0)
    model = SkillPriorPEARL.load(MODEL, env=env, gradient_steps=3)
    model.set_logger(configure(folder, ["tensorboard"]))
    model.learn(SKILLS, PicturesCallback("maze", interval=1, max_share=None), progress_bar=True)
    model.logger.close()


def take_pictures(folder: str) -> None:
    """The last picture of each name; of a film, three of its frames side by side."""
    events = EventAccumulator(folder, size_guidance={"images": 0})
    events.Reload()
    for name in sorted(set(events.Tags()["images"]) - {"pictures/film_best"}):
        picture: Any = Image.open(io.BytesIO(events.Images(name)[-1].encoded_image_string))
        frames = getattr(picture, "n_frames", 1)
        shown = []
        for place in (0, frames // 2, frames - 1) if frames > 1 else (0,):
            picture.seek(place)
            shown.append(picture.convert("RGB"))
        row = Image.new("RGB", (sum(part.width for part in shown), shown[0].height))
        for place, part in enumerate(shown):
            row.paste(part, (place * part.width, 0))
        kind = name.removeprefix("pictures/").replace("_", "-")
        row.quantize(128).save(FOLDER / f"live-{kind}.png", optimize=True)


def draw_grid() -> None:
    """The grid of an adaptation to ten unseen goals on a terminal of 100 x 40, from the rows that it wrote."""
    (file,) = read_results(ROWS)
    shown = [row for row in file.rows if row.episode <= N_EPISODES]
    agents = sorted({(row.task, row.seed) for row in shown})
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=40)
    grid = CellGrid(len(agents) * N_EPISODES, [task for task, _ in agents], console)
    for row in shown:
        grid.update(agents.index((row.task, row.seed)), row.episode, bool(row.success))
    screenshot(console, grid).save(FOLDER / "live-grid.png", optimize=True)
    grid.close()


def screenshot(console: Console, grid: CellGrid) -> Image.Image:
    """What a terminal shows, as a picture; without the last line, whose clock was not that of the run."""
    mono = ImageFont.truetype(font(15).path.replace("DejaVuSans.ttf", "DejaVuSansMono.ttf"), 15)
    lines = console.render_lines(grid.drawn(), pad=False)[:-1]
    width = max(sum(len(part.text) for part in line) for line in lines)
    picture = Image.new("RGB", (width * CHARACTER + 24, len(lines) * LINE + 20), "#1B1E24")
    draw = ImageDraw.Draw(picture)
    for row, line in enumerate(lines):
        column = 0
        for part in line:
            colour = None if part.style is None or part.style.color is None else part.style.color.get_truecolor()
            for letter in part.text:
                place = 12 + column * CHARACTER, 10 + row * LINE
                draw.text(place, letter, fill=tuple(colour) if colour else "#E4E4E0", font=mono)
                column += 1
    return picture


def main() -> None:
    """Draw all of them."""
    with tempfile.TemporaryDirectory() as folder:
        log_pictures(folder)
        take_pictures(folder)
    draw_grid()


if __name__ == "__main__":
    main()
