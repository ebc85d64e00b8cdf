# Small sets of one's own in COCO form: images keep their sizes, training takes crops of them.
# `mmvig.apis.own_data.use_data` puts in the data, another size of the images and the classes.
_base_ = './coco_own_size.py'
metainfo = dict(classes=('object',))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    # Cropped before it is resized, an image costs half of the time, enlarged twice a sixth.
    dict(
        type='RandomChoice',
        transforms=[
            [
                dict(type='RandomCrop', crop_size=(side, side), allow_negative_crop=True),
                dict(type='Resize', scale_factor=320 / side),
            ]
            for side in (427, 320, 256, 213)
        ],
    ),
    # What a crop leaves of an object at its border may be a pixel wide.
    dict(type='FilterAnnotations', min_gt_bbox_wh=(2, 2), keep_empty=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=2, num_workers=2, dataset=dict(metainfo=metainfo, pipeline=train_pipeline)
)
val_dataloader = dict(num_workers=2, dataset=dict(metainfo=metainfo))
test_dataloader = val_dataloader
