"""A short film of a meta-policy on one training task, with its inferred latent, while the training runs."""

import time
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from PIL import Image, ImageDraw

from simpl_sb3.domains import Domain
from simpl_sb3.errors import SettingsError
from simpl_sb3.report.film import font
from simpl_sb3.report.methods import INK
from simpl_sb3.skills.wrapper import SkillActionWrapper

__all__ = ["Studio", "TooSlow"]

N_FRAMES = 24
SIDE, FOOT = 300, 24
"""Of a frame, and of the line below it, pixels."""
CHEAP_SECONDS = 0.01
"""Of a picture that is drawn as often as is liked."""
DEFAULT_ENV_STEPS = 200
"""Of an episode, where the environment names no limit."""


class TooSlow(Exception):
    """
    A film would take longer than it may.

    :param seconds: that it would take
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"a film takes {seconds:.0f} s")
        self.seconds = seconds


class _Sampled(gym.Wrapper):
    """Keeps a picture of the start, of every so many env steps, and of the end; of too many, every second one."""

    def __init__(self, env: gym.Env, every: int) -> None:
        super().__init__(env)
        self.every, self.frames, self.n_steps, self._apart = every, list[np.ndarray](), 0, every

    def reset(self, **how: Any) -> Any:
        """As the environment's; a new film begins."""
        result = self.env.reset(**how)
        self.frames, self.n_steps, self._apart = [self._picture()], 0, self.every
        return result

    def step(self, action: Any) -> Any:
        """As the environment's."""
        result = self.env.step(action)
        self.n_steps += 1
        if self.n_steps % self._apart == 0 or result[2] or result[3]:
            self.frames.append(self._picture())
        if len(self.frames) > 2 * N_FRAMES:
            self.frames, self._apart = self.frames[::2], 2 * self._apart
        return result

    def _picture(self) -> np.ndarray:
        picture: Any = self.env.render()
        return np.asarray(picture, np.uint8)


class Studio:
    """
    One environment of its own that draws itself, made when the first film is due and kept.

    :param domain: of the environment
    :param model: a ``SkillPriorPEARL``
    :param env_settings: of the environment
    :raises Exception: whatever the environment says where it cannot draw itself here
    """

    def __init__(self, domain: Domain, model: Any, env_settings: Mapping[str, Any]) -> None:
        raw = gym.make(domain.env_id, render_mode=domain.film_mode, **env_settings)
        self._measure = domain.measure
        self._limit = limit = getattr(raw.spec, "max_episode_steps", None) or DEFAULT_ENV_STEPS
        self._camera = _Sampled(raw, max(1, limit // N_FRAMES))
        self.model, self.env = model, SkillActionWrapper(self._camera, model.skills)
        self.seconds_per_frame = self._timed_frame()
        if self.seconds_per_frame < CHEAP_SECONDS:  # short episodes get as many frames as long ones
            self._camera.every = max(1, limit // (8 * N_FRAMES))

    def _timed_frame(self) -> float:
        self._camera.reset(seed=0)
        started = time.process_time()
        frame = self._camera._picture()
        if frame.ndim != 3 or frame.shape[2] != 3:
            raise SettingsError(f"render() gave an array of shape {frame.shape}: expected (height, width, 3).")
        return time.process_time() - started

    def film(self, task: Any, latent: th.Tensor, head: str, seed: int, seconds: float) -> tuple[list[np.ndarray], bool]:
        """
        One episode, acting with noise.

        :param task: the task
        :param latent: what the policy acts with, (1, E)
        :param head: what stands below, before the outcome
        :param seed: of environment and noise; the process's generators are not touched
        :param seconds: that it may take
        :return: frames, (height, width, 3) each, and whether the episode succeeded
        :raises TooSlow: where drawing alone would take longer
        """
        if (needed := (N_FRAMES + 2) * self.seconds_per_frame) > seconds:
            raise TooSlow(needed)
        success, ended, total_reward = False, False, 0.0
        with th.random.fork_rng(devices=[]):
            th.manual_seed(seed)
            observation, _ = self.env.reset(seed=seed, options={"task": task})
            while not ended:
                z = self.model.policy.act(np.asarray(observation, np.float32)[None], latent)[0]
                observation, reward, terminated, truncated, info = self.env.step(z)
                total_reward += float(reward)
                success |= bool(info.get("is_success", info.get("success", False)))
                ended = terminated or truncated or self._camera.n_steps > 10 * self._limit
        outcome = "success" if success else "no success"
        if self._measure.column == "return":
            outcome = f"{total_reward:.3g} {self._measure.label}"
        text = f"{head}: {outcome}"
        return [_framed(frame, text) for frame in self._camera.frames], success

    def close(self) -> None:
        """Let the environment go."""
        self.env.close()


def _framed(frame: np.ndarray, text: str) -> np.ndarray:
    """A frame made small, with a line below."""
    picture = Image.fromarray(frame)
    picture.thumbnail((SIDE, SIDE))
    framed = Image.new("RGB", (SIDE, picture.height + FOOT), "white")
    framed.paste(picture, ((SIDE - picture.width) // 2, 0))
    ImageDraw.Draw(framed).text((6, picture.height + FOOT // 2), text, fill=INK, font=font(12), anchor="lm")
    return np.asarray(framed)
