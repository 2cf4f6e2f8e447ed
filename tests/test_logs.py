"""TensorBoard shows each step once, also where a process was killed after its last checkpoint."""

from pathlib import Path

import pytest
from stable_baselines3.common.logger import configure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simpl_sb3.logs import hide_later_events


def steps(folder: Path) -> list[int]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.step for event in events.Scalars("loss")]


def write(folder: Path, first: int, last: int, goes_on: bool) -> None:
    """As processes do one after the other: TensorBoard names their files by the second, and reads them by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: 1e9 + len(list(folder.iterdir())))
        logger = configure(str(folder), ["csv", "tensorboard"])
        if goes_on:
            hide_later_events(logger, first - 1)
        for step in range(first, last + 1):
            logger.record("loss", float(step))
            logger.dump(step)
        logger.close()


def test_steps_that_are_logged_again_are_shown_once(tmp_path: Path) -> None:
    write(tmp_path, 1, 5, goes_on=False)
    write(tmp_path, 4, 9, goes_on=True)
    assert steps(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    write(tmp_path, 8, 9, goes_on=False)
    assert steps(tmp_path)[-3:] == [9, 8, 9]  # what it would show otherwise
