"""Signals wait until what must stay whole is whole."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch as th
from envs_for_tests import line_envs, tiny_skills

from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.interrupts import uninterrupted
from simpl_sb3.skills.vec_env import SkillVecEnv


@pytest.fixture(autouse=True)
def python_handles_ctrl_c():
    """Also in a job in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_comes_at_the_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the order is what is tested
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the rest")
        done.append("not this")
    assert done == ["the rest"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_first_of_several_is_handled_by_its_own_handler() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            assert seen == []
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_error_inside_goes_before_a_signal() -> None:
    with pytest.raises(ZeroDivisionError), uninterrupted():  # noqa: PT012 - the order is what is tested
        os.kill(os.getpid(), signal.SIGINT)
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nested_and_in_other_threads() -> None:
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012 - as above
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
        done = True
    assert done
    entered: list[bool] = []

    def enter() -> None:
        with uninterrupted():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]


def test_a_model_saved_after_ctrl_c_has_whole_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the very first step of an optimiser, which has state for some of its parameters then."""
    model: Any = SkillPriorPEARL(
        "MlpPolicy",
        SkillVecEnv(line_envs(4), tiny_skills()),
        batch_size=6,
        gradient_steps=3,
        net_arch=(8,),
        encoder_width=8,
        context_sizes=(2, 8),
        tasks_per_update=(1, 3),
        seed=0,
        device="cpu",
    )
    step = th.optim.Adam.step

    def interrupted(self: th.optim.Adam, *given: Any, **more: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return step(self, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(th.optim.Adam, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.learn(1_000)
    assert model._n_updates == 1
    model.save(tmp_path / "model")
    again = SkillPriorPEARL.load(tmp_path / "model", device="cpu")
    assert again._n_updates == 1
    assert th.equal(again.policy.actor.weights[0], model.policy.actor.weights[0])
