"""
The mathematics of simpl-sb3: tensors in, tensor out; no optimiser, device, logger or config.

One legend of shapes for the whole library::

    B  batch                 H  horizon (env steps per skill)      Z  skill dimension
    T  tasks                 O  observation dimension              E  task-latent dimension
    N  context rows          A  action dimension

``z`` is a skill, ``e`` a task latent. KL divergences are in nats.
"""

import torch as th
import torch.nn.functional as F

__all__ = [
    "actor_loss",
    "behaviour_cloning_loss",
    "bellman_target",
    "critic_loss",
    "gaussian_kl",
    "multiplier_loss",
    "n_step_return",
    "prior_fit_loss",
    "residual_gaussian",
    "skill_loss",
    "standard_gaussian_kl",
]

# ---------------------------------------------------------------- diagonal Gaussians


def gaussian_kl(mean_p: th.Tensor, std_p: th.Tensor, mean_q: th.Tensor, std_q: th.Tensor) -> th.Tensor:
    """
    KL(p || q) between diagonal Gaussians; zero exactly where both agree.

    :param mean_p: mean of p, (..., D)
    :param std_p: standard deviation of p, positive, (..., D)
    :param mean_q: mean of q, (..., D)
    :param std_q: standard deviation of q, positive, (..., D)
    :return: KL in nats, summed over the last dimension, (...,)
    """
    ratio = std_p / std_q
    distance = (mean_p - mean_q) / std_q
    return (0.5 * (ratio.square() + distance.square() - 1.0) - ratio.log()).sum(-1)


def standard_gaussian_kl(mean: th.Tensor, std: th.Tensor) -> th.Tensor:
    """
    KL of a diagonal Gaussian to N(0, I).

    :param mean: (..., D)
    :param std: positive, (..., D)
    :return: KL in nats, summed over the last dimension, (...,)
    """
    return (0.5 * (std.square() + mean.square() - 1.0) - std.log()).sum(-1)


# ---------------------------------------------------------------- skill extraction (Section 4.1)


def behaviour_cloning_loss(predicted_actions: th.Tensor, actions: th.Tensor) -> th.Tensor:
    """
    Negative log likelihood of a skill's actions under a unit-variance Gaussian, without its constant (Equation 3).

    :param predicted_actions: the closed-loop decoder's means, (B, H, A)
    :param actions: the demonstrated actions, (B, H, A)
    :return: nats, summed over H and A, mean over B, scalar
    """
    return 0.5 * (predicted_actions - actions).square().sum() / actions.shape[0]


def prior_fit_loss(
    posterior_mean: th.Tensor, posterior_std: th.Tensor, prior_mean: th.Tensor, prior_std: th.Tensor
) -> th.Tensor:
    """
    KL(posterior || prior) without a gradient in the posterior: the prior follows, the encoder does not (Section 4.1).

    :param posterior_mean: of q(z | window), (B, Z); no gradient flows through it
    :param posterior_std: (B, Z); no gradient flows through it
    :param prior_mean: of p(z | first observation), (B, Z)
    :param prior_std: (B, Z)
    :return: nats, mean over B, scalar
    """
    return gaussian_kl(posterior_mean.detach(), posterior_std.detach(), prior_mean, prior_std).mean()


def skill_loss(
    behaviour_cloning: th.Tensor, kl: th.Tensor, prior_fit: th.Tensor, kl_weight: float | th.Tensor
) -> th.Tensor:
    """
    What skill extraction descends: the negative ELBO of Equation 3 with weight beta, plus the prior's fit.

    :param behaviour_cloning: :func:`behaviour_cloning_loss`, scalar
    :param kl: KL(posterior || N(0, I)) in nats, (B,) or scalar
    :param prior_fit: :func:`prior_fit_loss`, scalar; it shares no parameter with the other two
    :param kl_weight: beta
    :return: scalar
    """
    return behaviour_cloning + kl_weight * kl.mean() + prior_fit


