"""
A filmed episode: a video that plays in browsers, and a strip of stills.

Both lie beside the rows of the agent that is shown, as ``.mp4`` and ``.png`` of one name; the strip's ``Description``
says what they show.
"""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import imageio.v3 as iio
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.PngImagePlugin import PngInfo

from simpl_sb3.errors import ResultsError, SettingsError
from simpl_sb3.files import write_atomically
from simpl_sb3.report.methods import GREY, INK
from simpl_sb3.results.reading import read_bytes

__all__ = ["Film", "Panel", "draw_film", "font", "read_film", "write_film"]

Picture = npt.NDArray[np.uint8]

GROUND = "#FFFFFF"
SIDE = 480
"""Of the picture, pixels."""
STILL, FOOT = 320, 56
"""Side of a still and height of the text below it, pixels."""
HOLD_SECONDS = 2.0
"""How long the last picture stands."""
MAX_BYTES = 500_000_000
MAX_PIXELS = 100_000_000
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


class Panel(Protocol):
    """
    What stands beside the pictures.

    :ivar width: pixels, even
    """

    width: int

    def draw(self, step: int) -> Image.Image:
        """The panel after an env step, ``width`` x ``SIDE`` pixels."""
        ...


def draw_film(
    pictures: Sequence[Picture], fps: float, caption: str, stills: Mapping[int, str], panel: Panel | None = None
) -> Film:
    """
    A video of the pictures, the panel on their right, and a strip of stills.

    :param pictures: at the start and after each env step, (height, width, 3) each
    :param fps: env steps per second
    :param caption: what the film shows
    :param stills: env step -> text below its still
    :param panel: what stands beside the pictures; None for nothing
    """
    images = [_square(Image.fromarray(picture)) for picture in pictures]
    last = len(images) - 1
    steps = [*range(last), *[last] * (1 + round(HOLD_SECONDS * fps))]
    width = SIDE + (panel.width if panel else 0)
    frames = (np.asarray(_beside(images[step], panel.draw(step)) if panel else images[step]) for step in steps)
    mp4 = iio.imwrite(
        "<bytes>",
        np.fromiter(frames, np.dtype((np.uint8, (SIDE, width, 3))), len(steps)),  # one copy: it is large
        extension=".mp4",
        plugin="FFMPEG",
        fps=fps,
        codec="libx264",
        pixelformat="yuv420p",
        quality=None,  # the encoder's own setting, below
        output_params=list(ENCODING),
    )
    return Film(mp4, _strip(images, fps, stills, caption), caption)


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
    expected = "a film, and its strip as .png beside it"
    mp4 = read_bytes(path, expected, MAX_BYTES)
    strip = read_bytes(path.with_suffix(".png"), expected, MAX_BYTES)
    try:
        with Image.open(io.BytesIO(strip), formats=("PNG",)) as image:
            caption = image.info.get("Description") if image.width * image.height <= MAX_PIXELS else None
    except Exception as error:
        raise ResultsError(f"cannot read {path.with_suffix('.png')} ({error}); expected {expected}") from error
    if mp4[4:8] != b"ftyp" or not isinstance(caption, str):
        raise ResultsError(f"{path} is no film of this library; expected an MP4, and a .png with a Description")
    return Film(mp4, strip, caption)


# ------------------------------------------------------------ drawing


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The figures' own font, which comes with matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)


def _square(picture: Image.Image) -> Image.Image:
    """The picture as large as fits into a square, in its middle."""
    picture = picture.convert("RGB")
    if picture.width == picture.height:
        return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return ImageOps.pad(picture, (SIDE, SIDE), Image.Resampling.LANCZOS, GROUND)


def _beside(picture: Image.Image, panel: Image.Image) -> Image.Image:
    frame = Image.new("RGB", (SIDE + panel.width, SIDE), GROUND)
    frame.paste(picture)
    frame.paste(panel, (SIDE, 0))
    return frame


def _strip(images: Sequence[Image.Image], fps: float, texts: Mapping[int, str], caption: str) -> bytes:
    """Stills side by side, as PNG, the caption in its Description."""
    gap = 8
    strip = Image.new("RGB", (len(texts) * (STILL + gap) - gap, STILL + FOOT), GROUND)
    draw = ImageDraw.Draw(strip)
    for place, (step, text) in enumerate(sorted(texts.items())):
        left = place * (STILL + gap)
        strip.paste(images[min(step, len(images) - 1)].resize((STILL, STILL), Image.Resampling.LANCZOS), (left, 0))
        size = min(17, int(17 * (STILL - 12) / max(1.0, draw.textlength(text, font(17, bold=True)))))
        draw.text((left + 6, STILL + 16), text, fill=INK, font=font(size, bold=True), anchor="lm")
        draw.text((left + 6, STILL + 40), f"{step / fps:.1f} s", fill=GREY, font=font(15), anchor="lm")
    description = PngInfo()
    description.add_itxt("Description", caption)
    buffer = io.BytesIO()
    strip.save(buffer, format="png", pnginfo=description, optimize=True)
    return buffer.getvalue()
