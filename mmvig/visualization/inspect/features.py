"""Two views of a feature map: its strength, and its main directions as colours."""

import torch
from torch import Tensor


def strength(x_YXC: Tensor) -> Tensor:
    """Root mean square over the channels, [Y, X]."""
    return x_YXC.float().square().mean(-1).sqrt()


def main_colours(x_YXC: Tensor) -> Tensor:
    """The three main components of the features as red, green and blue, [Y, X, 3] in 0 … 1.

    Principal component analysis over the positions: with the features centred, their projections on
    the three eigenvectors of the covariance with the largest eigenvalues, each stretched so that
    its 1st percentile is 0 and its 99th is 1. Equal colours are similar features. The sign of an
    eigenvector is free; here its largest entry is positive. Components without any variance,
    as those of a map of fewer channels or positions, are 0.
    """
    x_TC = x_YXC.flatten(0, 1).double()
    x_TC = x_TC - x_TC.mean(0)
    values_C, vectors_CC = torch.linalg.eigh(x_TC.T @ x_TC)
    largest_CN = vectors_CC.flip(1)[:, :3]
    peak_1N = largest_CN.abs().argmax(0, keepdim=True)
    largest_CN = largest_CN * largest_CN.gather(0, peak_1N).sign()
    colours_TN = x_TC @ largest_CN
    low_N, high_N = (colours_TN.quantile(q, dim=0) for q in (0.01, 0.99))
    seen_N = values_C.flip(0)[:3] > 1e-12 * values_C[-1].clamp(min=torch.finfo(torch.double).tiny)
    span_N = (high_N - low_N).clamp(min=torch.finfo(torch.double).tiny)
    colours_TN = ((colours_TN - low_N) / span_N).clamp(0, 1) * seen_N
    missing = 3 - colours_TN.shape[1]
    padded = torch.nn.functional.pad(colours_TN, (0, missing))
    return padded.unflatten(0, x_YXC.shape[:2]).float()
