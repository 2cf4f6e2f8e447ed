"""The verb ``experiment``: a grid from its file to rows and a page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.engine import Engine, Outcome
from simpl_sb3.experiments.flags import Chosen, WithDevice, say
from simpl_sb3.experiments.grid import Cell, Grid
from simpl_sb3.experiments.grid_file import find_grid, read_grid
from simpl_sb3.experiments.grid_view import GridView
from simpl_sb3.experiments.places import Place, Processes
from simpl_sb3.experiments.ray_place import RayTasks
from simpl_sb3.experiments.run_folder import check_writable, held
from simpl_sb3.settings import setting

__all__ = ["GridVerb"]


@dataclass(frozen=True, kw_only=True)
class GridVerb(WithDevice):
    """
    Run a grid of experiments: methods x seeds x task sets, from a TOML file (see simpl_sb3/experiments/grid_file.py)
    or by the name of one that comes along, such as fig4-maze. Stages that methods share run once; the same command goes
    on after an interruption.

    :param file: the grid's file or name
    :param output: folder for stages, logs, results and the report; runs/NAME by default
    :param budget: a smaller form that the grid declares, such as small
    :param workers: cores to use, each for a stage; one by default, with --ray all that there are
    :param ray: address of a Ray cluster, such as 10.0.0.1:6379 or auto; "local" starts Ray on this machine
    :param dry_run: only print what would run, and what it costs
    """

    positional: ClassVar[frozenset[str]] = frozenset({"file"})
    file: Annotated[str, tyro.conf.arg(metavar="GRID")]
    output: Path | None = None
    budget: str | None = None
    workers: int | None = setting(None, at_least=1, at_most=10_000)
    ray: str | None = None
    dry_run: bool = False

    def run(self, chosen: Chosen, given: Mapping[str, Any]) -> None:
        path = find_grid(self.file)
        grid = read_grid(path)
        name = path.stem if self.budget is None else f"{path.stem}-{self.budget}"
        grid = grid if self.budget is None else grid.within(self.budget)
        cells, folder = grid.cells(), (self.output or Path("runs") / name).resolve()
        if self.dry_run:
            engine = Engine(cells, folder, Processes(folder, self.workers or 1), grid.minutes, grid.cores)
            say(plan(cells, engine))
            for cell in cells:
                state, minutes = "done " if cell in engine.outcome.done else "to do", engine.expected(cell)
                say(f"  {state} {cell.key}  {'' if minutes is None else f'{minutes:5.1f} min  '}{cell.name}")
            return
        check_writable(folder, is_folder=True)
        with held(folder), GridView(folder) as view:
            place = self._place(folder)
            engine = Engine(cells, folder, place, grid.minutes, grid.cores, view.say, view.watch)
            view.say(plan(cells, engine))
            outcome = engine.run()
        rows = [folder / cell.stage.output for cell in outcome.done if cell.stage.kind == "adapt"]
        logs = [folder / cell.stage.output / "progress.csv" for cell in outcome.done if cell.stage.kind == "meta-train"]
        if rows:
            say(f"Report: {report(grid, rows, folder / 'report', [log for log in logs if log.is_file()])}")
        tell_failures(outcome, cells)

    def _place(self, folder: Path) -> Place:
        """
        :raises SettingsError: for a Ray that is missing or does not answer
        """
        if self.ray is None:
            return Processes(folder, self.workers or 1, self.device)
        return RayTasks(folder, self.ray, self.workers, self.device)


def plan(cells: Sequence[Cell], engine: Engine) -> str:
    """What there is to do and what it costs, as one paragraph."""
    kinds = Counter(cell.stage.kind for cell in cells)
    counted = ", ".join(f"{number} x {kind}" for kind, number in kinds.items())
    text = f"{len(cells)} stages ({counted}), {len(engine.outcome.done)} of them done."
    left, unknown = engine.core_minutes_left(), engine.unknown()
    if left > 0.0:
        text += (
            f" Projected: {left / 60:.1f} core-hours, {engine.minutes_left():.0f} min on {engine.place.cores()} "
            f"core{'s' * (engine.place.cores() > 1)}"
        )
        text += f", and {', '.join(unknown)}, of which [minutes] says nothing." if unknown else "."
    return text


def report(grid: Grid, rows: Sequence[Path], output: Path, logs: Sequence[Path] = ()) -> Path:
    """Figures, tables and one page from the rows that are there."""
    from simpl_sb3.domains import find_domain
    from simpl_sb3.experiments.reporting import known_facts
    from simpl_sb3.report import make_report

    facts = known_facts([find_domain(grid.domain)])
    kept = [path for file in rows if (path := file.with_suffix(".npz")).exists()]
    return make_report(rows, output, kept, progress=(), logs=logs, facts=facts, overwrite=True)


def tell_failures(outcome: Outcome, cells: Sequence[Cell]) -> None:
    """
    :raises SettingsError: where a stage failed, with each one's reason
    """
    if not outcome.failed:
        return
    names = {cell.key: cell.name for cell in cells}
    reasons = "; ".join(f"{names[key]}: {reason}" for key, reason in outcome.failed.items())
    raise SettingsError(
        f"{len(outcome.failed)} of {len(cells)} stages failed, {len(outcome.blocked)} wait for them. {reasons}. The "
        "same command tries them again."
    )
