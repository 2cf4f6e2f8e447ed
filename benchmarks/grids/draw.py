"""
Draws the lists of test tasks of the grids in this folder, once: disjoint from the published lists and from the
development lists on which settings are chosen::

    python benchmarks/grids/draw.py

``maze-test.txt``: 30 goals, uniform over the cells at least 5 cells along the shortest path from the start.
``kitchen-test.txt``: 20 sequences, each with a pair of consecutive subtasks that no training sequence has.
"""

from itertools import pairwise, permutations
from pathlib import Path

import numpy as np

from simpl_sb3.domains import find_domain

SEED = 2026
N_CELLS = 166  # that are neither published nor nearer than 5 cells
DEVELOPMENT = {
    "maze": ("random:30:0", "random:30:78", "1-7,18-9,2-14,2-2,1-14,3-18"),
    "kitchen": ("random:10:5", "random:10:77"),
}
HERE = Path(__file__).parent


def known(domain: str) -> set[str]:
    """Names of the published tasks and those for development."""
    record = find_domain(domain)
    return {task.name for text in (*record.task_sets, *DEVELOPMENT[domain]) for task in record.tasks(text)}


def maze_goals(n: int) -> list[str]:
    """Goals in the order of one draw of all cells, but for those that are known."""
    record, taken = find_domain("maze"), known("maze")
    free = [task.name for task in record.tasks(f"random:{N_CELLS}:{SEED}") if task.name not in taken]
    return free[:n]


def kitchen_sequences(n: int) -> list[str]:
    """Sequences with a new pair of consecutive subtasks, but for those that are known."""
    taken = known("kitchen")
    trained = {pair for task in find_domain("kitchen").tasks("train") for pair in pairwise(task.name)}
    new = [
        "".join(order)
        for order in permutations("0123456", 4)
        if "".join(order) not in taken and not trained.issuperset(pairwise(order))
    ]
    return sorted(np.random.default_rng(SEED).choice(new, n, replace=False).tolist())


if __name__ == "__main__":
    for name, tasks in (("maze", maze_goals(30)), ("kitchen", kitchen_sequences(20))):
        (HERE / f"{name}-test.txt").write_text("\n".join(tasks) + "\n")
        print(name, *tasks)
