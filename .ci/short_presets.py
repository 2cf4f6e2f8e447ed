"""The demo's short form: the shipped presets with one task and three episodes, two of which explore."""

from dataclasses import replace

from simpl_sb3 import Preset, preset


def shortened(name: str, task: str) -> Preset:
    """A shipped preset that is over in seconds; its numbers mean nothing."""
    chosen = preset(name)
    adapt = {**chosen.adapt, "n_exploration_episodes": 2, "initial_updates": 5}
    return replace(chosen, test_tasks=task, demo_episodes=3, adapt=adapt)


MAZE, KITCHEN = shortened("maze-fast", "12-7"), shortened("kitchen-fast", "5021")
