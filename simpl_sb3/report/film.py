"""
A filmed episode: a video that plays in browsers, and a strip of stills.

Both lie beside the rows of the agent that is shown, as ``.mp4`` and ``.png`` of one name; the strip's ``Description``
says what they show.
"""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from simpl_sb3.errors import SettingsError
from simpl_sb3.files import write_atomically
from simpl_sb3.report.figures import BLUE, GREY, INK
from simpl_sb3.results.rows import ResultsError
from simpl_sb3.results.traces import Completions

__all__ = ["Film", "draw_film", "read_film", "write_film"]

Picture = npt.NDArray[np.uint8]

PAPER, EARLY, LINE = "#FFFFFF", "#A6CEE3", "#BBBBBB"
SIDE = 480
"""Of the picture, pixels."""
COLUMN = 240
"""Width of what stands beside it, pixels."""
STILL, FOOT = 320, 56
"""Side of a still and height of the text below it, pixels."""
HOLD_SECONDS = 2.0
"""How long the last picture stands."""
ENCODING = ("-crf", "24", "-preset", "medium", "-movflags", "+faststart")


@dataclass(frozen=True)
class Film:
    """
    :param mp4: the video, H.264
    :param strip: PNG of stills
    :param caption: what they show
    """

    mp4: bytes
    strip: bytes
    caption: str


def draw_film(
    pictures: Sequence[Picture], fps: float, completions: Completions, subtasks: Sequence[str], caption: str
) -> Film:
    """
    Set what was asked beside the pictures, ticked off as it is paid, and choose stills: the start, whatever was paid,
    and the end where something was not.

    :param pictures: at the start and after each env step, (height, width, 3) each
    :param fps: env steps per second
    :param completions: of this episode
    :param subtasks: names of all subtasks
    :param caption: what the film shows
    """
    images = [Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS) for picture in pictures]
    last = len(images) - 1
    steps = [*range(last), *[last] * (1 + round(HOLD_SECONDS * fps))]
    frames = (np.asarray(_beside(images[step], step, fps, completions, subtasks)) for step in steps)
    mp4 = iio.imwrite(
        "<bytes>",
        np.fromiter(frames, np.dtype((np.uint8, (SIDE, SIDE + COLUMN, 3))), len(steps)),  # one copy: it is large
        extension=".mp4",
        plugin="FFMPEG",
        fps=fps,
        codec="libx264",
        pixelformat="yuv420p",
        quality=None,  # the encoder's own setting, below
        output_params=list(ENCODING),
    )
    return Film(mp4, _strip(images, fps, completions, subtasks, caption), caption)


def write_film(path: str | os.PathLike[str], film: Film, *, overwrite: bool = False) -> Path:
    """
    Write the video, and the strip as ``.png`` beside it: each file whole or not at all.

    :param path: of the video, ends in ``.mp4``; missing folders are made
    :param overwrite: replace existing files
    :raises SettingsError: the files exist, or another ending
    """
    path = Path(path)
    if path.suffix != ".mp4":
        raise SettingsError(f"the film goes to {path}; expected a name ending in .mp4")
    for file in (path, path.with_suffix(".png")):
        if file.exists() and not overwrite:
            raise SettingsError(f"{file} exists; expected a new name, or overwrite=True to replace it")
    write_atomically(path.with_suffix(".png"), film.strip)
    write_atomically(path, film.mp4)
    return path


def read_film(path: str | os.PathLike[str]) -> Film:
    """
    Read what :func:`write_film` wrote.

    :raises ResultsError: a file is missing, or is none of this library's
    """
    path = Path(path)
    try:
        mp4, strip = path.read_bytes(), path.with_suffix(".png").read_bytes()
        with Image.open(io.BytesIO(strip)) as image:
            caption = image.info.get("Description")
    except OSError as error:
        raise ResultsError(f"cannot read {path} ({error}); expected a film, and its strip as .png beside it") from error
    if mp4[4:8] != b"ftyp" or not isinstance(caption, str):
        raise ResultsError(f"{path} is no film of this library; expected an MP4, and a .png with a Description")
    return Film(mp4, strip, caption)


