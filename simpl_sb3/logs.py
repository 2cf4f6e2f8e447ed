"""Logs of what goes on in another process."""

from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat

__all__ = ["hide_later_events"]


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
