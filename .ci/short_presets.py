"""The demo's short form: the shipped presets with three episodes, two of which explore."""

from dataclasses import replace

from simpl_sb3 import Preset, preset


def shortened(name: str) -> Preset:
    """A shipped preset that is over in seconds; its numbers mean nothing."""
    chosen = preset(name)
    adapt = {**chosen.adapt, "n_exploration_episodes": 2, "initial_updates": 5}
    return replace(chosen, demo_episodes=3, adapt=adapt)


MAZE, KITCHEN = shortened("maze-fast"), shortened("kitchen-fast")
