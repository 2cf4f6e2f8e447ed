"""Charts about episodes: ours beside the published ones, and nothing where there is nothing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from reports_for_tests import MAZE, make_rows

from simpl_sb3.errors import ResultsError
from simpl_sb3.experiments.reporting import known_facts
from simpl_sb3.report.curves import conditioning_chart, curve_chart, read_training, training_charts
from simpl_sb3.report.groups import group_results, read_all
from simpl_sb3.results.rows import write_results

FACTS = known_facts()


def data_of(chart: str) -> dict[str, Any]:
    found = re.search(r"<script type=application/json>(.*?)</script>", chart)
    assert found is not None
    return {line["label"]: line for line in json.loads(found[1])["series"]}


def log(folder: Path, method: str = "simpl", tasks: str = "easy", values: str = "0.2 0.4 0.8") -> Path:
    folder.mkdir(parents=True)
    run = {"settings": {"method": method, "train_tasks": tasks}}
    (folder / "run.json").write_text(json.dumps(run))
    lines = [f"{500 * n},{value}" for n, value in enumerate(values.split(), start=1)]
    (folder / "progress.csv").write_text("\n".join(["time/episodes,rollout/success_posterior", *lines]) + "\n")
    return folder / "progress.csv"


def test_curves_stand_beside_the_published_ones(tmp_path: Path) -> None:
    rows = make_rows("simpl", MAZE, 0.5)
    write_results(tmp_path / "a.csv", rows, {}, training_task_set="train-40")
    (group,) = group_results(read_all([tmp_path]), FACTS)
    lines = data_of(curve_chart(group))
    assert list(lines) == ["SiMPL", "paper: SiMPL", "paper: SPiRL", "paper: MTRL", "paper: PEARL"]
    assert (lines["paper: SiMPL"]["x"], lines["paper: SiMPL"]["y"]) == ([20.0, 40.0], [0.43, 0.74])  # as far as ours
    assert lines["paper: SiMPL"]["colour"] == lines["SiMPL"]["colour"]
    write_results(tmp_path / "b.csv", make_rows("simpl", "Own-v0", 0.5, 3), {})
    (short,) = (group for group in group_results(read_all([tmp_path]), FACTS) if group.env == "Own-v0")
    assert curve_chart(short) == ""


def test_meta_trainings_of_one_method_are_one_line(tmp_path: Path) -> None:
    write_results(tmp_path / "a.csv", make_rows("simpl", MAZE, 0.5), {})
    groups = group_results(read_all([tmp_path]), FACTS)
    logs = [log(tmp_path / "0"), log(tmp_path / "1", values="0.4 0.6 1.0"), log(tmp_path / "2", tasks="medium")]
    read = [read_training(path, "success") for path in logs]
    easy, medium = training_charts([run for run in read if run is not None], groups, FACTS)
    lines = data_of(easy)
    assert next(iter(lines)) == "SiMPL (2 runs)"
    both = lines["SiMPL (2 runs)"]
    assert (both["x"][-1], both["y"][-1], both["low"][-1], both["high"][-1]) == (1500.0, 0.9, 0.8, 1.0)
    assert (lines["paper: SiMPL"]["x"], lines["paper: SiMPL"]["y"]) == ([1500.0], [0.8])
    assert {"paper: BC+PEARL", "paper: BC+MAML"} <= set(lines)
    assert "paper: BC+MAML" not in data_of(medium)


def test_logs_of_other_learners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log(tmp_path / "0")
    path.write_text("time/episodes,rollout/success_rate\n4,0.5\n")
    found = read_training(path, "success")
    assert found is not None
    assert (found.episodes.tolist(), found.values.tolist()) == ([4.0], [0.5])
    path.write_text("time/n_updates,train/loss\n4,0.5\n")
    assert read_training(path, "success") is None
    path.write_text("time/episodes," + "x" * 200_000)
    with pytest.raises(ResultsError, match="expected a log of Stable-Baselines3"):
        read_training(path, "success")
    monkeypatch.setattr("simpl_sb3.results.reading.MAX_LOG_LINES", 3)
    path.write_text("time/episodes,rollout/success_rate\n" + 3 * "4,0.5\n")
    assert read_training(path, "success") is not None
    path.write_text("time/episodes,rollout/success_rate\n" + 4 * "4,0.5\n")
    with pytest.raises(ResultsError, match="more than 3 lines"):
        read_training(path, "success")
    path.write_text("time/episodes,rollout/success_rate\n4,0.5\n")
    path.with_name("run.json").unlink(missing_ok=True)
    path.with_name("run.json").symlink_to("/dev/zero")
    assert read_training(path, "success") is not None


@pytest.mark.parametrize(("steps", "drawn"), [(0, True), (1, False)])
def test_conditioning_counts_what_follows_the_shown_episodes(tmp_path: Path, steps: int, drawn: bool) -> None:
    for shown in (5, 20):
        settings = {"n_exploration_episodes": shown, "gradient_steps": steps}
        rows = make_rows("simpl", MAZE, 1.0 if shown == 20 else 0.0, n_episodes=shown + 10)
        write_results(tmp_path / f"{shown}.csv", rows, settings, training_task_set="train-40", variant=f"{shown} shown")
    (group,) = group_results(read_all([tmp_path]), FACTS)
    chart = conditioning_chart(group, FACTS)
    assert bool(chart) == drawn
    if drawn:
        lines = data_of(chart)
        assert (lines["SiMPL"]["x"], lines["SiMPL"]["y"]) == ([5.0, 20.0], [0.0, 1.0])
        assert lines["paper: SiMPL"]["y"] == [0.26, 0.39, 0.47, 0.53]
