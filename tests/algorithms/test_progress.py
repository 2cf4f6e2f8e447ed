"""The progress bar of ``learn`` follows what was lived, and never goes beyond it; ``learn`` stops as near as can be."""

from functools import partial
from typing import Any

import pytest
from algorithms_for_tests import Kind, both, make
from envs_for_tests import CountingEnv, LineEnv, line_envs, tiny_skills
from pearl_for_tests import iterations
from pearl_for_tests import make as make_meta
from stable_baselines3.common.callbacks import BaseCallback

from simpl_sb3.algorithms.progress import SkillProgressBar
from simpl_sb3.algorithms.skill_prior_maml import SkillPriorMAML
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.bars import EpisodeBar
from simpl_sb3.skills.vec_env import SkillVecEnv
from simpl_sb3.skills.wrapper import SkillActionWrapper


class Watch(BaseCallback):
    """Notes the bar after each vec-env step, beside what was lived."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int, int]] = []
        self.texts: list[str] = []

    def _on_rollout_start(self) -> None:
        self._note()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._note()

    def _note(self) -> None:
        bar: Any = self.model._bar.bar
        if bar is not None:
            self.seen.append((bar.n, bar.total, self.model.num_timesteps))


@both
@pytest.mark.parametrize("total", [10, 57])
def test_the_bar_follows_what_was_lived(
    kind: Kind, total: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also beside idle environments, and from where the last learning stopped; it ends at 100 %."""
    model = make(kind, SkillVecEnv(line_envs(4), tiny_skills()))
    closed: list[tuple[int, int]] = []
    close = SkillProgressBar.close

    def spy(self: SkillProgressBar) -> None:
        closed.append((self.bar.n, self.bar.total))
        close(self)

    monkeypatch.setattr(SkillProgressBar, "close", spy)
    for _ in range(2):
        before, watch = model.num_timesteps, Watch()
        model.learn(total, watch, progress_bar=True, reset_num_timesteps=False)
        assert watch.seen
        for n, of, lived in watch.seen:
            assert n == min(lived - before, of)
            assert of == total
    assert closed == [(total, total)] * 2
    assert model._bar is None


def test_the_bar_says_which_update_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    monkeypatch.setattr(SkillProgressBar, "say", lambda self, text, figures: said.append(text))
    make_meta(gradient_steps=3).learn(1, progress_bar=True)
    assert said == ["collect", "update 1 of 3", "update 2 of 3", "update 3 of 3"]


def test_the_bar_is_closed_where_learning_fails(capsys: pytest.CaptureFixture[str]) -> None:
    class Fail(BaseCallback):
        def _on_step(self) -> bool:
            raise KeyboardInterrupt

    model = make_meta()
    with pytest.raises(KeyboardInterrupt):
        model.learn(30, Fail(), progress_bar=True)
    assert model._bar is None
    model.learn(5)


@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize("progress_bar", [None, False, True])
@pytest.mark.parametrize("kind", [SkillPriorPEARL, SkillPriorMAML])
def test_an_adaptation_is_shown_where_the_model_is_talkative(
    kind: Any, progress_bar: bool | None, verbose: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(EpisodeBar, "__init__", lambda self, total, names: told.append((total, names)))
    monkeypatch.setattr(EpisodeBar, "update", lambda self, agent, episode, success: told.append("episode"))
    monkeypatch.setattr(EpisodeBar, "close", lambda self: told.append("end"))
    small: Any = make_meta if kind is SkillPriorPEARL else partial(kind, "MlpPolicy", net_arch=(8,), device="cpu")
    model, seen = small(env=SkillVecEnv(line_envs(2), tiny_skills())), []
    model.verbose = verbose
    small_steps = {"n_exploration_episodes": 1, "initial_updates": 1, "gradient_steps": 1, "batch_size": 8}
    how: dict[str, Any] = {"n_episodes": 2} | (small_steps if kind is SkillPriorPEARL else {})
    how |= {"progress_bar": progress_bar, "on_episode": lambda *at: seen.append(at[:2])}
    model.adapt_tasks(model.get_env(), LineEnv.test_tasks, **how)
    assert sorted(seen) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    shown = bool(verbose) if progress_bar is None else progress_bar
    assert told == ([(4, ["2", "-2"]), *["episode"] * 4, "end"] if shown else [])


# ---------------------------------------------------------------- where learning stops


@pytest.mark.parametrize("n_envs", [1, 4])
@pytest.mark.parametrize("total", [1, 10, 30])
def test_meta_training_begins_no_episode_that_it_does_not_need(n_envs: int, total: int) -> None:
    """It ends with the episodes that run: less than one of four skills more in each environment."""
    model = make_meta(SkillVecEnv(line_envs(n_envs), tiny_skills())).learn(total)
    assert total <= model.num_timesteps < total + 4 * n_envs
    assert model._n_updates > 0
    assert model.replay_buffer.ends.sum() >= 1


def test_a_whole_meta_iteration_where_there_is_room() -> None:
    model = make_meta()
    first, second = iterations(model, 2)
    assert (len(first), len(second)) == (3, 6)
    assert model.num_meta_iterations == 2


@pytest.mark.parametrize(("train_freq", "total"), [(1, 7), (3, 7), ((2, "step"), 7), (50, 7)])
def test_an_agent_learns_for_exactly_as_long(train_freq: Any, total: int) -> None:
    model = make(SkillPriorSAC, train_freq=train_freq).learn(total)
    assert model.num_timesteps == total
    every = train_freq if isinstance(train_freq, int) else train_freq[0]
    assert model._n_updates == -(-total // every)


@pytest.mark.parametrize(("number", "updates"), [(1, 3), (2, 2)])
def test_rounds_in_episodes(number: int, updates: int) -> None:
    """Each of two skills; the last round is whole."""
    env = SkillActionWrapper(CountingEnv(terminate_at=8), tiny_skills())
    model = make(SkillPriorSAC, env, train_freq=(number, "episode")).learn(5)
    assert model._n_updates == updates
    assert model.num_timesteps == updates * number * 2


def test_learning_in_two_parts_is_learning_at_once() -> None:
    """Of an agent, in one process; meta-training ends its meta-iteration in between, and has other random draws."""
    whole = make(SkillPriorSAC).learn(20)
    parts = make(SkillPriorSAC).learn(10).learn(10, reset_num_timesteps=False)
    assert whole.num_timesteps == parts.num_timesteps == 20
    assert all((a == b).all() for a, b in zip(whole.policy.parameters(), parts.policy.parameters(), strict=True))


@both
def test_nothing_is_learned_in_no_time(kind: Kind) -> None:
    model = make(kind)
    assert model.learn(0).num_timesteps == 0
    assert model._n_updates == 0


def test_counters_of_meta_training_survive(tmp_path: Any) -> None:
    model = make_meta().learn(40)
    model.save(tmp_path / "model")
    again = SkillPriorPEARL.load(tmp_path / "model", device="cpu")
    for name in ("num_timesteps", "num_env_steps", "num_meta_iterations", "_n_updates", "_episode_num"):
        assert getattr(again, name) == getattr(model, name) > 0, name
