"""The published values that come along."""

import pytest

from simpl_sb3.results.published import published_curves


def test_figures_by_what_they_count() -> None:
    curves = {(c.axis, c.training_task_set, c.task_set, c.method): c for c in published_curves("SimplMaze-v0")}
    assert curves["episode", "train-40", "target", "simpl"].values[100] == 0.93
    assert curves["meta-training", "easy", "easy", "bc-pearl"].values == {1500: 0.9}
    assert curves["conditioning", "train-40", "target", "simpl"].values == {1: 0.26, 5: 0.39, 10: 0.47, 20: 0.53}
    assert curves["episode", None, "target", "sac"].at_most == 0.17
    assert published_curves("Own-v0") == ()


@pytest.mark.parametrize(("env", "most"), [("SimplMaze-v0", 1.0), ("SimplKitchen-v0", 4.0)])
def test_values_are_within_their_measure(env: str, most: float) -> None:
    values = [value for curve in published_curves(env) for value in curve.values.values()]
    assert len(values) > 20
    assert all(0 <= value <= most for value in values)
