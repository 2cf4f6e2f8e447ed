"""Context rows: what stands where."""

from simpl_sb3.experience.rows import ContextRows


def test_columns_follow_one_another_and_fill_the_row() -> None:
    rows = ContextRows(observation_dim=4, skill_dim=3)
    assert rows.columns == {
        "observations": slice(0, 4),
        "actions": slice(4, 7),
        "rewards": slice(7, 8),
        "terminated": slice(8, 9),
        "next_observations": slice(9, 13),
    }
    assert rows.dim == 13
    assert rows.outcome == slice(7, 9)
