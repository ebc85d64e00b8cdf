"""Dense heads (RPN, RetinaNet) by strips: the candidates of each level that mmdet would keep."""

import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmvig.streaming.errors import StreamingError
from mmvig.streaming.plan import Plan
from mmvig.streaming.storage import StoredMap

# Rows beyond a strip that its predictions see: one for each 3×3 convolution, one after the other.
HALOS = {
    'RPNHead': lambda head: head.num_convs,
    'RetinaHead': lambda head: head.stacked_convs + 1,
}


class Candidates:
    """The best anchors of one level so far, in the order of their positions.

    For each class of each anchor there is a score. The `limit` best scores above `threshold` are
    what mmdet keeps of a level; here their anchors are kept with the scores of all classes, and as
    none that mmdet would keep is missing, it finds the same ones among them.
    """

    def __init__(self, head: nn.Module, limit: int, threshold: float) -> None:
        self._head, self._limit, self._threshold = head, limit, threshold
        self.index_N: Tensor | None = None
        self.logits_NK: Tensor | None = None
        self.deltas_N4: Tensor | None = None

    def add(self, index_N: Tensor, logits_NK: Tensor, deltas_N4: Tensor) -> None:
        """Anchors by their place among all of the level, after those that were added before."""
        best = self._best(logits_NK)
        new = index_N[best], logits_NK[best], deltas_N4[best]
        if self.index_N is not None:
            old = self.index_N, self.logits_NK, self.deltas_N4
            new = tuple(torch.cat(pair) for pair in zip(old, new, strict=True))
            best = self._best(new[1])
            new = tuple(x[best] for x in new)
        self.index_N, self.logits_NK, self.deltas_N4 = new

    def _best(self, logits_NK: Tensor) -> Tensor:
        scores = self._scores(logits_NK)
        flat = scores.flatten()
        above = (flat > self._threshold).nonzero().flatten()
        if len(above) > self._limit:
            order = flat[above].sort(descending=True, stable=True).indices
            above = above[order[: self._limit]]
        return (above // scores.shape[1]).unique()

    def _scores(self, logits_NK: Tensor) -> Tensor:
        if getattr(self._head.loss_cls, 'custom_cls_channels', False):
            return self._head.loss_cls.get_activation(logits_NK)
        if self._head.use_sigmoid_cls:
            return logits_NK.sigmoid()
        return logits_NK.softmax(-1)[:, :-1]


class DenseHead:
    """A dense head on the strips of stored maps.

    Args:
        head: mmdet's, in eval mode.
        maps: of its levels.
        plan: says how high strips are.
        test_cfg: of the head.

    Attributes:
        strips: level, first row and row after the last of each: the arguments of `run`.
        work: multiply-adds of all strips.

    Raises:
        StreamingError: the head is another one, or keeps any number of candidates.
    """

    def __init__(self, head: nn.Module, maps: list[StoredMap], plan: Plan, test_cfg: dict) -> None:
        _check(head, test_cfg)
        self._head, self._maps, self._test_cfg = head, maps, test_cfg
        self._halo = HALOS[type(head).__name__](head)
        self._anchors = head.num_base_priors
        is_rpn = type(head).__name__ == 'RPNHead'  # which looks at no threshold
        threshold = -torch.inf if is_rpn else test_cfg.get('score_thr', 0)
        limit = test_cfg['nms_pre']
        self._candidates = [Candidates(head, limit, threshold) for _ in maps]
        self.strips = [
            (level, top, bottom)
            for level, one in enumerate(maps)
            for top, bottom in plan.strips(*one.shape[:2], one, working=self._row_bytes(one))
        ]
        weights = sum(x.numel() for x in head.parameters())
        self.work = weights * sum(one.shape[0] * one.shape[1] for one in maps)

    def _row_bytes(self, source: StoredMap) -> int:
        outputs = self._anchors * (self._head.cls_out_channels + 4)
        return source.shape[1] * source.dtype.itemsize * 3 * (self._head.feat_channels + outputs)

    def run(self, level: int, top: int, bottom: int) -> None:
        """Predict on a strip, and keep its best; strips of a level come from the top."""
        Y, X, _ = self._maps[level].shape
        first, last = max(top - self._halo, 0), min(bottom + self._halo, Y)
        x_BYXC = self._maps[level].rows(first, last)
        # Zeros that convolutions pad where the map goes on change rows of the halo only.
        outputs = self._head.forward_single(x_BYXC.permute(0, 3, 1, 2))
        logits, deltas = (x[0, :, top - first : bottom - first] for x in outputs)
        logits_NK = logits.permute(1, 2, 0).reshape(-1, self._head.cls_out_channels)
        deltas_N4 = deltas.permute(1, 2, 0).reshape(len(logits_NK), -1)
        index_N = top * X * self._anchors + torch.arange(len(logits_NK), device=logits.device)
        self._candidates[level].add(index_N, logits_NK, deltas_N4)

    def result(self, meta: dict) -> InstanceData:
        """What mmdet makes of the candidates of all levels: proposals (RPN) or objects."""
        generator = self._head.prior_generator
        found = self._candidates
        priors = [
            generator.sparse_priors(
                one.index_N, self._maps[i].shape[:2], i, one.deltas_N4.dtype, one.deltas_N4.device
            )
            for i, one in enumerate(found)
        ]
        # As maps of one column, of which each row is an anchor.
        return self._head._predict_by_feat_single(
            cls_score_list=[one.logits_NK.T[..., None] for one in found],
            bbox_pred_list=[one.deltas_N4.T[..., None] for one in found],
            score_factor_list=[None] * len(found),
            mlvl_priors=priors,
            img_meta=meta,
            cfg=self._test_cfg,
            rescale=False,
        )


def _check(head: nn.Module, test_cfg: dict) -> None:
    name = type(head).__name__
    if name not in HALOS:
        raise StreamingError(f'expected a head {" or ".join(HALOS)}, got {name}')
    for part in head.modules():
        has_weights = any(True for _ in part.parameters(recurse=False))
        if has_weights and not isinstance(part, nn.Conv2d | _BatchNorm):
            raise StreamingError(
                f'expected convolutions and batch norms in {name}, which can be run on rows, got '
                f'{type(part).__name__}'
            )
    if test_cfg.get('nms_pre', -1) < 1:
        raise StreamingError(
            f'expected nms_pre in the test_cfg of {name}, which bounds the candidates of a level, '
            f'got {test_cfg.get("nms_pre")}'
        )
