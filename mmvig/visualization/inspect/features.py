"""Two views of a feature map: RMS over channels, and principal components as colors."""

import torch
from torch import Tensor


def channel_rms(x_YXC: Tensor) -> Tensor:
    """Root mean square over the channels, [Y, X]."""
    return x_YXC.float().square().mean(-1).sqrt()


def pca_rgb(x_YXC: Tensor) -> Tensor:
    """The first three principal components as red, green and blue, [Y, X, 3] in 0 … 1.

    The centered features are projected on the three eigenvectors of their covariance over the
    positions that have the largest eigenvalues. Each component is stretched so that its 1st
    percentile is 0 and its 99th is 1. Equal colors mean similar features. The sign of an
    eigenvector is arbitrary; here its largest entry is positive. Components without variance, as
    in a map with fewer channels or positions, are 0.
    """
    x_TC = x_YXC.flatten(0, 1).double()
    x_TC = x_TC - x_TC.mean(0)
    values_C, vectors_CC = torch.linalg.eigh(x_TC.T @ x_TC)
    largest_CN = vectors_CC.flip(1)[:, :3]
    peak_1N = largest_CN.abs().argmax(0, keepdim=True)
    largest_CN = largest_CN * largest_CN.gather(0, peak_1N).sign()
    colors_TN = x_TC @ largest_CN
    low_N, high_N = (colors_TN.quantile(q, dim=0) for q in (0.01, 0.99))
    varies_N = values_C.flip(0)[:3] > 1e-12 * values_C[-1].clamp(min=torch.finfo(torch.double).tiny)
    span_N = (high_N - low_N).clamp(min=torch.finfo(torch.double).tiny)
    colors_TN = ((colors_TN - low_N) / span_N).clamp(0, 1) * varies_N
    missing = 3 - colors_TN.shape[1]
    padded = torch.nn.functional.pad(colors_TN, (0, missing))
    return padded.unflatten(0, x_YXC.shape[:2]).float()
