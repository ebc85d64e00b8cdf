"""Small detectors of mmdet with random weights that detect much, and what mmdet makes of them."""

import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor, nn

import mmvig

CLASSES = 5
CHANNELS = 16
# Three levels instead of five, and candidates fewer than the anchors of some levels only.
BACKBONE = dict(type='ResNet', depth=18, num_stages=2, strides=(1, 2), dilations=(1, 1))
BACKBONE |= dict(base_channels=CHANNELS, out_indices=(0, 1), norm_eval=True)
NECK = dict(type='FPN', in_channels=[CHANNELS, 2 * CHANNELS], out_channels=CHANNELS, num_outs=3)
EXTRACTOR = dict(out_channels=CHANNELS, featmap_strides=[4, 8], finest_scale=16)
RPN = dict(in_channels=CHANNELS, feat_channels=CHANNELS)
RPN_TEST = dict(nms_pre=300, max_per_img=80)
MASK_HEAD = dict(num_convs=1, in_channels=CHANNELS, conv_out_channels=CHANNELS, num_classes=CLASSES)
BOX_HEAD = dict(in_channels=CHANNELS, fc_out_channels=32, num_classes=CLASSES)


def config(name: str, changes: dict | None = None) -> Config:
    """The config of 'retinanet', 'faster', 'mask' or 'cascade' with two stages, made small."""
    file = {'retinanet': 'vig_retinanet', 'cascade': 'vig_cascade-maskrcnn'}.get(name)
    cfg = Config.fromfile(mmvig.get_config(file or 'vig_maskrcnn_mini'))
    _shrink(cfg.model, name)
    cfg.merge_from_dict(changes or {})
    return cfg


def _shrink(model: ConfigDict, name: str) -> None:
    model.backbone, model.neck = BACKBONE, NECK
    if name == 'retinanet':
        model.bbox_head.update(RPN, stacked_convs=1, num_classes=CLASSES)
        model.bbox_head.anchor_generator.strides = [4, 8, 16]
        model.test_cfg.update(nms_pre=300, max_per_img=60)
    else:
        model.rpn_head.update(RPN)
        model.rpn_head.anchor_generator.update(strides=[4, 8, 16], scales=[4])
        model.test_cfg.rpn.update(RPN_TEST)
        head = model.roi_head
        head.bbox_roi_extractor.update(EXTRACTOR)
        head.mask_roi_extractor.update(EXTRACTOR)
        head.mask_head.update(MASK_HEAD)
        for stage in head.bbox_head if name == 'cascade' else [head.bbox_head]:
            stage.update(BOX_HEAD)
    if name == 'cascade':
        head.num_stages = 2
        head.bbox_head, head.stage_loss_weights = head.bbox_head[:2], [1, 0.5]
        model.train_cfg.rcnn = model.train_cfg.rcnn[:2]
    if name == 'faster':
        model.type = 'FasterRCNN'
        head.mask_head = head.mask_roi_extractor = None


def build(cfg: Config) -> nn.Module:
    """The model in eval mode, as DetInferencer leaves it, with heads far from indecision.

    Boxes stay near their anchors: large random changes would multiply roundings.
    """
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for name, weight in model.named_parameters():
        if name.partition('.')[0] in ('rpn_head', 'roi_head', 'bbox_head') and weight.dim() > 1:
            nn.init.kaiming_normal_(weight, a=10.0 if name.endswith('reg.weight') else 0.0)
    model.dataset_meta = {'classes': list('abcde'), 'palette': [(i, 9, 200) for i in range(5)]}
    model.eval()
    return model


def image(rows: int, columns: int) -> Tensor:
    return torch.randn(1, 3, rows, columns)


@torch.no_grad()
def predict(model: nn.Module, image: Tensor, size: tuple[int, int]):
    """mmdet's own detections in pixels of the image, of which `size` is not padding."""
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    samples = [DetDataSample(metainfo=meta)]
    return model.predict(image, samples, rescale=False)[0].pred_instances


def pasted(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks [D, M, M] over their boxes as mmdet puts them in the image, bool [D, Y, X]."""
    if not len(masks):
        return torch.zeros(0, *size, dtype=torch.bool)
    return _do_paste_mask(masks[:, None], boxes, *size, skip_empty=False)[0] >= 0.5
