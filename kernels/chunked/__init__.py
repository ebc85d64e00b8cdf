"""Bidirectional gated linear attention in chunk form, in plain torch, on any device.

Equations (4) to (11) of README.md. Inside a chunk both directions fill one score matrix, the
forward one below and the backward one above its diagonal, so one product with v serves both;
between chunks their states are scanned. Chunks are worked on in segments that fit the cache. Only
inputs are kept for the backward pass, which is written out by hand.

Letters: B batch, T tokens, H heads, K key width, V value width; N chunks of C tokens, M chunks of a
segment with images and heads, J directions × K (the directions side by side).
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..dtypes import compute_dtype
from .decay import EARLIER, LATER, backward_through_decay, decay_to_borders
from .scan import exclusive_scan_, padded_count

CHUNK = 32  # scores cost C floats a token, states K·V/C: 16 to 64 measure alike, 32 in between
SEGMENT_FLOATS = 1 << 18  # of one [M, C, K + V] segment: 2^17 to 2^19 measure alike, less is slower


class _Plan(NamedTuple):
    """What both passes derive from the arguments."""

    gates: list[tuple[Tensor, int]]  # with the `query_half` of their direction
    dtype: torch.dtype
    chunk: int
    chunks: int
    per_segment: int
    gate_normalizer: float | None

    def segments(self) -> Iterator[slice]:
        """Slices of chunk numbers."""
        for start in range(0, self.chunks, self.per_segment):
            yield slice(start, min(start + self.per_segment, self.chunks))

    def load(self, x_BTHD: Tensor, segment: slice, after: float = 0.0) -> Tensor:
        """The tokens of a segment as [M, C, D] in the compute dtype; `after` the last, this."""
        x = x_BTHD[:, segment.start * self.chunk : segment.stop * self.chunk]
        count = segment.stop - segment.start
        missing = count * self.chunk - x.shape[1]
        if missing:
            x = F.pad(x, (0, 0, 0, 0, 0, missing), value=after)
        x_BnHCD = x.unflatten(1, (count, self.chunk)).transpose(2, 3)
        return (
            torch.empty(x_BnHCD.shape, dtype=self.dtype, device=x.device)
            .copy_(x_BnHCD)
            .flatten(0, 2)
        )

    def store(self, y_MCD: Tensor, segment: slice, out_BTHD: Tensor) -> None:
        """The inverse of `load`, into the tokens that exist."""
        out = out_BTHD[:, segment.start * self.chunk : segment.stop * self.chunk]
        count = segment.stop - segment.start
        y_BnHCD = y_MCD.unflatten(0, (out.shape[0], count, -1))
        y_BtHD = y_BnHCD.transpose(2, 3).flatten(1, 2)
        out.copy_(y_BtHD[:, : out.shape[1]])

    def decays(self, segment: slice) -> list[Tensor]:
        """exp of the gates, 1 after the last token, so that states pass there unchanged."""
        decays = []
        is_logits = self.gate_normalizer is not None
        for gate, _ in self.gates:
            x = self.load(gate, segment, after=float('inf') if is_logits else 0.0)
            if is_logits:
                x = F.logsigmoid(x).div_(self.gate_normalizer)
            decays.append(x.exp_())
        return decays

    def store_gate_gradient(self, dg_MCK: Tensor, segment: slice, i: int, out_BTHK: Tensor) -> None:
        """The gradient of a gate, or of the logits it comes from."""
        if self.gate_normalizer is not None:
            slope = self.load(self.gates[i][0], segment).neg_().sigmoid_()
            dg_MCK.mul_(slope.div_(self.gate_normalizer))
        self.store(dg_MCK, segment, out_BTHK)


def _plan(q, k, v, g_fwd, g_bwd, gate_normalizer: float | None, chunk: int) -> _Plan:
    gates = [(g, half) for g, half in ((g_fwd, LATER), (g_bwd, EARLIER)) if g is not None]
    dtype = compute_dtype(q, k, v, g_fwd, g_bwd)
    B, T, H, K = q.shape
    chunk = min(chunk, 1 << (T - 1).bit_length())
    per_segment = max(1, SEGMENT_FLOATS // (B * H * chunk * (K + v.shape[-1])))
    return _Plan(gates, dtype, chunk, -(-T // chunk), per_segment, gate_normalizer)


def _states(plan: _Plan, like_BTHK: Tensor, V: int) -> tuple[Tensor, Tensor]:
    """Empty chunk states [B, N, H, J, V] and decays [B, N, H, J]; N padded for the scan."""
    B, _, H, K = like_BTHK.shape
    shape = (B, padded_count(plan.chunks), H, len(plan.gates) * K)
    state = torch.empty(*shape, V, dtype=plan.dtype, device=like_BTHK.device)
    decay = torch.empty(shape, dtype=plan.dtype, device=like_BTHK.device)
    state[:, plan.chunks :] = 0
    decay[:, plan.chunks :] = 1
    return state, decay


def _scan_(
    plan: _Plan, state_BNHJV: Tensor, decay_BNHJ: Tensor, against: bool, initial=(None, None)
) -> list[Tensor | None]:
    """Scan each direction's states along it, or `against` it (gradients).

    `initial` states come, and last ones are returned, for (forward, backward).
    """
    K = state_BNHJV.shape[3] // len(plan.gates)
    last = [None, None]
    for i, (_, query_half) in enumerate(plan.gates):
        rows = slice(i * K, (i + 1) * K)
        reverse = (query_half == LATER) == against
        direction = int(query_half == EARLIER)
        last[direction] = exclusive_scan_(
            state_BNHJV[..., rows, :], decay_BNHJ[..., rows], reverse, initial[direction]
        )
    return last


def _decay_both(plan: _Plan, q_MCK, k_MCK, decays, scores_MCC=None, levels=None):
    """`decay_to_borders` of each direction: queries and keys [M, C, J], chunk decays [M, J]."""
    K, J = q_MCK.shape[-1], len(decays)
    q_MCJ, k_MCJ = q_MCK.repeat(1, 1, J), k_MCK.repeat(1, 1, J)
    totals = []
    for i, (decay, (_, query_half)) in enumerate(zip(decays, plan.gates, strict=True)):
        rows = slice(i * K, (i + 1) * K)
        q, k = q_MCJ[..., rows], k_MCJ[..., rows]
        steps = None if levels is None else levels[i]
        totals.append(decay_to_borders(q, k, decay, query_half, scores_MCC, steps))
    return q_MCJ, k_MCJ, torch.cat(totals, dim=-1)


def _scores(plan: _Plan, q_MCK: Tensor, k_MCK: Tensor) -> Tensor:
    """The score matrix with its diagonal: every direction includes the token itself, undecayed."""
    M, C, _ = q_MCK.shape
    # One direction alone leaves the other triangle empty.
    new = q_MCK.new_empty if len(plan.gates) == 2 else q_MCK.new_zeros
    scores_MCC = new(M, C, C)
    scores_MCC.diagonal(dim1=1, dim2=2).copy_((q_MCK * k_MCK).sum(-1) * len(plan.gates))
    return scores_MCC


def _write(whole: Tensor, segment: slice, part: Tensor) -> None:
    """Copy the chunks [M, …] of a segment into the tensor of all chunks [B, N, H, …]."""
    slot = whole[:, segment]
    slot.copy_(part.view(slot.shape))


def chunked_forward(
    q, k, v, g_fwd, g_bwd, scale: float, gate_normalizer: float | None = None, *, chunk: int = CHUNK
) -> Tensor:
    """Output o [B, T, H, V] in v's dtype; accumulates in at least float32."""
    return chunked_states(q, k, v, g_fwd, g_bwd, None, None, scale, gate_normalizer, chunk=chunk)[0]


