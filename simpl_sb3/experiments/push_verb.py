"""The verb ``push``: a model to the Hugging Face hub."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from simpl_sb3.experiments.flags import Chosen, Verb, say

__all__ = ["Push"]


@dataclass(frozen=True, kw_only=True)
class Push(Verb):
    """
    Upload a model to the Hugging Face hub with a card made from its provenance; needs the extra [hub] and a token
    (HF_TOKEN, or hf auth login once).

    :param model: what meta-train or extract wrote: model.zip, skills.safetensors, or the folder of one
    :param repo: user/name; made where there is none
    :param results: CSV files that adapt wrote, or folders of them, whose values the card gives
    :param video: an MP4, such as the film that adapt made
    :param provenance: a JSON of what made the model; by default provenance.json or run.json beside it
    :param license_name: the model's, such as mit
    :param private: make a new repository private
    :param revision: branch to commit to
    :param message: of the commit
    """

    flag_names: ClassVar[Mapping[str, str]] = {"license_name": "license"}
    positional: ClassVar[frozenset[str]] = frozenset({"model"})
    model: Annotated[Path, tyro.conf.arg(metavar="MODEL")]
    repo: str
    results: tuple[Path, ...] = ()
    video: Path | None = None
    provenance: Path | None = None
    license_name: str | None = None
    private: bool = False
    revision: str | None = None
    message: str | None = None

    def run(self, chosen: Chosen, given: Mapping[str, Any]) -> None:
        from simpl_sb3.hub.sharing import push_to_hub

        address = push_to_hub(
            self.model,
            self.repo,
            provenance=self.provenance,
            results=self.results,
            video=self.video,
            license_name=self.license_name,
            private=self.private or None,
            revision=self.revision,
            commit_message=self.message,
        )
        say(f"Uploaded: {address}")
