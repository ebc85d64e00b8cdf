"""The local page: what it answers, what it refuses, and a visit by a real browser."""

import importlib
import json
import re
import shutil
import socket
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmvig
from mmvig.apis.inference import Predictor
from mmvig.datasets.shapes import CLASSES, PALETTE
from mmvig.visualization.inspect.model import build_model

predict = pytest.importorskip('mmvig.webui.predict')


@pytest.fixture(scope='module')
def predictors(tmp_path_factory) -> dict[str, Predictor]:
    """A model of each task on the mini set, with random weights."""
    folder = tmp_path_factory.mktemp('models')
    models = {}
    for name in ('vig_maskrcnn_mini', 'vig_upernet_mini', 'vig_classifier_mini'):
        cfg = Config.fromfile(mmvig.get_config(name))
        classes = ('ground', *CLASSES) if 'upernet' in name else CLASSES
        palette = [(9, 9, 9), *PALETTE][-len(classes) :]
        meta = {'dataset_meta': {'classes': classes, 'palette': palette}}
        path = folder / f'{name}.pth'
        torch.save({'state_dict': build_model(cfg, None).state_dict(), 'meta': meta}, path)
        predictor = Predictor(cfg, str(path), 'cpu')
        models[predictor.task] = predictor
    return models


@pytest.fixture(scope='module')
def image(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('image') / 'noise.png'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (90, 130, 3), np.uint8))
    return path


@pytest.mark.parametrize(
    ('task', 'words'),
    [
        ('detection', r'detection: \d+ × (circle|rectangle|triangle|star|cross)'),
        ('segmentation', r'segmentation: (ground|circle|rectangle|triangle|star|cross) \d+ %'),
        ('classification', r'classification: \w+, \d+ %'),
    ],
)
def test_every_task_is_answered_again_and_again(task, words, predictors, image):
    predict.predict_upload(predictors[task], str(image), 0.0, inspect=False)
    answer = predict.predict_upload(predictors[task], str(image), 0.0, inspect=False)
    assert re.match(words, answer.text), answer.text
    assert re.search(r'\d\.\d\d s on cpu$', answer.text)
    assert answer.picture.shape[1] >= 4 * 130, 'small pictures are enlarged'
    assert not answer.figures


def test_a_threshold_that_nothing_reaches(predictors, image):
    answer = predict.predict_upload(predictors['detection'], str(image), 1.0, inspect=False)
    assert answer.text.startswith('detection: nothing with a score of 1 or more')


def test_the_inside_of_a_model_on_a_page(predictors, image):
    figures = predict.inspect_upload(predictors['classification'], image)
    names = [name for _, name in figures]
    assert len(names) == 16
    assert 'stages.3.blocks.0_receptive-field' in names
    assert all(x.dtype == np.uint8 and x.shape[2] == 3 for x, _ in figures)


def test_bad_files_are_answered_with_a_message(tmp_path, image):
    written = {
        'text.jpg': b'not an image',
        'cut.png': image.read_bytes()[:200],
        'note.txt': b'words',
        'large.png': b'0' * (predict.MAX_MEGABYTES * 2**20 + 1),
    }
    for name, content in written.items():
        (tmp_path / name).write_bytes(content)
    cv2.imwrite(str(tmp_path / 'wide.png'), np.zeros((4001, 4000, 3), np.uint8))
    for name, message in (
        ('text.jpg', 'cannot be read as an image: save it again'),
        ('cut.png', 'cut.png is damaged'),
        ('note.txt', r'Expected an image \(jpg, .*\), got note.txt'),
        ('large.png', 'Expected at most 10 MiB, large.png has more'),
        ('wide.png', 'Expected at most 16 megapixels, wide.png has 4000×4001'),
    ):
        assert re.search(message, predict.upload_error(str(tmp_path / name))), name
    assert 'drop one' in predict.upload_error(None)
    assert predict.upload_error(str(image)) is None


@pytest.mark.parametrize('size', [(1, 1), (1, 3000), (3000, 1)])
def test_a_picture_on_the_page_is_of_bounded_size(size, predictors, tmp_path):
    path = tmp_path / 'thin.png'
    cv2.imwrite(str(path), np.full((*size, 3), 99, np.uint8))
    for task in ('segmentation', 'classification'):
        answer = predict.predict_upload(predictors[task], str(path), 0.0, inspect=False)
        assert answer.picture.shape[0] <= predict.MAX_HEIGHT
        assert answer.picture.shape[1] <= max(3000, predict.MIN_WIDTH)


