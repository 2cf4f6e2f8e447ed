"""Task encoders: a set in, one Gaussian out, whatever the order of its rows."""

import math

import pytest
import torch as th
from torch import nn

from simpl_sb3.algorithms.task_encoders import (
    TASK_ENCODERS,
    AttentionEncoder,
    DeepSetEncoder,
    ProductOfGaussiansEncoder,
    SetTransformerEncoder,
    gaussian_from,
    make_task_encoder,
)

ROW, LATENT, WIDTH = 9, 5, 16

every_encoder = pytest.mark.parametrize("name", TASK_ENCODERS)


def make(name: str, seed: int = 0) -> nn.Module:
    th.manual_seed(seed)
    return make_task_encoder(name, ROW, LATENT, WIDTH)


def context(tasks: int, rows: int, seed: int = 1) -> th.Tensor:
    return th.randn(tasks, rows, ROW, generator=th.Generator().manual_seed(seed))


def test_names_give_classes() -> None:
    classes = (SetTransformerEncoder, AttentionEncoder, DeepSetEncoder, ProductOfGaussiansEncoder)
    assert tuple(type(make(name)) for name in TASK_ENCODERS) == classes


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'lstm'.*set-transformer, attention, deep-set, product-of-gaussians"):
        make_task_encoder("lstm", ROW, LATENT)


@every_encoder
@pytest.mark.parametrize("rows", [1, 2, 40])
def test_shapes(name: str, rows: int) -> None:
    mean, std = make(name)(context(3, rows))
    assert mean.shape == std.shape == (3, LATENT)
    assert (std > 0.0).all()


@every_encoder
def test_the_order_of_the_rows_does_not_matter(name: str) -> None:
    encoder, rows = make(name), context(2, 30)
    shuffled = rows[:, th.randperm(30, generator=th.Generator().manual_seed(2))]
    for one, other in zip(encoder(rows), encoder(shuffled), strict=True):
        th.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@every_encoder
def test_every_row_matters(name: str) -> None:
    encoder, rows = make(name), context(1, 6)
    mean = encoder(rows)[0]
    for i in range(6):
        changed = rows.clone()
        changed[0, i] += 20.0
        assert not th.allclose(encoder(changed)[0], mean, atol=1e-6)


@every_encoder
def test_tasks_of_a_batch_do_not_mix(name: str) -> None:
    encoder, rows = make(name), context(3, 10)
    together = encoder(rows)[0]
    alone = th.cat([encoder(rows[i : i + 1])[0] for i in range(3)])
    th.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@every_encoder
def test_an_untrained_encoder_is_near_the_prior(name: str) -> None:
    """Mean near 0 and standard deviation near 1, for a set of one row."""
    mean, std = make(name)(context(50, 1))
    assert mean.abs().mean() < 0.5
    assert std.min() > 0.6
    assert std.max() < 1.6


@every_encoder
def test_every_parameter_has_a_gradient(name: str) -> None:
    encoder = make(name)
    mean, std = encoder(context(2, 7))
    (mean.square().sum() + std.square().sum()).backward()
    # a bias of the keys moves all scores of a query alike, and cancels in the softmax
    silent = [n for n, p in encoder.named_parameters() if p.grad is None or (p.grad == 0).all()]
    assert [n for n in silent if not n.endswith("key.bias")] == []


def test_gaussian_from_an_output_of_zero_is_a_standard_normal() -> None:
    mean, std = gaussian_from(th.zeros(4, 2 * LATENT))
    assert (mean == 0.0).all()
    th.testing.assert_close(std, th.ones(4, LATENT), atol=2e-4, rtol=0.0)


def factors(encoder: nn.Module, mean: float, std: float) -> None:
    """Let every row's factor be this Gaussian."""
    last = [module for module in encoder.modules() if isinstance(module, nn.Linear)]
    raw = math.log(math.expm1(std)) - math.log(math.e - 1.0)
    head = encoder.head[-1]
    assert head in last
    nn.init.zeros_(head.weight)
    head.bias.data = th.tensor([mean] * LATENT + [raw] * LATENT)


def test_product_of_equal_gaussians_by_hand() -> None:
    """Of N factors N(m, s^2): N(m, s^2 / N)."""
    encoder = make("product-of-gaussians")
    factors(encoder, 1.5, 2.0)
    mean, std = encoder(context(2, 16))
    th.testing.assert_close(mean, th.full((2, LATENT), 1.5))
    th.testing.assert_close(std, th.full((2, LATENT), 2.0 / 4.0), rtol=1e-3, atol=0.0)


def test_product_of_different_gaussians_by_hand() -> None:
    """Of N(0, 1) and N(3, 1/2): precision 1 + 2, mean 2 * 3 / 3."""

    encoder = ProductOfGaussiansEncoder(2, 1, WIDTH)
    raws = [math.log(math.expm1(std - 1e-4)) - math.log(math.e - 1.0) for std in (1.0, math.sqrt(0.5))]
    encoder.embed = encoder.head = nn.Identity()
    mean, std = encoder(th.tensor([[[0.0, raws[0]], [3.0, raws[1]]]]))
    assert mean.item() == pytest.approx(2.0, rel=1e-4)
    assert std.item() == pytest.approx(math.sqrt(1.0 / 3.0), rel=1e-4)


def test_more_rows_make_a_product_narrower_and_a_deep_set_not() -> None:
    rows = context(1, 1).expand(1, 50, ROW)
    product, deep_set = make("product-of-gaussians"), make("deep-set")
    assert (product(rows)[1] < 0.2 * product(rows[:, :1])[1]).all()
    th.testing.assert_close(deep_set(rows)[1], deep_set(rows[:, :1])[1])
