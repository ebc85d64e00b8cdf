"""Whole classifiers and segmentors: files, their interface, and what is refused."""

import dataclasses
import json

import onnx
import pytest
import torch

from mmvig.checks.errors import UserError
from mmvig.deploy.manifest import KEY, Manifest
from mmvig.export import export, make_exportable
from mmvig.export.exporter import write
from mmvig.export.verify import open_session
from tests.support.exports import (
    META,
    classification_config,
    classification_model,
    segmentation_config,
    segmentation_model,
)


def manifest_of(path) -> Manifest:
    entries = {item.key: item.value for item in onnx.load(path).metadata_props}
    return Manifest.from_json(entries[KEY])


def sizes_of(value) -> list[str | int]:
    return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    """An exportable classifier, its file, and the report."""
    cfg = classification_config()
    model = make_exportable(classification_model(cfg), cfg)
    path = tmp_path_factory.mktemp('classifier') / 'new folder' / 'model.onnx'
    return model, path, export(model, path)


def test_a_classifier_is_written_with_its_interface(classifier):
    model, path, report = classifier
    assert report.path == path
    assert report.form == 'contrib'
    assert 0 < report.error <= 1e-5
    assert report.nodes == len(onnx.load(path).graph.node)
    manifest = manifest_of(path)
    assert manifest == dataclasses.replace(model.manifest, form='contrib')
    assert manifest.task == 'classification'
    assert len(manifest.classes) == 5
    assert manifest.steps[0]['scale'] == [64, 64]
    assert manifest.mean == pytest.approx((123.675, 116.28, 103.53))
    assert manifest.channel_order == 'RGB'
    assert manifest.config == 'vig_classifier_mini'


def test_scores_are_those_that_the_model_predicts(classifier):
    model, path, _ = classifier
    image = torch.randn(3, 3, 50, 70)
    (found,) = open_session(path)({'image': image.numpy()}).values()
    with torch.no_grad():
        samples = model.module.model.predict(image)
    expected = torch.stack([sample.pred_score for sample in samples])
    torch.testing.assert_close(torch.from_numpy(found), expected)
    assert expected.max() > 0.3, 'scores that differ'


@pytest.mark.slow
def test_a_segmentor_is_written_with_its_interface(small_segmentor, tmp_path):
    model, graph = small_segmentor
    report = write(graph, model, tmp_path / 'model.onnx', 'portable')
    assert 0 < report.error <= 1e-5
    manifest = manifest_of(tmp_path / 'model.onnx')
    assert manifest.classes == tuple(META['classes'])
    assert manifest.palette == tuple(map(tuple, META['palette']))
    assert manifest.steps == ()
    assert manifest.sliding_window is None
    assert manifest.align_corners is False
    graph = onnx.load(tmp_path / 'model.onnx').graph
    (image,), (logits,) = graph.input, graph.output
    assert (image.name, sizes_of(image)) == ('image', ['batch', 3, 'height', 'width'])
    assert (logits.name, sizes_of(logits)[1]) == ('logits', 6)


@pytest.mark.slow
def test_logits_are_those_of_mmseg_at_any_size(small_segmentor, tmp_path):
    """Among them maps with fewer pixels than the pooling has windows."""
    model, graph = small_segmentor
    write(graph, model, tmp_path / 'model.onnx', check=False)
    run = open_session(tmp_path / 'model.onnx')
    for size in ((1, 1), (9, 30), (100, 61)):
        image = torch.randn(2, 3, *size)
        with torch.no_grad():
            expected = model.module.model.inference(image, [dict(ori_shape=size, img_shape=size)])
        (found,) = run({'image': image.numpy()}).values()
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_labels_instead_of_logits(tmp_path):
    cfg = segmentation_config(stages=1)
    model = make_exportable(segmentation_model(cfg), cfg, output='labels')
    report = export(model, tmp_path / 'labels.onnx', 'portable')
    assert report.error <= 1e-4
    (output,) = onnx.load(tmp_path / 'labels.onnx').graph.output
    assert output.name == 'labels'
    assert output.type.tensor_type.elem_type == onnx.TensorProto.INT64


