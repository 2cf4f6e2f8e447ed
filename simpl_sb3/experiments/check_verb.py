"""The verb ``check-skills``: skills judged before any meta-training, as a table, a verdict and a picture."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import tyro

from simpl_sb3.errors import DatasetError, ModelFileError, SettingsError
from simpl_sb3.experiments.flags import Chosen, WithBar, WithDomain, WithEnv, WithOverwrite, WithSeed, parse_pairs, say
from simpl_sb3.experiments.run_folder import check_writable
from simpl_sb3.files import write_atomically
from simpl_sb3.settings import setting

if TYPE_CHECKING:
    from simpl_sb3.demonstrations.windows import DemonstrationDataset
    from simpl_sb3.domains import Domain
    from simpl_sb3.experiments.checking import Finding, PriorLife

__all__ = ["CheckVerb"]

FILES = ("check.txt", "check.json", "check.png")
VERDICTS = {
    "good": "Ready for meta-training.",
    "weak": "Meta-training may work: look at the weak rows first.",
    "poor": "Not ready for meta-training: mend the poor rows first.",
}


@dataclass(frozen=True, kw_only=True)
class CheckVerb(WithDomain, WithEnv, WithOverwrite, WithSeed, WithBar):
    """
    Judge skills before any meta-training: what their prior reaches alone, and how they fit the demonstrations.

    :param skills: file of extracted skills
    :param output: folder for check.txt, check.json and check.png
    :param dataset: Minari id of demonstrations; those the skills were extracted from by default
    :param tasks: a task set, random:N:SEED, tasks separated by commas, or a file of tasks; the domain's training set by
        default
    :param episodes: that the skill prior lives
    """

    positional: ClassVar[frozenset[str]] = frozenset({"skills"})
    skills: Annotated[Path, tyro.conf.arg(metavar="SKILLS")]
    output: Path
    dataset: str | None = None
    tasks: str | None = None
    episodes: int = setting(100, at_least=1, at_most=100_000)

    def run(self, chosen: Chosen, given: Mapping[str, Any]) -> None:
        domain = chosen.experiment.domain
        tasks = self.tasks or chosen.experiment.preset.train_tasks
        domain.tasks(domain.train_tasks if tasks is None else tasks)
        env_settings = domain.check_env_settings(parse_pairs("--env", self.env))
        if not self.skills.is_file():
            raise ModelFileError(f"No skills file {self.skills}: expected skills.safetensors of extract.")
        standing = [self.output / name for name in FILES if (self.output / name).exists()]
        if standing and not self.overwrite:
            raise SettingsError(f"{standing[0]} exists: give another --output, or --overwrite.")
        check_writable(self.output, is_folder=True)

        from simpl_sb3.experiments.checking import findings, fit_to, live_prior
        from simpl_sb3.skills.base import Skills

        skills = Skills.load(self.skills)
        data, why = self._demonstrations(skills)
        fit = None if data is None else fit_to(skills, data)
        life = live_prior(
            skills,
            domain,
            tasks,
            n_episodes=self.episodes,
            seed=self.seed,
            progress_bar=self.progress_bar,
            **env_settings,
        )
        self._tell(findings(life, fit, why), life, data, domain)

    def _demonstrations(self, skills: Any) -> "tuple[DemonstrationDataset | None, str]":
        """The demonstrations, or None and the reason; a dataset that was asked for must be there."""
        from simpl_sb3.demonstrations.minari import load_minari

        dataset = self.dataset or skills.dataset_id
        if dataset is None:
            return None, "not measured: the skills name no dataset; give --dataset"
        try:
            return load_minari(dataset, skills.horizon, skills.observation_key), ""
        except DatasetError as error:
            if self.dataset is not None:
                raise
            return None, f"not measured: {str(error).partition('. ')[0]}"

    def _tell(
        self, rows: "Sequence[Finding]", life: "PriorLife", data: "DemonstrationDataset | None", domain: "Domain"
    ) -> None:
        from simpl_sb3.experiments.checking import planar_paths
        from simpl_sb3.report.skills import draw_skills, findings_table

        worst = next(kind for kind in ("poor", "weak", "good") if any(row.verdict == kind for row in rows))
        text = f"{findings_table([(row.name, row.verdict, row.text) for row in rows])}\n\n{VERDICTS[worst]}\n"
        paths, background, walls = planar_paths(life, data, domain)
        picture = draw_skills(paths, background, walls, [task.name for task in life.tasks], life.shares)
        record = {
            "schema_version": 1,
            "kind": "simpl-sb3/check-skills",
            "skills": str(self.skills),
            "domain": domain.name,
            "seed": self.seed,
            "episodes": len(life.episodes),
            "verdict": worst,
            "findings": [vars(row) for row in rows],
            "tasks": {task.name: float(share) for task, share in zip(life.tasks, life.shares, strict=True)},
        }
        self.output.mkdir(parents=True, exist_ok=True)
        contents = (text.encode(), json.dumps(record, indent=1).encode(), picture)
        for name, content in zip(FILES, contents, strict=True):
            write_atomically(self.output / name, content)
        say(text)
        say(f"Picture: {self.output / 'check.png'}")
