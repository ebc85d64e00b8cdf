"""docs/errors.md, written from the table of wrong inputs: `python -m tools.make_error_page`."""

from pathlib import Path

from tests.support.error_cases import GROUPS

PAGE = Path(__file__).resolve().parents[1] / 'docs/errors.md'
TEXT = """# Error messages

`tests/checks/test_errors.py` tries each line below and keeps this page up to date: the command ends
with status 2 and this line after `error: ` on stderr, existing files stay as they are, and no code
from a checkpoint runs. An ellipsis stands for what depends on place or version. `det.py` and
`seg.py` are small configs of Mask R-CNN and UperNet, `det.pth` and `seg.pth` their checkpoints.
`MMVIG_TRACEBACK=1` before a command shows the whole traceback too.

Images of one channel, with alpha, of 16 bits, in CMYK, or turned by EXIF are read as what they
show, and images without instances, boxes that reach over a border, and annotations of less than a
pixel are taken or left out with a note (`tests/checks/test_images.py`). On a full disk the last
good checkpoint stays (`tests/cli/test_full_disk.py`).

What a training can go on without is a warning in its log, once: annotations that mmdet leaves out
(crowds, `ignore: 1`, no area, less than a pixel, polygons of two points, other categories, images
below `filter_cfg.min_size`), and classes that no annotation, mask or image has, with what the masks
have instead (`tests/checks/test_coco.py`, `test_occurrence.py`). COCO files and lists are read
whole; of larger sets 200 masks, 20 000 labels of images or 5 000 images with boxes of other formats
are looked at, evenly spread, and the warning says of how many. Another warning names sections of
OpenMMLab 2.x, and variables such as `train_pipeline` that a config overrides without effect, as its
base has copied them (`tests/checks/test_unread.py`).

A first step that fails for a reason which no check knows is one line too, with the part of the
model that was at work: `the first step fails, at model.…` (`tests/checks/test_first_step.py`).

Another `train.py`, such as mmdet's own, runs the same configs without these checks. A config gets
most of them there too by `runner_type = 'mmvig.CheckedRunner'` (model, classes, samples, masks,
checkpoint), and a program of one's own the others by `mmvig.checks.check(cfg, 'train', 'val')`
(sections, settings, files, annotations). With `runner_type = 'FlexibleRunner'`, for FSDP and other
strategies, the commands check the same.
"""


def page() -> str:
    parts = [TEXT]
    for group, cases in GROUPS.items():
        parts.append(f'\n## {group}\n\n| wrong | command | what is said |\n|---|---|---|\n')
        parts += [f'| {case.wrong} | `{case.command}` | {_cell(case.sees)} |\n' for case in cases]
    return ''.join(parts)


def _cell(text: str) -> str:
    """As code, with more backticks around than inside."""
    return f'`` {text} ``' if '`' in text else f'`{text}`'


if __name__ == '__main__':
    PAGE.write_text(page())