def test_an_image_that_cannot_be_prepared_is_answered(predictors, image, monkeypatch):
    predictor = predictors['segmentation']

    def fail(images):
        raise ValueError('no rows are left')

    monkeypatch.setattr(predictor._task, 'prepare', fail)
    answer = predict.predict_upload(predictor, str(image), 0.0, inspect=False)
    assert answer.picture is None
    assert answer.text == (
        'expected an image that the test pipeline can prepare, noise.png with 130×90 pixels fails '
        'in it: ValueError: no rows are left'
    )


@pytest.fixture(scope='module')
def address(predictors):
    app = pytest.importorskip('mmvig.webui.app')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    page = app.build_app(predictors)
    yield app.launch(page, port)
    page.close()


def test_the_server_is_local_and_limits_uploads(address):
    assert address.startswith('http://127.0.0.1:')
    port = int(address.rstrip('/').rpartition(':')[2])
    app = importlib.import_module('mmvig.webui.app')
    with app.gradio.Blocks() as second:
        pass
    with pytest.raises(OSError, match='port'):
        app.launch(second, port)
    with socket.socket() as other, pytest.raises(OSError, match='refused'):
        other.connect(('127.0.0.2', port))  # a server on 0.0.0.0 would answer
    boundary = 'cut'
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body = (
        head.encode() + b'0' * (predict.MAX_MEGABYTES * 2**20 + 1) + f'\r\n--{boundary}--'.encode()
    )
    kind = {'Content-Type': f'multipart/form-data; boundary={boundary}'}
    request = urllib.request.Request(f'{address}gradio_api/upload', body, kind)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 413


@pytest.fixture
def browser():
    """A headless Chromium that notes what it asks of the network."""
    webdriver = pytest.importorskip('selenium.webdriver')
    chromium, driver = shutil.which('chromium'), shutil.which('chromedriver')
    if not (chromium and driver):
        pytest.skip('Chromium is not installed (Debian: apt-get install chromium chromium-driver)')
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ('headless=new', 'no-sandbox', 'disable-dev-shm-usage', 'window-size=1200,1500'):
        options.add_argument(f'--{flag}')
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL'})
    service = webdriver.chrome.service.Service(driver)
    driver_session = webdriver.Chrome(options=options, service=service)
    yield driver_session
    driver_session.quit()


def test_a_browser_predicts_uploads(address, browser, coco_photos, tmp_path):
    """Open the page, drop a photo, choose a task, look; then drop something else."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def find(selector):
        return WebDriverWait(browser, 60).until(
            lambda page: page.find_element(By.CSS_SELECTOR, selector)
        )

    def look(path: Path) -> None:
        find('#upload input[type=file]').send_keys(str(path))
        WebDriverWait(browser, 60).until(
            lambda page: path.name in find('#upload').get_attribute('textContent')
            or path.stem in find('#upload').get_attribute('textContent')
        )
        find('#look').click()

    def wait_for(pattern: str) -> None:
        WebDriverWait(browser, 60).until(lambda page: re.search(pattern, find('#words').text))

    browser.get(address)
    look(min(coco_photos.glob('val2017/*.jpg'), key=lambda path: path.stat().st_size))
    wait_for(r'detection: .*\n.*\d+\.\d\d s on cpu')
    assert find('#shown img').size['width'] > 100
    find('input[type=radio][value=segmentation]').click()
    find('#look').click()
    wait_for(r'segmentation: \w+ \d+ %')
    browser.get(address)
    (tmp_path / 'text.jpg').write_text('not an image')
    look(tmp_path / 'text.jpg')
    wait_for('text.jpg cannot be read as an image')
    messages = [json.loads(line['message'])['message'] for line in browser.get_log('performance')]
    asked = {message['params'].get('request', {}).get('url', '') for message in messages}
    asked = {url for url in asked if url.startswith('http')}
    assert asked
    assert all(url.startswith('http://127.0.0.1:') for url in asked), asked


@pytest.mark.parametrize(
    ('message', 'args'),
    [
        ('expected pairs of CONFIG and CHECKPOINT, got 1', ['vig_maskrcnn_mini']),
        ('expected a checkpoint file at absent.pth', ['vig_maskrcnn_mini', 'absent.pth']),
        ('pip install gradio', ['vig_maskrcnn_mini', 'absent.pth']),
    ],
)
def test_errors_say_what_to_do(message, args, cli, monkeypatch):
    monkeypatch.setattr('mmvig.cli.serve.find_spec', lambda name: None if 'pip' in message else 1)
    assert message in cli.user_error('serve', *args)
