"""What SB3's loggers are asked for besides numbers: pictures, films, and forgetting what is logged once more."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch as th
from PIL import Image as Pillow
from stable_baselines3.common.logger import (
    CSVOutputFormat,
    HumanOutputFormat,
    Image,
    JSONOutputFormat,
    Logger,
    TensorBoardOutputFormat,
    Video,
)

__all__ = ["hide_later_events", "picture_logger", "record_film", "record_picture"]

TEXTS = ("stdout", "log", "json", "csv")
"""Formats that take no pictures, by SB3's names."""


def hide_later_events(logger: Logger, done: int) -> None:
    """
    Make TensorBoard hide what its folder already holds of later steps, since these are done and logged once more.

    :param logger: nothing has been logged by it yet
    :param done: the last step that stays
    """
    for output in logger.output_formats:
        if isinstance(output, TensorBoardOutputFormat) and output.writer is not None:
            output.writer.close()  # it opens its next file with the note that hides earlier events
            output.writer.purge_step = done + 1


def picture_logger(logger: Logger) -> Logger | None:
    """
    A logger of the same outputs, as far as they take pictures: to dump these does not end the line of numbers that the
    other one is writing.

    :return: None where no output takes pictures
    """
    texts = HumanOutputFormat, CSVOutputFormat, JSONOutputFormat
    able = [output for output in logger.output_formats if not isinstance(output, texts)]
    return Logger(folder=None, output_formats=able) if able else None


def record_picture(logger: Logger, name: str, picture: np.ndarray, step: int) -> None:
    """
    :param logger: as :func:`picture_logger` gives it
    :param name: such as "pictures/paths"
    :param picture: (height, width, 3) uint8
    :param step: of the event
    """
    logger.record(name, Image(picture, "HWC"), exclude=TEXTS)
    logger.dump(step)


def record_film(logger: Logger, name: str, frames: Sequence[np.ndarray], fps: float, step: int) -> None:
    """
    A film: in TensorBoard a GIF among the images, as its ``add_video`` would write it if moviepy were installed; for
    any other output SB3's ``Video``.

    :param logger: as :func:`picture_logger` gives it
    :param name: such as "pictures/film_best"
    :param frames: (height, width, 3) uint8 each, all of one size
    :param fps: frames per second
    :param step: of the event
    """
    from tensorboard.compat.proto.summary_pb2 import Summary

    for output in logger.output_formats:
        if isinstance(output, TensorBoardOutputFormat) and output.writer.file_writer is not None:
            height, width, _ = frames[0].shape
            image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=animation(frames, fps))
            output.writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)
            output.writer.flush()
    film: Any = th.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[None]
    logger.record(name, Video(film, fps), exclude=(*TEXTS, "tensorboard"))
    logger.dump(step)


def animation(frames: Sequence[np.ndarray], fps: float) -> bytes:
    """Frames as a GIF that plays for ever."""
    first, *others = (Pillow.fromarray(frame).quantize(128) for frame in frames)
    content = io.BytesIO()
    milliseconds = max(20, round(1000 / fps))  # browsers play anything faster slowly
    first.save(content, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)
    return content.getvalue()
