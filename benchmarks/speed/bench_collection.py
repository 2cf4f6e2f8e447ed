"""Env steps per second of collection, over those of bare MuJoCo making the very same steps."""

from typing import Any

from speed.collection import LAYERS, Collection, bare

ONE_BY_ONE = [1, 4, 16, 64, 256, 1024]
SIZES = {
    "test_collection": {
        "short": [("maze", "env", 80), ("maze", "skills", 80), ("maze", "collect", 80), ("maze", "collect", 400)]
        + [("kitchen", "collect", 16)],
        "full": [("maze", layer, n) for layer in LAYERS for n in (80, 400)]
        + [("kitchen", layer, n) for layer in LAYERS for n in (23, 64)],
    },
    "test_collection_curve": {
        "short": [("maze", n) for n in (1, 16, 128, 1024)] + [("kitchen", n) for n in (1, 8)],
        "full": [("maze", n) for n in ONE_BY_ONE] + [("kitchen", n) for n in ONE_BY_ONE],
    },
}
GOALS = {"maze": 0.6, "kitchen": 0.9}
CALLS = {"maze": 100, "kitchen": 10}
"""Env steps that the reference makes again."""


def measure(figure: Any, domain: str, layer: str, n_envs: int, **about: Any) -> None:
    """One figure of collection."""
    collection = Collection(domain, n_envs)
    try:
        for _ in range(3 if n_envs <= 64 or domain == "maze" else 1):
            collection.collect()
        half = collection.half(layer)
        reference = bare(collection, half, CALLS[domain])
        figure(
            half,
            reference,
            unit="env steps/s",
            environments=n_envs,
            domain=domain,
            layer=layer,
            **about,
        )
    finally:
        collection.close()


def test_collection(figure: Any, case: tuple[str, str, int]) -> None:
    """Layer by layer, up to what meta-training and adaptation do."""
    domain, layer, n_envs = case
    goal = {"goal": GOALS[domain]} if layer == "collect" else {}
    title = f"{n_envs} {domain}s, {LAYERS[layer]}"
    measure(figure, domain, layer, n_envs, group="collection", title=title, **goal)


def test_collection_curve(figure: Any, case: tuple[str, int]) -> None:
    """Over the number of environments."""
    domain, n_envs = case
    measure(
        figure,
        domain,
        "collect",
        n_envs,
        group="environments",
        title=f"{n_envs} {domain}{'s' if n_envs > 1 else ''}",
        curve=f"{domain}: environments",
        size=n_envs,
    )
