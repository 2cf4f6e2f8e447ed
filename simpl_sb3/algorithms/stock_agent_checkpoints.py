"""
Checkpoints of stock agents that adapt one after the other, each in a folder of its own.

::

    agent_00000003/    of ``StockCheckpointCallback``; besides
        episodes_00000007.npz    episodes that ended since the state before    written once, never changed
        done.zip                 once it has adapted: its networks             written once
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simpl_sb3.algorithms.adaptation_state import ended_arrays, ended_of
from simpl_sb3.algorithms.checkpoint_folder import state_bytes, states
from simpl_sb3.algorithms.files import MAX_MEMBER_BYTES, member
from simpl_sb3.algorithms.stock_checkpoints import StockCheckpointCallback, learned, take_learned, take_up
from simpl_sb3.errors import ModelFileError
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.files import read_regular, remove_files, write_atomically
from simpl_sb3.npz import arrays_of, npz_bytes
from simpl_sb3.seals import open_zip
from simpl_sb3.skills.tensor_files import read_tensors

if TYPE_CHECKING:
    from simpl_sb3.algorithms.adaptation_checkpoints import AdaptationCheckpoints

__all__ = ["AgentCheckpoints"]


class AgentCheckpoints(StockCheckpointCallback):
    """
    Keeps one agent.

    :param checkpoints: of the adaptation; how many episodes lie there, and what was spent on them, is told to it
    :param agent: its index
    :param task: its task
    """

    def __init__(self, checkpoints: "AdaptationCheckpoints", agent: int, task: Any) -> None:
        folder = checkpoints.folder / f"agent_{agent:08d}"
        super().__init__(folder, checkpoints.seconds, {"episodes": self._keep_episodes, "seconds": self._seconds})
        self.checkpoints, self.agent, self.task = checkpoints, agent, task
        self.done = (folder / "done.zip").exists()
        """Whether it has adapted."""
        self._begun = time.perf_counter()
        self._spent = 0.0
        self._files: list[str] = []
        self._ended: list[FinishedEpisode] = []  # since the newest state
        self._telling = False

    def note(self, finished: FinishedEpisode) -> None:
        """An episode has ended."""
        if not self._telling:
            self._ended.append(finished)

    def take_up(self, model: Any, tell: Callable[[FinishedEpisode], None]) -> bool:
        """
        Bring an agent that has not begun where its newest checkpoint was.

        :param tell: is told each episode that it has ended
        :return: False where there is none
        :raises ModelFileError: where there are some, and none can be read
        """
        if not self.done and not states(self.folder):
            return False
        more = self._take_done(model) if self.done else take_up(model, self.folder).checkpoint["more"]
        self._spent, self._files = float(more["seconds"]), [Path(name).name for name in more["episodes"]]
        self.checkpoints.spent += self._spent
        files = [read_regular(self.folder / name) for name in self._files]
        ended = [finished for file in files for _, finished in ended_of(arrays_of(file), [self.task])]
        self.checkpoints.n_episodes += len(ended)
        if self.checkpoints.verbose >= 1 and not self.done:
            sys.stderr.write(f"Going on after {self.checkpoints.n_episodes} episodes.\n")
        self._telling = True
        for finished in ended:
            tell(finished)
        self._telling = False
        return True

    def finish(self, model: Any) -> None:
        """The agent has adapted."""
        if self.done:
            return
        data = {"episodes": self._keep_episodes(), "seconds": self._seconds()}
        write_atomically(self.folder / "done.zip", state_bytes(data, None, {"learner.pth": learned(model)}))
        remove_files(self.folder, "state_????????.zip", "rows_????????.npz")
        self.done = True

    def _take_done(self, model: Any) -> dict[str, Any]:
        path = self.folder / "done.zip"
        try:
            with open_zip(path, packed=False) as archive:
                take_learned(model, read_tensors(member(archive, "learner.pth", MAX_MEMBER_BYTES["learner.pth"])))
                more = json.loads(member(archive, "training.json"))
                return {"episodes": list(more["episodes"]), "seconds": float(more["seconds"])}
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from None
        except Exception as error:  # noqa: BLE001 - a damaged file fails in many ways
            raise ModelFileError(f"{path} is no adapted agent: {type(error).__name__}: {error}") from None

    def _seconds(self) -> float:
        return self._spent + time.perf_counter() - self._begun

    def _keep_episodes(self) -> list[str]:
        """Write the episodes that have ended since; names of all files."""
        if self._ended:
            name = f"episodes_{len(self._files):08d}.npz"
            write_atomically(self.folder / name, npz_bytes(ended_arrays([(0, finished) for finished in self._ended])))
            self.checkpoints.n_episodes += len(self._ended)
            self._files, self._ended = [*self._files, name], []
        return self._files
