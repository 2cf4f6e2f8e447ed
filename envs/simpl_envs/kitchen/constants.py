"""What an observation of the kitchen consists of. numpy only: whoever reads demonstrations needs no simulator."""

import numpy as np

from simpl_envs.kitchen.tasks import SUBTASK_GOALS

__all__ = ["GOAL_HALF", "N_POSITIONS", "N_ROBOT", "POSITION_BOUND"]

N_ROBOT = 9
"""Arm joints 0 to 6 (rad), fingers 7 and 8 (m)."""
N_POSITIONS = 30
"""Robot, four knobs each with its burner, light switch, light, slide, two doors, microwave, kettle (a free body)."""
POSITION_BOUND = 8.0
"""Bound of every observed number, D4RL's (rad, m)."""
GOAL_HALF = np.zeros(N_POSITIONS, dtype=np.float32)
"""Second half of every observation, (30,), as in D4RL: goals of bottom burner, light, microwave and kettle, else 0."""
for _subtask in (0, 2, 5, 6):
    for _index, _value in SUBTASK_GOALS[_subtask].items():
        GOAL_HALF[_index] = _value