def chunked_states(
    q, k, v, g_fwd, g_bwd, initial_fwd, initial_bwd, scale: float,
    gate_normalizer: float | None = None, *, chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """Output, and the state [B, H, K, V] that each direction leaves; None where it does not run."""
    plan = _plan(q, k, v, g_fwd, g_bwd, gate_normalizer, chunk)
    B, T, H, K = q.shape
    V = v.shape[-1]
    state, decay = _states(plan, q, V)
    N, J = plan.chunks, state.shape[3]
    queries = torch.empty(B, N, H, plan.chunk, J, dtype=plan.dtype, device=q.device)
    local = torch.empty(B, N, H, plan.chunk, V, dtype=plan.dtype, device=q.device)
    for segment in plan.segments():
        q_MCK, k_MCK, v_MCV = (plan.load(x, segment) for x in (q, k, v))
        scores_MCC = _scores(plan, q_MCK, k_MCK)
        q_MCJ, k_MCJ, total_MJ = _decay_both(plan, q_MCK, k_MCK, plan.decays(segment), scores_MCC)
        _write(queries, segment, q_MCJ)
        _write(local, segment, torch.bmm(scores_MCC, v_MCV))
        _write(state, segment, torch.bmm(k_MCJ.mT, v_MCV))
        _write(decay, segment, total_MJ)
    last = _scan_(plan, state, decay, against=False, initial=(initial_fwd, initial_bwd))

    out = torch.empty(B, T, H, V, dtype=v.dtype, device=v.device)
    for segment in plan.segments():
        q_MCJ, o_MCV, state_MJV = (x[:, segment].flatten(0, 2) for x in (queries, local, state))
        o_MCV = torch.baddbmm(o_MCV, q_MCJ, state_MJV)
        plan.store(o_MCV.mul_(scale / len(plan.gates)), segment, out)
    return out, *last


def chunked_backward(
    do, q, k, v, g_fwd, g_bwd, scale: float, gate_normalizer: float | None = None
) -> tuple[Tensor | None, ...]:
    """Gradients of q, k, v and both gates, in their shapes and dtypes; None for no gate."""
    plan = _plan(q, k, v, g_fwd, g_bwd, gate_normalizer, CHUNK)
    scale = scale / len(plan.gates)
    V, K = v.shape[-1], q.shape[-1]
    state, decay = _states(plan, q, V)
    dstate = torch.zeros_like(state)
    for segment in plan.segments():
        q_MCK, k_MCK, v_MCV, do_MCV = (plan.load(x, segment) for x in (q, k, v, do))
        q_MCJ, k_MCJ, total_MJ = _decay_both(plan, q_MCK, k_MCK, plan.decays(segment))
        _write(state, segment, torch.bmm(k_MCJ.mT, v_MCV))
        _write(dstate, segment, torch.bmm(q_MCJ.mT, do_MCV.mul_(scale)))
        _write(decay, segment, total_MJ)
    _scan_(plan, state, decay, against=False)
    _scan_(plan, dstate, decay, against=True)

    dq, dk, dv = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v))
    dgates = [torch.empty(g.shape, dtype=g.dtype, device=g.device) for g, _ in plan.gates]
    for segment in plan.segments():
        q_MCK, k_MCK, v_MCV, do_MCV = (plan.load(x, segment) for x in (q, k, v, do))
        do_MCV.mul_(scale)
        S_MJV, dS_MJV = state[:, segment].flatten(0, 2), dstate[:, segment].flatten(0, 2)
        decays = plan.decays(segment)
        scores_MCC = _scores(plan, q_MCK, k_MCK)
        levels = [[] for _ in decays]
        q_MCJ, k_MCJ, total_MJ = _decay_both(plan, q_MCK, k_MCK, decays, scores_MCC, levels)

        dv_MCV = torch.baddbmm(torch.bmm(scores_MCC.mT, do_MCV), k_MCJ, dS_MJV)
        dscores_MCC = torch.bmm(do_MCV, v_MCV.mT)
        dq_MCJ = torch.bmm(do_MCV, S_MJV.mT)
        dk_MCJ = torch.bmm(v_MCV, dS_MJV.mT)
        d_log_total_MJ = (S_MJV * dS_MJV).sum(-1) * total_MJ

        dself_MC1 = dscores_MCC.diagonal(dim1=1, dim2=2).unsqueeze(-1) * len(decays)
        dq_MCK, dk_MCK = dself_MC1 * k_MCK, dself_MC1 * q_MCK
        for i, (a_MCK, (_, query_half)) in enumerate(zip(decays, plan.gates, strict=True)):
            rows = slice(i * K, (i + 1) * K)
            dqi, dki = dq_MCJ[..., rows], dk_MCJ[..., rows]
            dg_MCK = backward_through_decay(
                dqi, dki, d_log_total_MJ[:, rows], dscores_MCC, levels[i], query_half
            )
            dqi.mul_(a_MCK)
            dk_MCK.add_(dki)
            dq_MCK.add_(dqi)
            plan.store_gate_gradient(torch.addcmul(dg_MCK, dqi, q_MCK), segment, i, dgates[i])
        plan.store(dq_MCK, segment, dq)
        plan.store(dk_MCK, segment, dk)
        plan.store(dv_MCV, segment, dv)
    remaining = iter(dgates)
    return dq, dk, dv, *(None if g is None else next(remaining) for g in (g_fwd, g_bwd))