# ------------------------------------------------------------ drawing


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The figures' own font, which comes with matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)


def _beside(image: Image.Image, step: int, fps: float, done: Completions, subtasks: Sequence[str]) -> Image.Image:
    """The picture after an env step, and on its right what was asked, what is done, and the time."""
    frame = Image.new("RGB", (SIDE + COLUMN, SIDE), PAPER)
    frame.paste(image)
    draw = ImageDraw.Draw(frame)
    left, y = SIDE + 18, 22
    draw.text((left, y), "asked, in this order", fill=GREY, font=_font(14))
    due = int(((done.paid > 0) & (done.paid <= step)).sum())
    for turn, subtask in enumerate(done.asked):
        y += 44
        paid = 0 < done.paid[turn] <= step
        early = not paid and 0 < done.completed[subtask] <= step
        _tick(draw, (left, y), paid, early)
        draw.text(
            (left + 34, y + 12),
            f"{turn + 1}  {subtasks[subtask]}",
            fill=INK if paid or turn == due else GREY,
            font=_font(15, bold=turn == due),
            anchor="lm",
        )
        if early:
            draw.text((left + 54, y + 29), "before its turn", fill=GREY, font=_font(11), anchor="lm")
    others = [k for k in done.order if k not in done.asked and done.completed[k] <= step]
    y += 62
    for k, text in enumerate(["also done:", *(f"   {subtasks[k]}" for k in others)] if others else []):
        draw.text((left, y + 20 * k), text, fill=GREY, font=_font(13))
    draw.text((left, SIDE - 36), f"{step / fps:4.1f} s", fill=INK, font=_font(18))
    return frame


def _tick(draw: ImageDraw.ImageDraw, corner: tuple[int, int], paid: bool, early: bool) -> None:
    x, y = corner
    fill, line = (BLUE, BLUE) if paid else (EARLY if early else PAPER, LINE)
    draw.rounded_rectangle((x, y, x + 24, y + 24), 5, fill=fill, outline=line, width=2)
    if paid:
        draw.line([(x + 6, y + 12), (x + 11, y + 17), (x + 19, y + 7)], fill=PAPER, width=3, joint="curve")


def _strip(
    images: Sequence[Image.Image], fps: float, done: Completions, subtasks: Sequence[str], caption: str
) -> bytes:
    """Stills side by side, as PNG, the caption in its Description."""
    texts = {0: "start"}
    for turn, (subtask, step) in enumerate(zip(done.asked, done.paid.tolist(), strict=True), start=1):
        if step:
            before = f"{texts[step]}, " if step in texts else ""
            texts[step] = f"{before}{turn} {subtasks[subtask]}"
    if not done.paid.all():
        texts.setdefault(len(images) - 1, "end")
    gap = 8
    strip = Image.new("RGB", (len(texts) * (STILL + gap) - gap, STILL + FOOT), PAPER)
    draw = ImageDraw.Draw(strip)
    for place, (step, text) in enumerate(texts.items()):
        left = place * (STILL + gap)
        strip.paste(images[min(step, len(images) - 1)].resize((STILL, STILL), Image.Resampling.LANCZOS), (left, 0))
        size = min(17, int(17 * (STILL - 12) / draw.textlength(text, _font(17, bold=True))))
        draw.text((left + 6, STILL + 16), text, fill=INK, font=_font(size, bold=True), anchor="lm")
        draw.text((left + 6, STILL + 40), f"{step / fps:.1f} s", fill=GREY, font=_font(15), anchor="lm")
    description = PngInfo()
    description.add_itxt("Description", caption)
    buffer = io.BytesIO()
    strip.save(buffer, format="png", pnginfo=description, optimize=True)
    return buffer.getvalue()