@pytest.mark.slow
def test_float16_has_the_same_interface_in_half_the_space(small_segmentor, tmp_path):
    model, graph = small_segmentor
    single = write(graph, model, tmp_path / 'float32.onnx', 'portable', check=False)
    half = export(model, tmp_path / 'float16.onnx', 'portable', 'float16')
    assert 1e-5 < half.error < 5e-3
    sizes = []
    for report in (single, half):
        graph = onnx.load(report.path).graph
        sizes.append(sum(len(weight.raw_data) for weight in graph.initializer))
        for value in (*graph.input, *graph.output):
            assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.slow
def test_sliding_windows_are_told(small_segmentor):
    cfg = segmentation_config(test_cfg=dict(mode='slide', crop_size=(64, 96), stride=(32, 48)))
    manifest = make_exportable(segmentation_model(cfg), cfg).manifest
    assert manifest.sliding_window == {'crop': [64, 96], 'stride': [32, 48]}
    with pytest.raises(UserError, match='--output logits for a model that is tested in sliding'):
        make_exportable(segmentation_model(cfg), cfg, output='labels')


@pytest.mark.slow
def test_classes_of_another_number_are_those_of_the_data_set(small_segmentor):
    cfg = segmentation_config()
    model = segmentation_model(cfg)
    model.dataset_meta = {'classes': ['road'] * 19, 'palette': [[0, 0, 0]] * 19}
    manifest = make_exportable(model, cfg).manifest
    assert manifest.classes[0] == 'ground'
    assert len(manifest.palette) == 6
    cfg.test_dataloader.dataset.type = 'BaseSegDataset'
    manifest = make_exportable(model, cfg).manifest
    assert manifest.classes == ('0', '1', '2', '3', '4', '5')


def _another_step(cfg, model):
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='PhotoMetricDistortion'))


def _another_preprocessor(cfg, model):
    model.data_preprocessor = torch.nn.Identity()


def _fixed_size(cfg, model):
    model.data_preprocessor.test_cfg = dict(size=(64, 64))


def _one_channel(cfg, model):
    model.backbone.in_channels = 1


def _binary(cfg, model):
    model.out_channels = 1


def _another_scope(cfg, model):
    cfg.default_scope = 'mmrotate'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (_another_step, 'in the test pipeline, got PhotoMetricDistortion'),
        (_another_preprocessor, 'expected data_preprocessor to be one of .*, got Identity'),
        (_fixed_size, r'without a fixed size.*got size=\(64, 64\)'),
        (_one_channel, 'expected images of 3 channels for an export, the model takes 1'),
        (_binary, 'expected decode_head.out_channels=6, one for each class, got 1'),
        (_another_scope, "default_scope mmdet, mmseg or mmpretrain, got 'mmrotate'"),
    ],
)
def test_what_no_manifest_can_tell_is_refused(change, message):
    cfg = segmentation_config()
    model = segmentation_model(cfg)
    change(cfg, model)
    with pytest.raises(UserError, match=message):
        make_exportable(model, cfg)


def test_an_output_is_asked_of_segmentors_only():
    cfg = classification_config()
    with pytest.raises(UserError, match='for a segmentor of mmseg only, the config is of mmpret'):
        make_exportable(classification_model(cfg), cfg, output='labels')


@pytest.mark.slow
def test_unknown_forms_and_dtypes_are_refused(small_segmentor, tmp_path):
    model, _ = small_segmentor
    with pytest.raises(UserError, match="one of standard, contrib, portable, got 'fast'"):
        export(model, tmp_path / 'model.onnx', form='fast')
    with pytest.raises(UserError, match="one of float32, float16, got 'int8'"):
        export(model, tmp_path / 'model.onnx', dtype='int8')


def test_a_manifest_is_json_in_the_file(classifier):
    _, path, _ = classifier
    entries = {item.key: item.value for item in onnx.load(path).metadata_props}
    assert json.loads(entries[KEY])['form'] == 'contrib'
