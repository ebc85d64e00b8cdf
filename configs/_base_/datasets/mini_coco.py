# The mini data set in COCO layout, drawn on first use. Images keep their sizes.
_base_ = './coco_own_size.py'
dataset_type = 'mmvig.MiniCocoDataset'
data_root = 'data/mini/'

train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader

val_evaluator = dict(ann_file=data_root + 'annotations/instances_val.json')
test_evaluator = val_evaluator
