"""``ContextRows``: where a context row (s, z, r, done, s') holds what."""

from dataclasses import dataclass, field
from itertools import accumulate, pairwise

__all__ = ["ContextRows"]


@dataclass(frozen=True)
class ContextRows:
    """
    The columns of context rows, by the names that ``SkillEpisode`` has for them: one row is one skill,
    (s, z, r, done, s'), with r summed over the skill.

    :param observation_dim: O
    :param skill_dim: Z
    """

    observation_dim: int
    skill_dim: int
    columns: dict[str, slice] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sizes = {
            "observations": self.observation_dim,
            "actions": self.skill_dim,
            "rewards": 1,
            "terminated": 1,
            "next_observations": self.observation_dim,
        }
        stops = pairwise(accumulate(sizes.values(), initial=0))
        object.__setattr__(self, "columns", {name: slice(*ends) for name, ends in zip(sizes, stops, strict=True)})

    @property
    def dim(self) -> int:
        """Numbers in a row."""
        return int(self.columns["next_observations"].stop)

    @property
    def outcome(self) -> slice:
        """Reward and end, which stand side by side."""
        return slice(self.columns["rewards"].start, self.columns["terminated"].stop)
