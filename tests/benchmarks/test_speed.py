"""The arithmetic of ``make benchmark``: ratios, growth, counted work, and runs that go on."""

import json
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from simpl_sb3.algorithms.policies import SkillPriorPEARLPolicy, SkillPriorPolicy
from simpl_sb3.algorithms.settings import LearnerSettings
from simpl_sb3.algorithms.task_encoders import TASK_ENCODERS, make_task_encoder
from simpl_sb3.algorithms.updates import AgentLearner, Learner
from simpl_sb3.experience.batch import TaskBatch
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.skills.fit import skill_action_space
from simpl_sb3.skills.model import SkillModel

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from speed.flops import Networks, adaptation_flops, encoder_flops, meta_flops, update_flops
from speed.growth import growth
from speed.learning import fill
from speed.pairs import Timed, paired, repeated, spread, timed
from speed.record import RunFile, file_name, source_hash

# ---------------------------------------------------------------- pairs


def halves(*rates: float, seconds: float = 2.0) -> list[Timed]:
    return [Timed(rate * seconds, seconds, seconds / 2) for rate in rates]


def test_spread_has_quartiles_and_extremes():
    found = spread([4.0, 1.0, 2.0, 3.0, 5.0])
    assert found == {"median": 3.0, "low": 2.0, "high": 4.0, "min": 1.0, "max": 5.0, "n": 5}


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_spread_refuses_what_is_no_number(values: list[float]):
    with pytest.raises(ValueError, match="finite"):
        spread(values)


def test_each_half_is_compared_to_those_around_it():
    found = paired(halves(10, 10, 30), halves(10, 30, 10, 50))  # means 20, 20, 30
    assert found["ratio"]["median"] == 0.5
    assert (found["ratio"]["min"], found["ratio"]["max"]) == (0.5, 1.0)
    assert found["processor_ratio"]["median"] == 0.5
    assert found["ours_rate"]["median"] == 10
    assert found["reference_rate"]["median"] == 20


def test_a_machine_that_slows_down_moves_no_ratio():
    found = paired(halves(9, 7, 5), halves(20, 16, 12, 8))
    assert found["ratio"]["min"] == found["ratio"]["max"] == 0.5


def test_the_reference_stands_at_both_ends():
    with pytest.raises(ValueError, match="Expected 2 halves"):
        paired(halves(1), halves(1))


def test_processor_time_is_told_apart():
    ours = [Timed(10, 1.0, 2.0)]
    found = paired(ours, [Timed(10, 1.0, 1.0)] * 2)
    assert (found["ratio"]["median"], found["processor_ratio"]["median"]) == (1.0, 0.5)


def test_repeated_sums_the_work():
    calls: list[int] = []

    def half() -> float:
        calls.append(1)
        return 3.0

    many, times, once = repeated(half, 1e-3)
    n_before = len(calls)
    assert timed(many).work == 3.0 * times
    assert len(calls) - n_before == times == max(1, round(1e-3 / once))


# ---------------------------------------------------------------- growth


def test_growth_of_a_line():
    found = growth([1, 10, 100], [7, 25, 205])  # 5 + 2 n
    assert found["fixed"] == pytest.approx(5)
    assert found["each"] == pytest.approx(2)
    assert found["worst"] == pytest.approx(0, abs=1e-12)


def test_growth_of_a_power():
    found = growth([1, 2, 4, 8], [3, 12, 48, 192])
    assert (found["power"], found["power_error"]) == (pytest.approx(2), pytest.approx(0, abs=1e-9))


def test_no_cost_falls_below_nothing():
    found = growth([1, 2, 4], [1, 4, 16])
    assert found["fixed"] == 0.0
    assert found["each"] > 0
    falling = growth([1, 2, 4], [4, 2, 1])
    assert falling["each"] == 0.0
    assert falling["fixed"] > 0


@pytest.mark.parametrize(("sizes", "costs"), [([1], [1]), ([1, 1], [1, 2]), ([1, 2], [0, 1]), ([1, 2], [1, 2, 3])])
def test_growth_needs_two_sizes(sizes: list[float], costs: list[float]):
    with pytest.raises(ValueError, match="two or more"):
        growth(sizes, costs)


# ---------------------------------------------------------------- work


def counted(work: Any) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@pytest.mark.parametrize("kind", TASK_ENCODERS)
def test_encoder_work_is_what_torch_counts(kind: str):
    """Torch counts attention where it is written out in matrix products."""
    encoder = make_task_encoder(kind, 12, 3, 16)
    context = th.randn(2, 9, 12)

    def work() -> None:
        with sdpa_kernel(SDPBackend.MATH):
            mean, std = encoder(context)
            (mean.sum() + std.sum()).backward()

    assert counted(work) == 2 * encoder_flops(kind, 9, 12, 3, 16)


def test_an_unknown_encoder_is_refused():
    with pytest.raises(ValueError, match="task encoder"):
        encoder_flops("none", 1, 1, 1, 1)


def a_batch(n_agents: int, rows: int, observation_dim: int, skill_dim: int) -> TaskBatch:
    flat = th.zeros(n_agents, rows)
    states, actions = th.randn(n_agents, rows, observation_dim), th.randn(n_agents, rows, skill_dim)
    return TaskBatch(states, actions, flat, flat + 0.9, flat, states)


SIZES: dict[str, Any] = {"net_arch": (16, 16)}


