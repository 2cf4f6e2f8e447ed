"""Plain work of an update per second, as a share of the machine's rate of matrix products."""

from typing import Any

from speed.learning import Adapting, MetaTraining, matrix_products

PAPER, FAST = "paper", "fast"
GOALS = {PAPER: 0.5, FAST: 0.3}
PRESETS = [(domain, kind) for domain in ("maze", "kitchen") for kind in (PAPER, FAST)]
SIZES = {
    "test_meta_update": {  # one update of maze-paper is 0.8 TFLOP: too long for the short form
        "short": [(*each, "preset") for each in PRESETS if each != ("maze", PAPER)],
        "full": [(*each, precision) for each in PRESETS for precision in ("preset", "highest")],
    },
    "test_adaptation_update": {
        "short": [("maze", PAPER, 10, "preset"), ("maze", FAST, 10, "preset"), ("kitchen", FAST, 10, "preset")],
        "full": [
            (*each, n_agents, precision)
            for each in PRESETS
            for n_agents, precision in ((1, "preset"), (10, "preset"), (30, "preset"), (10, "highest"))
        ],
    },
    "test_update_curve": {
        "short": [("tasks", n) for n in (4, 40)]
        + [("context", n) for n in (64, 1024)]
        + [("batch", n) for n in (32, 512)],
        "full": [("tasks", n) for n in (4, 16, 40, 100, 250)]
        + [("context", n) for n in (16, 64, 256, 1024, 4096)]
        + [("batch", n) for n in (16, 64, 128, 512, 2048)]
        + [("agents", n) for n in (1, 3, 10, 30, 100)],
    },
}


def measure(figure: Any, update: MetaTraining | Adapting, **about: Any) -> None:
    """One figure of learning."""
    try:
        reference = matrix_products(update.precision, update.threads)
        figure(
            update.half,
            reference,
            unit="FLOP/s",
            flops=update.flops,
            precision=update.precision,
            threads=update.threads,
            **about,
        )
    finally:
        update.close()


def precision_of(name: str) -> dict[str, str]:
    """The setting, where it is not the preset's own."""
    return {} if name == "preset" else {"matmul_precision": name}


def test_meta_update(figure: Any, case: tuple[str, str, str]) -> None:
    """As meta-training updates: samples and contexts drawn, encoder, critics, actor, budgets."""
    domain, kind, precision = case
    update = MetaTraining(f"{domain}-{kind}", **precision_of(precision))
    title = f"meta-update, {domain}-{kind}"
    goal = {"goal": GOALS[kind]} if precision == "preset" else {}
    measure(figure, update, group="learning", title=title, **goal)


def test_adaptation_update(figure: Any, case: tuple[str, str, int, str]) -> None:
    """As adaptation updates: samples drawn, critics, actor, budget of agents side by side."""
    domain, kind, n_agents, precision = case
    update = Adapting(f"{domain}-{kind}", n_agents, **precision_of(precision))
    title = f"adaptation update, {domain}-{kind}, {n_agents} agent{'s' if n_agents > 1 else ''}"
    goal = {"goal": GOALS[kind]} if precision == "preset" else {}
    measure(figure, update, group="learning", title=title, **goal)


def test_update_curve(figure: Any, case: tuple[str, int]) -> None:
    """Over tasks, rows of a context and transitions of a task in meta-training, and over agents of an adaptation."""
    of, size = case
    update: MetaTraining | Adapting
    if of == "agents":
        update = Adapting("maze-fast", size)
    elif of == "tasks":
        few = max(1, size // 8)
        update = MetaTraining("maze-fast", n_tasks=size, tasks_per_update=(few, size - few), buffer_size=2_000)
    elif of == "context":
        update = MetaTraining("maze-fast", context_sizes=(4, size))
    else:
        update = MetaTraining("maze-fast", batch_size=size)
    title = {"tasks": "tasks in an update", "context": "rows of a context", "batch": "transitions of a task"}
    name = title.get(of, "agents side by side")
    about = {"group": "updates", "title": f"{size} {name}", "curve": f"maze-fast: {name}", "size": size}
    measure(figure, update, **about)
