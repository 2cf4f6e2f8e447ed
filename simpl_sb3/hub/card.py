"""The model card: what a model is, what was measured and by which command, made from its provenance and result rows."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from simpl_sb3.errors import ResultsError
from simpl_sb3.hub.files import MODEL, SKILLS, Facts
from simpl_sb3.results.estimates import Estimate, estimate
from simpl_sb3.results.facts import DEFAULT_EPISODES, SUCCESS, Measure
from simpl_sb3.results.row import EpisodeRow
from simpl_sb3.results.rows import ResultFile, agent_episodes

__all__ = ["Finding", "findings", "model_card"]

LAST = 5
"""Episodes whose mean is given where a run is shorter than the first value of a table."""
METRIC_TYPES = {"success": "success_rate", "return": "mean_reward"}
PAPER = "https://arxiv.org/abs/2204.11828"


@dataclass(frozen=True)
class Finding:
    """
    One measured value.

    :param method: and preset, environment, task set: of the rows
    :param measure: what was measured
    :param when: "at episode 20", or "in the last 5 episodes"
    :param value: mean over agents with its interval
    :param commands: that wrote the rows
    """

    method: str
    preset: str
    env: str
    task_set: str
    measure: Measure
    when: str
    value: Estimate
    commands: tuple[str, ...]

    @property
    def text(self) -> str:
        """``0.91 [0.85, 0.97]``; without an interval where there is one agent."""
        mean, low, high, n_agents = self.value
        return f"{mean:.3g}" if n_agents == 1 else f"{mean:.3g} [{low:.3g}, {high:.3g}]"


def _group_of(pair: tuple[EpisodeRow, ResultFile]) -> tuple[str, str, str, str]:
    row = pair[0]
    return row.method, row.preset, row.env, row.task_set


def findings(files: Sequence[ResultFile]) -> list[Finding]:
    """
    What result rows say, files of one method, preset, environment and task set taken together.

    :raises ResultsError: for rows that do not belong together
    """
    pairs = sorted(((row, file) for file in files for row in file.rows), key=_group_of)
    found: list[Finding] = []
    for names, group in groupby(pairs, key=_group_of):
        members = list(group)
        sources = list({id(file): file for _, file in members}.values())
        measures = {file.measure or SUCCESS for file in sources}
        if len(measures) > 1:
            raise ResultsError(f"{names[0]} on {names[2]} is measured in several ways: expected files of one measure.")
        measure = measures.pop()
        agents = agent_episodes([row for row, _ in members], measure.column)
        commands = tuple(dict.fromkeys(str(file.metadata.get("command") or "") for file in sources))
        values = [(f"at episode {n}", agents.at(n)) for n in DEFAULT_EPISODES if agents.has(n)]
        values = values or [(f"in the last {LAST} episodes", agents.last(LAST))]
        found += [Finding(*names, measure, when, estimate(value, agents.tasks), commands) for when, value in values]
    return found


def model_card(
    repo_id: str,
    facts: Facts,
    provenance: Mapping[str, Any],
    found: Sequence[Finding],
    *,
    license_name: str | None,
    video: str | None,
) -> str:
    """
    Markdown with the front matter that the hub reads.

    :param repo_id: where it will stand
    :param facts: of the model
    :param provenance: a run's record, or several under "runs"
    :param found: what was measured
    :param license_name: the model's, such as "mit"; None says nothing
    :param video: name of a film in the repository
    """
    runs = [run for run in provenance.get("runs", [provenance]) if isinstance(run, Mapping)]
    parts = [
        f"# {repo_id.partition('/')[2] or repo_id}",
        _summary(facts),
        _usage(repo_id, facts),
        _results(found),
        f"## Video\n\n[{video}]({video})" if video else "",
        _made(runs),
        "This card was written by `push_to_hub` from `provenance.json` and the result rows beside it.",
    ]
    return (
        f"---\n{_front_matter(repo_id, facts, found, license_name)}\n---\n\n" + "\n\n".join(filter(None, parts)) + "\n"
    )


def _front_matter(repo_id: str, facts: Facts, found: Sequence[Finding], license_name: str | None) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="reinforcement-learning",
            task_name="reinforcement-learning",
            dataset_type=each.env,
            dataset_name=f"{each.env}, tasks {each.task_set}",
            metric_type=METRIC_TYPES[each.measure.column],
            metric_name=f"{each.measure.label} {each.when} ({each.method}), mean [95 % interval] of "
            f"{each.value.n_agents} agents",
            metric_value=each.text,
        )
        for each in found
    ]
    tags = ["reinforcement-learning", "deep-reinforcement-learning", "meta-reinforcement-learning", "simpl-sb3"]
    tags += ["stable-baselines3", facts.kind, *([facts.env_id] if facts.env_id else [])]
    data = ModelCardData(
        library_name="simpl-sb3",
        license=license_name,
        tags=tags,
        model_name=repo_id.partition("/")[2] or repo_id,
        eval_results=results or None,
    )
    return str(data.to_yaml())


def _summary(facts: Facts) -> str:
    over = f" for `{facts.env_id}`" if facts.env_id else ""
    what = "Skills" if _are_skills(facts) else "An agent over skills"
    return (
        f"{what} of [simpl-sb3](https://pypi.org/project/simpl-sb3/){over}: class `{facts.kind}`, skills of "
        f"{facts.skills.get('horizon', 1)} env steps. The method is [SiMPL]({PAPER}): skill-based meta-reinforcement "
        "learning, over Stable-Baselines3."
    )


def _usage(repo_id: str, facts: Facts) -> str:
    load = f'model = {facts.kind}.load_from_hub("{repo_id}", "{MODEL}")'
    if _are_skills(facts):
        load = f'skills = {facts.kind}.load(load_from_hub("{repo_id}", "{SKILLS}"))'
    names = f"{facts.kind}, load_from_hub" if _are_skills(facts) else facts.kind
    return (
        f"## Use\n\n```bash\npip install 'simpl-sb3[hub]'\n```\n\n```python\nfrom simpl_sb3 import {names}\n\n{load}\n"
        "```\n\nFiles hold tensors and JSON. Loading them runs no code of theirs, and checks the hash in each."
    )


def _are_skills(facts: Facts) -> bool:
    return facts.settings == facts.skills


def _results(found: Sequence[Finding]) -> str:
    if not found:
        return ""
    rows = [
        f"| {each.method} | {each.preset} | {each.env} | {each.task_set} | {each.measure.label} {each.when} | "
        f"{each.text} | {each.value.n_agents} |"
        for each in found
    ]
    commands = dict.fromkeys(command for each in found for command in each.commands if command)
    return "\n".join(
        [
            "## Results",
            "",
            "Mean over agents (task × seed) [95 % interval, bootstrap over agents]. At episode N: the mean of episodes "
            "N−4 to N+5, at 20 of 21 to 30, by the acting policy.",
            "",
            "| method | preset | environment | tasks | measure | value | agents |",
            "|---|---|---|---|---|---|---|",
            *rows,
            *(["", "Measured by", "", _fenced("\n".join(commands))] if commands else []),
        ]
    )


def _made(runs: Sequence[Mapping[str, Any]]) -> str:
    parts = ["## How it was made"]
    for run in runs:
        parts.append(f"### {_plain(run.get('stage', 'run'))}")
        if command := run.get("command"):
            parts.append(_fenced(command if isinstance(command, str) else shlex.join(map(str, command))))
        metrics = run.get("metrics")
        if isinstance(metrics, Mapping) and metrics:
            rows = [f"| {_plain(name)} | {_plain(value)} |" for name, value in metrics.items()]
            parts.append("\n".join(["| metric | value |", "|---|---|", *rows]))
        parts.append("\n".join(_circumstances(run)))
    return "\n\n".join(part for part in parts if part)


def _circumstances(run: Mapping[str, Any]) -> list[str]:
    """Seed, time, commit, machine and versions of a run, as far as its record has them."""
    settings, git, machine = (run.get(name) or {} for name in ("settings", "git", "machine"))
    commit = git.get("commit")
    shown = {
        "Seed": settings.get("seed"),
        "Wall time": f"{run['wall_time_s']} s" if run.get("wall_time_s") is not None else None,
        "Commit": f"{commit}{' (with changes)' if git.get('dirty') else ''}" if commit else None,
        "Machine": ", ".join(f"{name} {value}" for name, value in machine.items() if value is not None) or None,
        "Versions": ", ".join(f"{name} {value}" for name, value in (run.get("versions") or {}).items()) or None,
    }
    return [f"- {name}: {_plain(value)}" for name, value in shown.items() if value is not None]


def _plain(value: Any) -> str:
    """A value as a cell of a table: one line, nothing that Markdown or HTML reads."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return re.sub(r"([\\|<>`*\[\]])", r"\\\1", " ".join(text.split()))


def _fenced(text: str) -> str:
    """A block of code, whose fence is longer than any that stands in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}bash\n{text}\n{fence}"
