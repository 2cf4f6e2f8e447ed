"""What a stage leaves when disk, memory, numbers or permissions fail in the middle of it, and how it goes on."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import tiny_skills
from gymnasium.spaces import Box

from simpl_sb3 import PRETRAINED, Episode, SkillModel, SkillPriorPEARL, write_minari
from simpl_sb3.algorithms.checkpoints import newest_checkpoint
from simpl_sb3.algorithms.policies import SkillActorCritic
from simpl_sb3.errors import DivergenceError
from simpl_sb3.experiments.cli import main
from simpl_sb3.experiments.stage import RunOptions, Stage
from simpl_sb3.experiments.stages import Experiment, extract_stage, meta_train_stage, run_stage
from simpl_sb3.files import write_atomically
from simpl_sb3.skills.extractor import SkillExtractor

LINE = Experiment.find(str(Path(__file__).parents[1] / "own_domain_for_tests.py"))
SKILLS = PRETRAINED / "maze-fast" / "skills.safetensors"
QUICK = RunOptions(device="cpu")
FULL = OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def checkpoints_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simpl_sb3.experiments.running.CHECKPOINT_SECONDS", 0.0)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and skills of its spaces."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("line")
    observations, actions = Box(-20.0, 20.0, (1,), np.float32), Box(-1.0, 1.0, (1,), np.float32)
    episodes = (Episode(rng.normal(size=(13, 1)), rng.uniform(-1, 1, (12, 1))) for _ in range(4))
    write_minari("own/line-v0", episodes, observations, actions, root=folder)
    tiny_skills(observations, actions).save(folder / "skills.safetensors")
    return folder


def meta_training(datasets: Path, output: Path) -> Stage:
    settings = {"gradient_steps": 2, "batch_size": 8, "net_arch": (8,), "encoder_width": 8, "context_sizes": (2, 4)}
    settings |= {"tasks_per_update": (1, 1), "buffer_size": 100, "context_buffer_size": 100}
    return meta_train_stage(
        LINE, datasets / "skills.safetensors", output, settings=settings, total_timesteps=80, n_envs=2
    )


def extraction(datasets: Path, output: Path) -> Stage:
    sizes = {"encoder_hidden": (8,), "decoder_hidden": (8,), "prior_hidden": (8,), "batch_size": 16}
    return extract_stage(LINE, output, dataset="own/line-v0", datasets=datasets, total_updates=600, settings=sizes)


def failing_at(number: int, error: Exception, ending: str = "") -> Callable[[Any, bytes], None]:
    """``write_atomically`` that fails once, at the n-th file with an ending."""
    seen = [0]

    def write(path: Any, content: bytes) -> None:
        seen[0] += str(path).endswith(ending)
        if seen[0] == number:
            raise error
        write_atomically(path, content)

    return write


@pytest.mark.parametrize(
    ("module", "number", "ending"),
    [("checkpoint_folder", 5, ".npz"), ("files", 3, ".zip"), ("files", 1, "model.zip")],
    ids=["rows of a checkpoint", "state of a checkpoint", "the model at the end"],
)
def test_a_full_disk_during_meta_training(
    module: str, number: int, ending: str, datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f"simpl_sb3.algorithms.{module}.write_atomically", failing_at(number, FULL, ending))
        with pytest.raises(OSError, match="No space left") as caught:
            run_stage(meta_training(datasets, tmp_path / "model"), QUICK)
    assert "checkpoints are whole: the same command goes on" in caught.value.__notes__[0].replace(
        f"in {tmp_path / 'model' / 'checkpoints'} ", ""
    )
    newest = newest_checkpoint(tmp_path / "model" / "checkpoints")
    assert newest is not None
    lived = SkillPriorPEARL.load(newest, device="cpu").num_timesteps
    model, whole = (
        SkillPriorPEARL.load(run_stage(meta_training(datasets, tmp_path / name), QUICK), device="cpu")
        for name in ("model", "whole")
    )
    assert 0 < lived <= model.num_timesteps == whole.num_timesteps
    for name, value in model.policy.state_dict().items():
        assert th.equal(value, whole.policy.state_dict()[name])


def test_a_full_disk_during_extraction(datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("simpl_sb3.skills.base.write_atomically", failing_at(1, FULL))
        with pytest.raises(OSError, match="No space left") as caught:
            run_stage(extraction(datasets, tmp_path / "skills"), QUICK)
    assert "the same command goes on from the last" in caught.value.__notes__[0]
    assert (tmp_path / "skills" / "checkpoint_00000500.pt").exists()
    skills, whole = (
        SkillModel.load(run_stage(extraction(datasets, tmp_path / name), QUICK)) for name in ("skills", "whole")
    )
    assert all(th.equal(value, whole.state_dict()[name]) for name, value in skills.state_dict().items())


def test_meta_training_that_diverges_stops_with_its_last_good_checkpoint(
    datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    critic_loss, updates = SkillActorCritic.critic_loss, [0]

    def diverging(self: SkillActorCritic, *arguments: Any) -> th.Tensor:
        updates[0] += 1
        return critic_loss(self, *arguments) * (float("nan") if updates[0] == 6 else 1.0)

    monkeypatch.setattr(SkillActorCritic, "critic_loss", diverging)
    with pytest.raises(
        DivergenceError, match=r"losses are .*nan.*diverged. Go on from an earlier checkpoint"
    ) as caught:
        run_stage(meta_training(datasets, tmp_path / "model"), QUICK)
    assert "checkpoints" in caught.value.__notes__[0]
    newest = newest_checkpoint(tmp_path / "model" / "checkpoints")
    assert newest is not None
    model = SkillPriorPEARL.load(newest, device="cpu")
    assert model._n_updates == 5
    assert all(th.isfinite(value).all() for value in model.policy.state_dict().values())
    assert not (tmp_path / "model" / "model.zip").exists()


def test_extraction_that_diverges_keeps_its_last_good_checkpoint(
    datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = SkillExtractor._update

    def diverging(self: SkillExtractor, total: int) -> tuple[th.Tensor, ...]:
        losses = update(self, total)
        return tuple(loss * (float("nan") if self.n_updates > 500 else 1.0) for loss in losses)

    monkeypatch.setattr(SkillExtractor, "_update", diverging)
    with pytest.raises(DivergenceError, match="diverged by update 600"):
        run_stage(extraction(datasets, tmp_path / "skills"), QUICK)
    assert [path.name for path in (tmp_path / "skills").glob("checkpoint_*")] == ["checkpoint_00000500.pt"]


@pytest.mark.parametrize("verb", ["meta-train", "adapt"])
def test_a_place_that_may_not_be_written_is_one_line(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Injected, since root may write anywhere."""

    def forbidden(self: Path, content: bytes) -> int:
        raise PermissionError(13, os.strerror(13), str(self))

    monkeypatch.setattr(Path, "write_bytes", forbidden)
    source = {"meta-train": ["--skills", SKILLS], "adapt": ["--from", SKILLS.with_name("model.zip")]}[verb]
    with pytest.raises(SystemExit) as ending:
        main([verb, "--output", str(tmp_path / "new" / "out.csv"), *map(str, source)])
    assert ending.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written (Permission denied): give another --output" in line
    assert not list(tmp_path.iterdir())


def test_too_little_memory_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def greedy(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("simpl_sb3.experiments.cli.run", greedy)
    with pytest.raises(SystemExit) as ending:
        main(["collect"])
    assert ending.value.code == 2
    assert capsys.readouterr().err.strip() == "simpl-sb3: there is too little memory"