def a_skill_model() -> SkillModel:
    spaces = gym.spaces.Box(-1, 1, (4,)), gym.spaces.Box(-1, 1, (2,))
    hidden = {"prior_hidden": (8, 8), "decoder_hidden": (8,), "encoder_hidden": (8,), "encoder": "mlp"}
    return SkillModel(*spaces, skill_dim=5, horizon=3, norm="none", **hidden).freeze()


def networks(policy: Any) -> Networks:
    actor, critic = (
        (net.weights[0].shape[1], *(weight.shape[2] for weight in net.weights))
        for net in (policy.actor, policy.critics)
    )
    return Networks(actor, critic, (4, 8, 8, 10))


def test_work_of_agents_is_what_torch_counts():
    skills = a_skill_model()
    policy = SkillPriorPolicy(skills.observation_space, skill_action_space(skills), skills, n_agents=3, **SIZES)
    learner = AgentLearner(policy, LearnerSettings(matmul_precision="highest"), 1.0, 0.1)
    batch = a_batch(3, 7, 4, 5)
    assert counted(lambda: learner.update_agents(batch)) == adaptation_flops(networks(policy), 3, 7)


def test_work_of_meta_training_is_what_torch_counts():
    skills = a_skill_model()
    policy = SkillPriorPEARLPolicy(
        skills.observation_space, skill_action_space(skills), skills, task_latent_dim=2, encoder_width=8, **SIZES
    )
    learner = Learner(policy, LearnerSettings(matmul_precision="highest"), {}, policy.task_encoder.parameters())
    few, many = th.randn(1, 3, policy.context_rows.dim), th.randn(2, 6, policy.context_rows.dim)
    batch = a_batch(1, 3 * 7, 4, 5)

    def work() -> None:
        means, stds = zip(policy.encode(few), policy.encode(many), strict=True)
        e = (th.cat(means) + th.cat(stds)).repeat_interleave(7, dim=0)
        learner.update(batch, e[None], th.ones(1))

    row_dim = policy.context_rows.dim
    assert counted(work) == meta_flops(networks(policy), "deep-set", row_dim, 2, 8, (1, 2), (3, 6), 7)


def test_a_latent_that_learns_costs_the_first_layers_gradient():
    sizes = Networks((4, 16, 10), (9, 16, 1), (4, 8, 10))
    assert update_flops(sizes, 10, True) - update_flops(sizes, 10, False) == 10 * 2 * (2 * 9 * 16)


# ---------------------------------------------------------------- the file of a run

ABOUT = {"schema_version": 1, "form": "short", "source": "a", "machine": {"cpu": "Z", "cores": 2}}


def test_a_stopped_run_goes_on(tmp_path: Path):
    path = tmp_path / "run.json"
    RunFile(path, ABOUT).keep("one", {"ratio": 0.5})
    assert not path.exists()
    again = RunFile(path, ABOUT)
    assert again.figures == {"one": {"ratio": 0.5}}
    assert not again.complete({"one", "two"})
    again.keep("two", {"ratio": 1.5})
    assert again.complete({"one", "two"})
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]
    written = json.loads(path.read_text())
    assert written["figures"] == {"one": {"ratio": 0.5}, "two": {"ratio": 1.5}}
    assert written["machine"] == ABOUT["machine"]
    assert RunFile(path, ABOUT).figures == {}  # a finished run is not gone on with


@pytest.mark.parametrize("changed", [{"source": "b"}, {"form": "full"}, {"machine": {"cpu": "Y", "cores": 2}}])
def test_figures_of_other_code_or_machine_are_not_mixed(tmp_path: Path, changed: dict[str, Any]):
    RunFile(tmp_path / "run.json", ABOUT).keep("one", {"ratio": 0.5})
    assert RunFile(tmp_path / "run.json", ABOUT | changed).figures == {}


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"figures": 3}'])
def test_a_damaged_part_is_begun_anew(tmp_path: Path, content: str):
    (tmp_path / "run.part.json").write_text(content)
    assert RunFile(tmp_path / "run.json", ABOUT).figures == {}


def test_the_file_before_stands_until_a_run_is_whole(tmp_path: Path):
    path = tmp_path / "run.json"
    path.write_text("before")
    run = RunFile(path, ABOUT)
    run.keep("one", {"ratio": 0.5})
    assert path.read_text() == "before"
    assert run.complete({"one"})
    assert "one" in path.read_text()


def test_a_figure_without_a_number_is_not_written(tmp_path: Path):
    run = RunFile(tmp_path / "run.json", ABOUT)
    with pytest.raises(ValueError, match="JSON"):
        run.keep("one", {"ratio": float("nan")})


def test_the_hash_sees_every_source(tmp_path: Path):
    for folder in ("simpl_sb3", "envs/simpl_envs", "benchmarks/speed"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.py").write_text("1")
    before = source_hash(tmp_path)
    (tmp_path / "simpl_sb3" / "notes.md").write_text("1")
    assert source_hash(tmp_path) == before
    (tmp_path / "envs" / "simpl_envs" / "a.py").write_text("2")
    assert source_hash(tmp_path) != before


def test_a_machine_names_its_file():
    assert file_name({"cpu": "AMD EPYC (TM)", "cores": 2}, "full") == "amd-epyc-tm-2-cores-full.json"


def test_seeds_of_filled_buffers_are_fixed():
    one, two = TaskReplayBuffer(2, 120, 3, 2), TaskReplayBuffer(2, 120, 3, 2)
    fill(one)
    fill(two)
    assert np.array_equal(one.rows, two.rows)
    assert one.ends.sum() == 4  # every fiftieth of 240 rows
    assert (one.sizes == 120).all()
