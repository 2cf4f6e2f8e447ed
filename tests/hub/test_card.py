"""The model card says what provenance and rows say."""

from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
from reports_for_tests import KITCHEN, MAZE, make_rows

from simpl_sb3.errors import ResultsError
from simpl_sb3.hub.card import findings, model_card
from simpl_sb3.hub.files import Facts
from simpl_sb3.results.facts import RETURN, SUCCESS
from simpl_sb3.results.rows import ResultFile, success_at

FACTS = Facts("SkillPriorPEARL", {"gamma": 0.99}, {"kind": "SkillModel", "env_id": MAZE, "horizon": 10}, True)
RUN = {
    "stage": "meta-train",
    "command": "simpl-sb3 meta-train --domain maze",
    "settings": {"seed": 3},
    "metrics": {"rollout/success_posterior": 0.99, "env_steps": 2558908},
    "wall_time_s": 642.6,
    "git": {"commit": "47f890cc", "dirty": False},
    "machine": {"cpu": "a | b", "cores": 2},
    "versions": {"torch": "2.13.0"},
}


def result(name: str, rows: list, command: str = "simpl-sb3 adapt", **metadata) -> ResultFile:
    return ResultFile(Path(name), tuple(rows), {"command": command, **metadata})


def card(found=(), provenance=None, **more) -> str:
    return model_card("user/maze", FACTS, provenance or RUN, found, **({"license_name": None, "video": None} | more))


def test_findings_are_the_estimates_of_the_rows() -> None:
    rows = make_rows("simpl", MAZE, 0.7)
    found = findings([result("a.csv", [row for row in rows if row.seed == seed]) for seed in (0, 1)])
    assert [(each.when, each.value) for each in found] == [(f"at episode {n}", success_at(rows, n)) for n in (20, 40)]
    assert {(each.method, each.env, each.task_set, each.measure) for each in found} == {
        ("simpl", MAZE, "target", SUCCESS)
    }


def test_short_runs_give_their_last_episodes() -> None:
    (found,) = findings([result("a.csv", make_rows("simpl", MAZE, 1.0, n_episodes=8))])
    assert (found.when, found.text) == ("in the last 5 episodes", "1 [1, 1]")


def test_methods_and_environments_stay_apart() -> None:
    measure = {"column": "return", "label": RETURN.label, "maximum": None}
    files = [
        result("a.csv", make_rows("simpl", MAZE, 0.9)),
        result("b.csv", make_rows("spirl", MAZE, 0.1)),
        result("c.csv", make_rows("simpl", KITCHEN, 0.5), measure=measure),
    ]
    found = findings(files)
    assert {(each.method, each.env, each.measure) for each in found} == {
        ("simpl", MAZE, SUCCESS),
        ("spirl", MAZE, SUCCESS),
        ("simpl", KITCHEN, RETURN),
    }
    other = result("d.csv", make_rows("simpl", MAZE, 0.9, seeds=(5,)), measure=measure)
    with pytest.raises(ResultsError, match="measured in several ways"):
        findings([*files, other])


def test_the_hub_reads_the_front_matter() -> None:
    from huggingface_hub import ModelCard

    found = findings([result("a.csv", make_rows("simpl", MAZE, 0.7))])
    data = ModelCard(card(found, license_name="mit")).data
    assert (data.library_name, data.license, data.model_name) == ("simpl-sb3", "mit", "maze")
    assert {"reinforcement-learning", "simpl-sb3", "SkillPriorPEARL", MAZE} <= set(data.tags)
    assert [each.metric_value for each in data.eval_results] == [each.text for each in found]
    assert data.eval_results[0].dataset_type == MAZE


def test_it_names_commands_metrics_and_circumstances() -> None:
    found = findings([result("a.csv", make_rows("simpl", MAZE, 0.7), command="simpl-sb3 adapt --seed 1")])
    text = card(found, video="replay.mp4")
    for part in (
        'SkillPriorPEARL.load_from_hub("user/maze", "model.zip")',
        "simpl-sb3 adapt --seed 1",
        "simpl-sb3 meta-train --domain maze",
        "| rollout/success_posterior | 0.99 |",
        "- Seed: 3",
        "- Wall time: 642.6 s",
        "- Commit: 47f890cc",
        r"cpu a \| b, cores 2",
        "torch 2.13.0",
        "[replay.mp4](replay.mp4)",
        f"| simpl | fast | {MAZE} | target | success rate at episode 20 | {found[0].text} | 4 |",
    ):
        assert part in text


def test_without_results_and_video_it_claims_none() -> None:
    text = card()
    assert "## Results" not in text
    assert "## Video" not in text
    assert "model-index" not in text


def test_several_runs_are_told_in_order() -> None:
    text = card(provenance={"runs": [{"stage": "extract", "metrics": {"loss": 6.1}}, RUN]})
    assert text.index("### extract") < text.index("### meta-train")


def test_what_a_record_says_stays_text() -> None:
    text = card(provenance={**RUN, "stage": "<script>", "command": "echo ```\n# hi"})
    assert "\n### \\<script\\>\n" in text
    assert "````bash\necho ```\n# hi\n````" in text


def test_skills_are_loaded_as_skills() -> None:
    settings = {"kind": "SkillModel", "env_id": None, "horizon": 5}
    text = model_card("u/s", Facts("SkillModel", settings, settings, True), RUN, (), license_name=None, video=None)
    assert 'skills = SkillModel.load(load_from_hub("u/s", "skills.safetensors"))' in text
    assert "Skills of [simpl-sb3]" in text
