"""One training batch of each MM library, with random pixels."""

import torch
from mmengine.structures import InstanceData, PixelData

SIZE = 96


def image() -> torch.Tensor:
    return torch.randint(0, 256, (3, SIZE, SIZE), dtype=torch.uint8)


def det_batch() -> dict:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    masks = torch.zeros(2, SIZE, SIZE, dtype=torch.uint8)
    masks[0, 10:60, 10:50] = masks[1, 30:90, 20:80] = 1
    sample = DetDataSample(
        metainfo=dict(
            img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE), scale_factor=(1.0, 1.0), img_id=0
        ),
        gt_instances=InstanceData(
            bboxes=torch.tensor([[10.0, 10, 50, 60], [20, 30, 80, 90]]),
            labels=torch.tensor([1, 4]),
            masks=BitmapMasks(masks.numpy(), SIZE, SIZE),
        ),
    )
    return {'inputs': [image()], 'data_samples': [sample]}


def seg_batch() -> dict:
    from mmseg.structures import SegDataSample

    labels = [torch.randint(0, 6, (1, SIZE, SIZE)) for _ in range(2)]
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=x), metainfo=dict(img_shape=(SIZE, SIZE)))
        for x in labels
    ]
    return {'inputs': [image(), image()], 'data_samples': samples}


def cls_batch() -> dict:
    from mmpretrain.structures import DataSample

    samples = [DataSample().set_gt_label(i) for i in (1, 4)]
    return {'inputs': [image(), image()], 'data_samples': samples}
