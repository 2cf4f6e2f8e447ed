"""
Checkpoints from which an adaptation goes on to the bit, also after it was killed.

::

    rows_00000007.npz        rows that both buffers got since the chunk before       written once, never changed
    episodes_00000007.npz    episodes that ended since                               written once, never changed
    agent_00000003.zip       an agent that has adapted, as ``SkillPriorSAC.save``    written once, never changed
    state_00000012.zip       everything else, and which files belong to it           the two newest are kept

    in a state: training.json    plain data: counters, random generators, what the adaptation is of
                training.npz     arrays: environments, the episodes that run, what exploring has ruled out
                cohort.pth       tensors of the agents that fine-tune: networks, optimisers, multipliers

Nothing is pickled, and all files are sealed (``simpl_sb3.seals``). All of a state is read and checked before any of it
is taken.
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simpl_sb3.algorithms.adaptation_state import (
    Ended,
    Parts,
    buffers_of,
    capture,
    checked,
    ended_arrays,
    ended_of,
    fingerprint,
    take,
    tensors_of_cohort,
)
from simpl_sb3.algorithms.checkpoint_folder import (
    STATE,
    RowChunks,
    newest_readable,
    number_of,
    remove_older,
    state_bytes,
    states,
)
from simpl_sb3.algorithms.files import MAX_MEMBER_BYTES, check_finite, member
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import SettingsError
from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.files import read_regular, remove_files, write_atomically
from simpl_sb3.npz import arrays_of, npz_bytes
from simpl_sb3.seals import open_zip
from simpl_sb3.skills.tensor_files import read_tensors

if TYPE_CHECKING:
    from simpl_sb3.algorithms.adaptation import Adaptation

__all__ = ["AdaptationCheckpoints"]

PATTERNS = ("state_????????.zip", "rows_????????.npz", "episodes_????????.npz", "agent_????????.zip")
AGENT = "agent_????????"
"""Folders of stock agents, which adapt one after the other: see ``stock_agent_checkpoints``."""


class AdaptationCheckpoints:
    """
    Writes a checkpoint of an adaptation now and then. The same call in another process goes on from there::

        checkpoints = AdaptationCheckpoints("folder")
        agents = model.adapt_tasks(env, tasks, seed=0, on_episode=on_episode, checkpoints=checkpoints)
        ...                                          # save what is wanted, and then
        checkpoints.remove()

    Going on, ``on_episode`` is first told all earlier episodes once more, so that it sees each of them as if nothing
    had happened. An environment that gives no state of its own (``get_state``) lives through the episodes that ran once
    more, from the random generator that each began with: that costs those episodes' env steps, and is to the bit where
    the episodes depend on nothing else.

    :param folder: of the checkpoints, of this adaptation alone
    :param seconds: of adaptation between two checkpoints, at least
    :param verbose: 1 says on standard error from where it goes on
    """

    def __init__(self, folder: str | Path, seconds: float = 60.0, verbose: int = 0) -> None:
        self.folder, self.seconds, self.verbose = Path(folder), seconds, verbose
        self.spent = 0.0
        """Seconds of adaptation in the processes before this one."""
        self.n_episodes = 0
        """Episodes in the newest checkpoint."""
        self._begun = self._last = time.perf_counter()
        self._number, self._fingerprint = 0, ""
        self._chunks = RowChunks(self.folder)
        self._episode_files: list[str] = []
        self._adapted: list[int] = []  # agents that have a file
        self._ended: list[Ended] = []  # since the newest checkpoint

    @property
    def exist(self) -> bool:
        """Whether there is one to go on from."""
        return bool(states(self.folder)) or any(self.folder.glob(f"{AGENT}/*.zip"))

    def remove(self) -> None:
        """Remove all checkpoints, and the folder where nothing else is in it."""
        for agent in self.folder.glob(AGENT):
            remove_files(agent, *PATTERNS, "done.zip")
        remove_files(self.folder, *PATTERNS)

    # ------------------------------------------------------------ writing

    def note(self, agent: int, finished: FinishedEpisode) -> None:
        """An episode has ended."""
        self._ended.append((agent, finished))

    def write_if_due(self, adaptation: "Adaptation") -> None:
        """A checkpoint where the last one is older than ``seconds``; between two skills of all agents only."""
        if time.perf_counter() - self._last >= self.seconds:
            self.write(adaptation)
            self._last = time.perf_counter()

    def write(self, adaptation: "Adaptation") -> Path:
        """
        A checkpoint of the adaptation as it is.

        :return: the file of the state
        :raises SettingsError: where the learning diverged
        """
        tensors = tensors_of_cohort(adaptation)
        check_finite(tensors)
        self._number += 1
        written, buffers = self._chunks.written(), buffers_of(adaptation)
        rows = {
            name: buffer.rows_since(written.get(name, np.zeros(buffer.n_tasks, np.int64)))
            for name, buffer in buffers.items()
        }
        needed = self._chunks.add(self._number, rows, buffers)
        self._write_episodes()
        self._write_agents(adaptation)
        data, arrays = capture(adaptation)
        data |= {
            "adaptation": self._fingerprint,
            "seconds": self.spent + time.perf_counter() - self._begun,
            "chunks": self._chunks.named,
            "episode_files": self._episode_files,
            "adapted": self._adapted,
        }
        path = self.folder / STATE.format(self._number)
        write_atomically(path, state_bytes(data, arrays, tensors))
        remove_older(self.folder, needed)
        return path

    def _write_episodes(self) -> None:
        """The episodes that have ended since, in a file of their own."""
        if self._ended:
            name = f"episodes_{self._number:08d}.npz"
            write_atomically(self.folder / name, npz_bytes(ended_arrays(self._ended)))
            self._episode_files.append(name)
            self.n_episodes += len(self._ended)
            self._ended = []

    def _write_agents(self, adaptation: "Adaptation") -> None:
        """The agents that have adapted since, each in a file of its own."""
        for index, agent in enumerate(adaptation.agents):
            if agent is not None and index not in self._adapted:
                agent.save(self._agent_file(index))
                self._adapted.append(index)

    def _agent_file(self, index: int) -> Path:
        return self.folder / f"agent_{index:08d}.zip"

    # ------------------------------------------------------------ going on

    def take_up(self, adaptation: "Adaptation") -> bool:
        """
        Bring an adaptation that has not begun, and whose environments were reset, where the newest checkpoint that can
        be read was.

        :return: False where there is no checkpoint
        :raises ModelFileError: where there are some, and none can be read
        :raises SettingsError: for checkpoints of another adaptation
        """
        self._fingerprint = fingerprint(adaptation)
        if not states(self.folder):
            return False

        def read(path: Path) -> tuple[int, Parts, Mapping[int, SkillPriorSAC], list[Ended]]:
            parts = self._read(path, adaptation)
            return number_of(path), parts, *self._of_files(parts, adaptation)

        number, parts, agents, ended = newest_readable(self.folder, read)
        self._take(number, parts, agents, ended, adaptation)
        return True

    def _read(self, path: Path, adaptation: "Adaptation") -> Parts:
        with open_zip(path, packed=False) as archive:
            data = json.loads(member(archive, "training.json"))
            if data["adaptation"] != self._fingerprint:
                raise SettingsError(
                    f"{self.folder} holds checkpoints of another adaptation, of other tasks, settings or seed, or of "
                    "another model: expected an empty folder, or these removed."
                )
            if not 0.0 <= data["seconds"] < float("inf"):
                raise ValueError("the seconds that were spent are none")
            limit = MAX_MEMBER_BYTES["learner.pth"]

            def tensors(name: str) -> Any:
                return read_tensors(member(archive, name, limit))

            return checked(adaptation, data, arrays_of(member(archive, "training.npz")), tensors)

    def _of_files(self, parts: Parts, adaptation: "Adaptation") -> tuple[Mapping[int, SkillPriorSAC], list[Ended]]:
        """What a state names: rows, which the buffers get, agents that have adapted, and episodes that have ended."""
        RowChunks(self.folder, parts.data["chunks"]).fill(parts.buffers)
        agents: dict[int, SkillPriorSAC] = {}
        for index in map(int, parts.data["adapted"]):
            agents[index] = SkillPriorSAC.load(self._agent_file(index), device=adaptation.device)
            agents[index].replay_buffer.copy_ring(0, parts.buffers["replay"], index)
            adaptation.give_task(agents[index], index)
        files = [self.folder / Path(name).name for name in parts.data["episode_files"]]
        ended = [each for file in files for each in ended_of(arrays_of(read_regular(file)), adaptation.tasks)]
        return agents, ended

    def _take(
        self,
        number: int,
        parts: Parts,
        agents: Mapping[int, SkillPriorSAC],
        ended: list[Ended],
        adaptation: "Adaptation",
    ) -> None:
        self._number, self.spent, self.n_episodes = number, float(parts.data["seconds"]), len(ended)
        self._chunks = RowChunks(self.folder, parts.data["chunks"])
        self._episode_files, self._adapted = list(parts.data["episode_files"]), list(agents)
        for index, agent in agents.items():
            adaptation.agents[index] = agent
        if self.verbose >= 1:
            sys.stderr.write(f"Going on after {self.n_episodes} episodes.\n")
        told = np.zeros(len(adaptation.tasks), int)
        for whose, finished in ended:
            told[whose] += 1
            adaptation.on_episode(whose, int(told[whose]), finished)
        take(adaptation, parts)