# --------------------------------------------------------------- reinforcement learning over skills (Sections 4.2, 4.3)


def residual_gaussian(
    prior_mean: th.Tensor, prior_std: th.Tensor, mean_residual: th.Tensor, std_residual: th.Tensor
) -> tuple[th.Tensor, th.Tensor]:
    """
    The high-level policy as a change of the skill prior; residuals of 0 give the prior back, but for a floor of 0.001
    under the std.

    :param prior_mean: (..., Z)
    :param prior_std: (..., Z), positive
    :param mean_residual: added to the mean, (..., Z)
    :param std_residual: added to the standard deviation before its softplus, (..., Z)
    :return: mean and standard deviation, each (..., Z)
    """
    raw_std = prior_std + th.log(-th.expm1(-prior_std))  # softplus inverse, stable for large and for small std
    return prior_mean + mean_residual, 1e-3 + F.softplus(raw_std + std_residual)


def n_step_return(rewards: th.Tensor, discounts: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """
    Discounted sum of up to n rewards, and the discount of what follows.

    :param rewards: (..., n); 0 past the last step used
    :param discounts: discount of each step, (..., n); 1 past the last step used
    :return: return of the steps and product of their discounts, each (...,)
    """
    product = discounts.cumprod(dim=-1)
    before = th.cat([th.ones_like(product[..., :1]), product[..., :-1]], dim=-1)
    return (rewards * before).sum(dim=-1), product[..., -1]


def bellman_target(
    rewards: th.Tensor,
    discounts: th.Tensor,
    terminated: th.Tensor,
    next_q: th.Tensor,
    next_kl: th.Tensor,
    multiplier: th.Tensor,
    kl_clip: float,
) -> th.Tensor:
    """
    r + discount * (Q'(s', z') - multiplier * KL(policy || prior)(s')), the KL clipped: no state looks endlessly bad.

    :param rewards: (...,)
    :param discounts: (...,)
    :param terminated: 1 where the episode terminated, so that nothing follows, (...,)
    :param next_q: smaller of the two target critics at a sampled skill, (...,)
    :param next_kl: KL in nats, (...,)
    :param multiplier: weight of the KL, broadcastable to (...,)
    :param kl_clip: upper bound of the KL in nats
    :return: (...,), without gradient
    """
    value = next_q - multiplier * next_kl.clamp(max=kl_clip)
    return (rewards + discounts * (1.0 - terminated) * value).detach()


def critic_loss(q: th.Tensor, target: th.Tensor) -> th.Tensor:
    """
    Half the mean squared Bellman error, summed over critics and agents (no parameter is shared between them).

    :param q: (2, ..., B)
    :param target: (..., B)
    :return: scalar
    """
    return 0.5 * (q - target).square().mean(dim=-1).sum()


def actor_loss(q: th.Tensor, kl: th.Tensor, multiplier: th.Tensor) -> th.Tensor:
    """
    Equations 4 and 5: maximise the value less the weighted KL to the skill prior.

    :param q: smaller of the two critics at a sampled skill, (..., B)
    :param kl: KL(policy || prior) in nats, (..., B)
    :param multiplier: broadcastable to (..., B)
    :return: scalar: mean over B, summed over agents
    """
    return (multiplier.detach() * kl - q).mean(dim=-1).sum()


def multiplier_loss(multiplier: th.Tensor, kl: th.Tensor, target: float | th.Tensor) -> th.Tensor:
    """
    Dual loss: descending it raises each multiplier while its KL exceeds the target, and lowers it otherwise.

    :param multiplier: non-negative Lagrange multipliers, (...,)
    :param kl: KL in nats, (...,); no gradient flows through it
    :param target: KL budget in nats
    :return: scalar whose gradient in each multiplier is ``target - kl``; "may only grow" clamps that gradient to <= 0
        at the call site
    """
    return (multiplier * (target - kl.detach())).sum()
