"""What every algorithm over skills does with the model hub: ``push_to_hub`` and ``load_from_hub``."""

import tempfile
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import GymEnv

from simpl_sb3.hub.files import MODEL
from simpl_sb3.hub.sharing import load_from_hub, push_to_hub

__all__ = ["SharedAlgorithm"]

StrPath = str | PathLike[str]


class SharedAlgorithm(BaseAlgorithm):
    """An algorithm whose models go to the Hugging Face hub and come from it; both need the extra hub."""

    def push_to_hub(
        self,
        repo_id: str,
        *,
        provenance: StrPath | Mapping[str, Any] | None = None,
        results: Sequence[StrPath] = (),
        video: StrPath | None = None,
        **options: Any,
    ) -> str:
        """
        Upload the model, its skills and a model card in one commit; see :func:`simpl_sb3.hub.sharing.push_to_hub`.

        :param repo_id: "user/name"
        :param provenance: a JSON such as ``run.json``, or what it holds; by default this process's command and versions
        :param results: CSV files of ``simpl-sb3 adapt``, whose values the card gives
        :param video: an MP4
        :param options: of that function: ``license_name``, ``private``, ``revision``, ``commit_message``, ``token``,
            ``endpoint``
        :return: address of the commit
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / MODEL
            self.save(path)
            return push_to_hub(path, repo_id, provenance=provenance, results=results, video=video, **options)

    @classmethod
    def load_from_hub(
        cls,
        repo_id: str,
        filename: str = MODEL,
        env: GymEnv | None = None,
        device: th.device | str = "auto",
        *,
        revision: str | None = None,
        sha256: str | None = None,
        token: str | None = None,
        endpoint: str | None = None,
        cache_dir: StrPath | None = None,
        **settings: Any,
    ) -> Self:
        """
        Download a model, check it, and load it; nothing in it is run.

        :param repo_id: "user/name"
        :param filename: of the model in the repository
        :param env: to go on learning in
        :param device: of the networks
        :param revision: branch, tag or commit
        :param sha256: of the file, where it is known: any other is refused
        :param token: of the hub, for a private repository
        :param endpoint: another hub's address
        :param cache_dir: where downloads are kept
        :param settings: as in ``load``
        :raises HubError: where the hub cannot be reached, or has no such file
        :raises ModelFileError: for a file of another kind, or a damaged one
        """
        path = load_from_hub(
            repo_id,
            filename,
            revision=revision,
            sha256=sha256,
            token=token,
            endpoint=endpoint,
            cache_dir=cache_dir,
        )
        return cls.load(path, env=env, device=device, **settings)
