"""Options of ``make benchmark``, and the fixture that measures a figure and keeps it."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch as th

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from speed.pairs import Half, Timed, load, paired, repeated, spread, timed
from speed.record import ROOT, RunFile, file_name, identity

ROUNDS = {"short": (5, 0.2, 6.0), "full": (15, 0.6, 60.0)}
"""By form: pairs, seconds of each half, and of all halves of ours; where one takes long, there are fewer pairs."""
FEWEST = 3
FIGURES = pytest.StashKey[RunFile]()
SELECTED = pytest.StashKey[set[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Form, folder, and whether to begin anew."""
    group = parser.getgroup("speed")
    group.addoption("--short", action="store_true", help="fewer sizes, pairs and seconds: under five minutes")
    group.addoption("--again", action="store_true", help="measure anew what a stopped run has measured already")
    group.addoption("--results", type=Path, default=ROOT / "benchmarks" / "results" / "speed", help="folder")


def form_of(config: pytest.Config) -> str:
    """Name of the run's form: short or full."""
    return "short" if config.getoption("--short") else "full"


def pytest_configure(config: pytest.Config) -> None:
    """Find the file of the run."""
    threads = {"torch": th.get_num_threads(), "cores": len(os.sched_getaffinity(0))}
    about = identity(form_of(config), threads)
    run = RunFile(config.getoption("--results") / file_name(about["machine"], about["form"]), about)
    if config.getoption("--again"):
        run.figures.clear()
    config.stash[FIGURES] = run


def pytest_report_header(config: pytest.Config) -> str:
    """Which file, and whether it goes on."""
    run = config.stash[FIGURES]
    return f"speed: {run.path.name}, {form_of(config)} form, {len(run.figures)} figures measured before, load {load()}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Sizes by form: ``SIZES = {name of the test: {"short": [...], "full": [...]}}`` of a module."""
    sizes = getattr(metafunc.module, "SIZES", {}).get(metafunc.function.__name__)
    if sizes is not None:
        cases = sizes[form_of(metafunc.config)]
        metafunc.parametrize("case", cases, ids=["-".join(str(part) for part in case) for case in cases])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a stopped run has measured."""
    run = config.stash[FIGURES]
    config.stash[SELECTED] = {item.name for item in items}
    for item in items:
        if item.name in run.figures:
            item.add_marker(pytest.mark.skip(reason="measured before; --again measures anew"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Put the file in place once it has every figure of its form."""
    chosen = session.config.getoption("-k") or len(session.config.args) != 1
    names = session.config.stash.get(SELECTED, set())
    if not chosen and session.config.stash[FIGURES].complete(names):
        session.config.stash[FIGURES].figures.clear()


class Figure:
    """
    Measures one figure: ours by pytest-benchmark, and before each of its rounds, untimed, the reference.

    :param benchmark: pytest-benchmark's fixture
    :param run: where it is kept
    :param name: of the figure
    :param form: of the run
    """

    def __init__(self, benchmark: Any, run: RunFile, name: str, form: str) -> None:
        self.benchmark, self.run, self.name = benchmark, run, name
        self.rounds, self.seconds, self.most = ROUNDS[form]

    def __call__(self, ours: Half, reference: Half, **about: Any) -> dict[str, Any]:
        """
        Measure, and keep.

        :param ours: work per call, in the same unit as the reference's
        :param reference: what it is compared to
        :param about: what the figure is; ``title``, ``unit`` and ``group`` at least
        """
        began, load_before = time.perf_counter(), load()
        our_half, times, once = repeated(ours, self.seconds)
        reference_half, *_ = repeated(reference, self.seconds)
        rounds = max(FEWEST, min(self.rounds, int(self.most / (times * once))))
        ours_timed: list[Timed] = []
        around: list[Timed] = []

        def before() -> None:
            around.append(timed(reference_half))

        def round_of_ours() -> None:
            ours_timed.append(timed(our_half))

        self.benchmark.pedantic(round_of_ours, setup=before, rounds=rounds, iterations=1)
        around.append(timed(reference_half))
        figure = {**about, **paired(ours_timed, around), "load": [load_before, load()]}
        figure["cost"] = spread([each.processor / times for each in ours_timed])  # processor seconds of one call
        figure["seconds"] = round(time.perf_counter() - began, 1)
        self.benchmark.extra_info.update(ratio=figure["ratio"]["median"])
        self.run.keep(self.name, figure)
        return figure


@pytest.fixture
def figure(request: pytest.FixtureRequest, benchmark: Any) -> Figure:
    """Measures the figure that is called as the test is."""
    return Figure(benchmark, request.config.stash[FIGURES], request.node.name, form_of(request.config))
