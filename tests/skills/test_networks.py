"""The networks of ``networks``: numbers by hand, and the folded copy against torch."""

import math

import numpy as np
import pytest
import torch as th
from torch import nn

from simpl_sb3.errors import SettingsError
from simpl_sb3.skills.folded import FoldedMLP
from simpl_sb3.skills.networks import MLP, NORMS, SKILL_ENCODERS, GaussianHead, make_skill_encoder


def stirred_mlp(norm: str, hidden: tuple[int, ...] = (16, 16, 16)) -> MLP:
    """An MLP whose normalisation is far from the identity, in evaluation mode."""
    with th.random.fork_rng():
        th.manual_seed(0)
        mlp = MLP(5, hidden, 3, norm)
        for module in mlp.modules():
            if isinstance(module, nn.BatchNorm1d | nn.LayerNorm):
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
        for _ in range(20):
            mlp(th.randn(32, 5) * 3.0 + 1.0)
    return mlp.eval()


def test_mlp_by_hand() -> None:
    mlp = MLP(1, [1], 1)
    for linear in (mlp.linears[0], mlp.output):
        assert isinstance(linear, nn.Linear)
        nn.init.constant_(linear.weight, 2.0)
        nn.init.constant_(linear.bias, 1.0)
    # 2 x + 1, then LeakyReLU 0.2, then 2 y + 1
    assert mlp(th.tensor([[1.0], [-3.0]])).flatten().tolist() == pytest.approx([7.0, -1.0])


def test_mlp_without_hidden_layers_is_linear() -> None:
    mlp = MLP(2, [], 3)
    inputs = th.randn(4, 2)
    th.testing.assert_close(mlp(inputs), mlp.output(inputs))


def test_batch_norm_begins_at_the_second_block_and_layer_norm_at_the_first() -> None:
    kinds = {norm: [type(module) for module in MLP(3, [8, 8, 8], 2, norm).norms] for norm in NORMS}
    assert kinds["none"] == [nn.Identity] * 3
    assert kinds["batch"] == [nn.Identity, nn.BatchNorm1d, nn.BatchNorm1d]
    assert kinds["layer"] == [nn.LayerNorm] * 3


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SettingsError, match="norm is 'group'"):
        MLP(2, [4], 1, "group")
    with pytest.raises(SettingsError, match="expected one of lstm, mlp"):
        make_skill_encoder("gru", 2, 2, 10, 4, [16])
    with pytest.raises(SettingsError, match="one hidden size"):
        make_skill_encoder("lstm", 2, 2, 10, 4, [16, 16])


def test_gaussian_head_clamps_the_log_std() -> None:
    mean, std = GaussianHead()(th.tensor([[1.0, -2.0, 3.0, 0.0, -50.0, 50.0]]))
    assert mean.tolist() == [[1.0, -2.0, 3.0]]
    assert std.flatten().tolist() == pytest.approx([1.0, math.exp(-10.0), math.exp(2.0)])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("hidden", [(), (16,), (16, 16, 16)])
def test_folded_copy_agrees(norm: str, hidden: tuple[int, ...]) -> None:
    mlp = stirred_mlp(norm, hidden)
    inputs = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    with th.no_grad():
        expected = mlp(th.from_numpy(inputs)).numpy()
    folded = FoldedMLP(mlp)(inputs)
    assert folded.dtype == np.float32
    np.testing.assert_allclose(folded, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SKILL_ENCODERS)
def test_encoders_read_the_whole_window(name: str) -> None:
    encoder = make_skill_encoder(name, 3, 2, horizon=4, skill_dim=5, hidden_sizes=[16])
    observations, actions = th.randn(6, 5, 3, requires_grad=True), th.randn(6, 4, 2, requires_grad=True)
    mean, std = encoder(observations, actions)
    assert mean.shape == std.shape == (6, 5)
    assert (std > 0.0).all()
    (mean.sum() + std.sum()).backward()
    assert observations.grad is not None
    assert actions.grad is not None
    assert (observations.grad[:, :4].abs().sum(-1) > 0.0).all()
    assert (actions.grad.abs().sum(-1) > 0.0).all()
