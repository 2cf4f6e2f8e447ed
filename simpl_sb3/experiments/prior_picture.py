"""What the skill prior does alone, as a picture in the log of an extraction."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from stable_baselines3.common.logger import Logger, configure
from tqdm import tqdm

from simpl_sb3.algorithms.callbacks import untouched_random_numbers
from simpl_sb3.domains import Domain
from simpl_sb3.experiments.checking import live_prior, planar_paths
from simpl_sb3.logs import picture_logger, record_picture
from simpl_sb3.report.skills import draw_skills
from simpl_sb3.skills.base import Skills

__all__ = ["log_prior", "prior_in_folder"]

N_EPISODES, N_ENVS = 32, 4
MIN_SECONDS = 2.0
"""Less time than this shows nothing."""


def log_prior(
    logger: Logger,
    skills: Skills,
    domain: Domain,
    step: int,
    *,
    n_episodes: int = N_EPISODES,
    seconds: float | None = None,
    seed: int = 0,
    **env_settings: Any,
) -> bool:
    """
    Let the skill prior act alone, and log ``pictures/prior``: where its episodes go, and which tasks they reach. The
    process's random generators are not touched.

    :param logger: SB3's, as :meth:`SkillExtractor.learn` uses one
    :param skills: the skills
    :param domain: environment and tasks
    :param step: of the event: updates of the extraction
    :param n_episodes: at most
    :param seconds: after which no episode begins; None for no limit
    :param seed: of environments and skills
    :param env_settings: of the environment
    :return: whether there is an output that takes pictures
    """
    pictures = picture_logger(logger)
    if pictures is None:
        return False
    with untouched_random_numbers():
        how: dict[str, Any] = {"n_episodes": n_episodes, "n_envs": N_ENVS, "seconds": seconds, "seed": seed}
        life = live_prior(skills, domain, **how, **env_settings)
        paths, background, walls = planar_paths(life, None, domain)
        png = draw_skills(paths, background, walls, [task.name for task in life.tasks], life.shares)
    with Image.open(io.BytesIO(png)) as image:
        record_picture(pictures, "pictures/prior", np.asarray(image.convert("RGB")), step)
    return True


def prior_in_folder(
    folder: Path, skills: Skills, domain: Domain, step: int, seconds: float, env_settings: Mapping[str, Any] = {}
) -> float:
    """
    The same in the TensorBoard events of a folder; what fails is told in a line, since the skills are there already.

    :param seconds: that it may take; with too few nothing is done
    :param env_settings: of the environment
    :return: seconds that it took
    """
    if seconds < MIN_SECONDS:
        return 0.0
    started, logger = time.perf_counter(), configure(str(folder), ["tensorboard"])
    try:
        log_prior(logger, skills, domain, step, seconds=seconds / 2, **env_settings)
    except Exception as error:  # noqa: BLE001 - skills of any dataset are extracted, whose environment may be none
        tqdm.write(f"No picture of the skill prior: {error!r:.300}")
    finally:
        logger.close()
    return time.perf_counter() - started
