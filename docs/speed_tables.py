"""Tables of the speed page, from the files that ``make benchmark`` writes to benchmarks/results/speed."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from speed.growth import growth  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "speed"
REFERENCES = {"env steps/s": "bare MuJoCo", "FLOP/s": "matrix products"}


def runs(folder: Path = RESULTS) -> list[tuple[str, dict[str, Any]]]:
    """Every finished run, with its name."""
    paths = sorted(path for path in folder.glob("*.json") if not path.name.endswith(".part.json"))
    return [(path.stem, json.loads(path.read_text(encoding="utf-8"))) for path in paths]


def short(number: float) -> str:
    """A number with three digits, in thousands, millions or billions."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= limit:
            return f"{number / limit:.3g} {unit}"
    return f"{number:.3g}"


def within(spread: dict[str, float]) -> str:
    """Median, and the half of the pairs around it."""
    return f"{spread['median']:.2f} [{spread['low']:.2f}, {spread['high']:.2f}]"


def about(run: dict[str, Any]) -> str:
    """Machine, versions and load of a run, in a paragraph."""
    machine, figures, versions = run["machine"], run["figures"].values(), run["versions"]
    loads = [load for figure in figures for load in figure["load"]]
    memory = "" if machine["memory_gib"] is None else f", {machine['memory_gib']:g} GiB"
    packages = ", ".join(f"{name} {versions[name]}" for name in ("torch", "mujoco", "numpy") if name in versions)
    commit = str(run.get("git", {}).get("commit"))[:10]
    return (
        f"{machine['cpu']}, {machine['cores']} cores{memory}, {machine['platform']}; Python {versions['python']}, "
        f"{packages}; {run['form']} form, {run['began'][:10]}, commit {commit}. "
        f"While it ran, {min(loads):.1f} to {max(loads):.1f} processes wanted a core, its own included."
    )


def figure_table(figures: list[dict[str, Any]]) -> str:
    """One row per figure: ratio by the clock and by processor time, goal, both rates."""
    reference = REFERENCES[figures[0]["unit"]]
    rows = [
        f"| | ratio to {reference} | by processor time | goal | ours, {figures[0]['unit']} | {reference} | pairs |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure in figures:
        threads = f", {figure['threads']} thread{'s' if figure['threads'] > 1 else ''}" if "threads" in figure else ""
        precision = {"highest": ", float32", "medium": ", bfloat16"}.get(figure.get("precision", ""), "")
        goal = f"≥ {figure['goal']:g}" if "goal" in figure else ""
        ours, theirs = (short(figure[name]["median"]) for name in ("ours_rate", "reference_rate"))
        rows.append(
            f"| {figure['title']}{precision}{threads} | {within(figure['ratio'])} | "
            f"{within(figure['processor_ratio'])} | {goal} | {ours} | {theirs} | {figure['ratio']['n']} |"
        )
    return "\n".join(rows)


def curve_table(figures: list[dict[str, Any]]) -> str:
    """One row per curve: its sizes, seconds of processor time at each, and how they grow."""
    rows = ["| over | sizes | ms of processor time | fitted, ms | power |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(figure["curve"] for figure in figures):
        points = sorted((figure for figure in figures if figure["curve"] == name), key=lambda figure: figure["size"])
        sizes = [figure["size"] for figure in points]
        costs = [1e3 * figure["cost"]["median"] for figure in points]
        fit = growth(sizes, costs)
        line = f"{fit['fixed']:.3g} + {fit['each']:.3g} n, within {100 * fit['worst']:.0f} %"
        power = f"{fit['power']:.2f}" + ("" if fit["power_error"] is None else f" ± {fit['power_error']:.2f}")
        shown = ", ".join(f"{cost:.3g}" for cost in costs)
        rows.append(f"| {name} | {', '.join(map(str, sizes))} | {shown} | {line} | {power} |")
    return "\n".join(rows)


def speed_tables(folder: Path = RESULTS) -> str:
    """All runs: machine, figures by group, and growth."""
    parts = []
    titles = {"collection": "Collection", "environments": "Over the number of environments", "learning": "Learning"}
    for name, run in runs(folder):
        parts += [f"### {name}", about(run), ""]
        figures = list(run["figures"].values())
        for group, title in titles.items():
            chosen = sorted((each for each in figures if each["group"] == group), key=_order)
            if chosen:
                parts += [f"**{title}**", "", figure_table(chosen), ""]
        if curves := [figure for figure in figures if "curve" in figure and "cost" in figure]:
            parts += ["**Growth**", "", curve_table(curves), ""]
    return "\n".join(parts) or "No run is kept here."


def _order(figure: dict[str, Any]) -> tuple[str, str, int]:
    return figure.get("domain", ""), figure.get("layer", figure["title"]), figure.get("environments", 0)
