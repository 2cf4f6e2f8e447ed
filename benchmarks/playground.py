"""
From the click to the adapted agent that reaches the goal, for random goals outside every list, as the playground runs
it: SiMPL and SPiRL side by side in one thread::

    OMP_NUM_THREADS=1 python benchmarks/playground.py --goals 10

CPU seconds are what a click costs on a core that has nothing else to do; wall seconds are longer on a busy machine.
"""

import argparse
import time
from typing import Any

from simpl_sb3.domains import find_domain
from simpl_sb3.experiments.play_verb import offered
from simpl_sb3.experiments.presets import find_preset
from simpl_sb3.play.outbox import Closed
from simpl_sb3.play.worker import Worker


class Watch:
    """Stands where the page would: notes when an agent that has begun to fine-tune succeeds."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A click."""
        self.started, self.cpu = time.perf_counter(), time.process_time()
        self.found: str | None = None
        self.reached: str | None = None
        self.over, self.messages = False, 0

    def put(self, message: Any) -> None:
        """What the page would be told."""
        if self.over:
            raise Closed
        self.messages += 1
        if not isinstance(message, dict) or message.get("agent") != 0:
            return
        now = f"{time.process_time() - self.cpu:5.1f} s CPU, {time.perf_counter() - self.started:6.1f} s"
        if message["type"] == "episode" and message["success"]:
            self.found = self.found or f"{now}, episode {message['episode']}"
            if message["phase"] in ("fine-tuning", "adapted"):
                self.reached = f"{now}, episode {message['episode']}"
                self.over = True
        elif message["type"] == "over":
            self.over = True

    def close(self) -> None:
        """Nothing to let go."""


def main() -> None:
    """Prints a line for each goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--goals", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--alone", action="store_true", help="SiMPL without SPiRL beside it")
    arguments = parser.parse_args()
    domain = find_domain("maze")
    choices = offered(domain, find_preset(None, domain), None)
    choices[0].load()
    for number, task in enumerate(domain.tasks(f"random:{arguments.goals}:{arguments.seed}")):
        watch: Any = Watch()
        worker = Worker(choices, watch, 40)
        worker.order({"type": "start", "text": task.name, "seed": number, "compare": not arguments.alone})
        watch.begin()
        worker.run()
        print(
            f"{task.name}: first success {watch.found}; adapted agent {watch.reached}; {watch.messages} messages",
            flush=True,
        )


if __name__ == "__main__":
    main()
