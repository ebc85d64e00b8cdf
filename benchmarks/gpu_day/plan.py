"""The steps in order of worth, what each one runs, and which of them fit into some minutes."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

KEPT = ('passed', 'failed', 'skipped')  # not run again unless asked for
MM = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'cv2')
REHEARSAL_MINUTES = 0.5


class Step(NamedTuple):
    """One process.

    `minutes` is what it should take, from the counts of its calls: a step starts only where that is
    left, and ends at `limit`.
    """

    name: str
    title: str
    minutes: float
    limit: float
    arguments: tuple[str, ...]
    rehearsal: tuple[str, ...]
    needs: tuple[str, ...] = ()

    def command(self, out: Path, rehearse: bool) -> list[str]:
        """What to start; `{out}` in an argument is the folder of the results."""
        arguments = self.rehearsal if rehearse else self.arguments
        return [sys.executable, '-m', *(text.format(out=out) for text in arguments)]

    def expected(self, rehearse: bool) -> float:
        return REHEARSAL_MINUTES if rehearse else self.minutes


KERNEL = ('benchmarks.kernel', '--csv', '{out}/kernel.csv', '--keep-going')
KERNEL_REHEARSAL = (*KERNEL, '--device', 'cpu', '--providers', 'chunked', 'sdpa', '--runs', '1')
BACKBONE = ('benchmarks.backbone', '--csv', '{out}/backbone.csv')
BACKBONE_MODELS = ('--models', 'vig-tiny', 'vig-plain-tiny', 'swin-t', 'swin-t-torchvision',
                   'deit-t')  # fmt: skip
BACKBONE_REHEARSAL = (*BACKBONE, '--device', 'cpu', '--runs', '1', '--sizes', '64x64', '--models',
                      'vig-nano', 'swin-t-torchvision', '--modes')  # fmt: skip
TRAINING = ('benchmarks.training', '{kind}', '--csv', '{{out}}/step_time.csv')
STEPS_OF_TRAINING = {
    kind: tuple(text.format(kind=kind) for text in TRAINING) for kind in ('det', 'seg')
}

STEPS = (
    Step(
        'machine', 'device, driver, versions, copy bandwidth, rate of matrix products', 0.5, 2,
        ('benchmarks.gpu_day.machine', '--csv', '{out}/machine.csv'),
        ('benchmarks.gpu_day.machine', '--csv', '{out}/machine.csv', '--device', 'cpu'),
    ),
    Step(
        'correctness', 'the kernels against float64: shapes, dtypes, strides, gates, lengths', 6, 8,
        ('benchmarks.gpu_day.correctness', '--csv', '{out}/correctness.csv'),
        ('benchmarks.gpu_day.correctness', '--csv', '{out}/correctness.csv', '--small'),
    ),
    Step(
        'kernel-lengths', 'time of the operator and its peers against T', 3, 6,
        (*KERNEL, '--runs', '10', '--shapes', '--lengths', '1024', '4096', '16384', '65536',
         '262144'),
        (*KERNEL_REHEARSAL, '--shapes', '--lengths', '64', '128'),
    ),
    Step(
        'kernel-shapes', 'time of the operator and its peers at the shapes of the models', 3, 6,
        (*KERNEL, '--runs', '10', '--lengths'),
        (*KERNEL_REHEARSAL, '--shapes', 'ade-512x512-stage4', '--lengths'),
    ),
    Step(
        'backbone-bfloat16', 'whole backbones under autocast, 224² to 2048²', 4, 8,
        (*BACKBONE, *BACKBONE_MODELS, '--dtype', 'bfloat16', '--runs', '10'),
        (*BACKBONE_REHEARSAL, 'forward', '--dtype', 'bfloat16'),
    ),
    Step(
        'profile', 'the time of each kernel, and a profile of the slowest', 2, 4,
        ('benchmarks.gpu_day.kernel_times', '--csv', '{out}/kernel_times.csv'),
        ('benchmarks.gpu_day.kernel_times', '--csv', '{out}/kernel_times.csv', '--small'),
    ),
    Step(
        'compile', '`torch.compile` of a backbone: error, time, compilations over sizes', 5, 8,
        ('benchmarks.gpu_day.compiled', '--csv', '{out}/compiled.csv'),
        ('benchmarks.gpu_day.compiled', '--csv', '{out}/compiled.csv', '--small'),
    ),
    Step(
        'backbone-float32', 'whole backbones in float32, 224² to 2048²', 4, 8,
        (*BACKBONE, *BACKBONE_MODELS, '--dtype', 'float32', '--runs', '10'),
        (*BACKBONE_REHEARSAL, 'forward+backward', '--dtype', 'float32'),
    ),
    Step(
        'kernel-float32', 'time of the operator in float32', 2, 4,
        (*KERNEL, '--dtype', 'float32', '--providers', 'triton', '--runs', '10', '--lengths'),
        (*KERNEL_REHEARSAL, '--dtype', 'float32', '--shapes', '--lengths', '32'),
    ),
    Step(
        'mm-det', 'a training step of Mask R-CNN at 800×1333', 2, 5,
        STEPS_OF_TRAINING['det'],
        (*STEPS_OF_TRAINING['det'], '--device', 'cpu', '--runs', '1', '--mini'), MM,
    ),
    Step(
        'mm-seg', 'a training step of UperNet at 512×512', 2, 5,
        STEPS_OF_TRAINING['seg'],
        (*STEPS_OF_TRAINING['seg'], '--device', 'cpu', '--runs', '1', '--mini'), MM,
    ),
    Step(
        'mm-mini', 'Mask R-CNN trained on the mini set', 5, 9,
        ('benchmarks.gpu_day.mini_training', '--csv', '{out}/mini_training.csv'),
        ('benchmarks.gpu_day.mini_training', '--csv', '{out}/mini_training.csv', '--small'), MM,
    ),
    Step(
        'suite', 'the test suite of the operator', 6, 9,
        ('pytest', '-q', '-p', 'no:cacheprovider', 'tests/kernels', '-m', 'not slow'),
        ('pytest', '-q', '-p', 'no:cacheprovider', 'tests/kernels/test_bi_gla.py', '-k',
         'flops_are_those_of_the_recurrence'), ('pytest',),
    ),
)  # fmt: skip


def order(results: Mapping[str, str], again: Iterable[str] = ()) -> list[Step]:
    """Steps still to run, given how each earlier one ended: new ones first, then unfinished ones.

    Those in `again` run as if they were new.
    """
    again = set(again)
    new = [step for step in STEPS if step.name in again or step.name not in results]
    unfinished = [step for step in STEPS if results.get(step.name, KEPT[0]) not in KEPT]
    return new + [step for step in unfinished if step not in new]


def fit(steps: Iterable[Step], minutes: float, rehearse: bool) -> tuple[list[Step], list[Step]]:
    """Those that fit into the minutes one after the other, and the rest."""
    chosen, rest = [], []
    for step in steps:
        fits = step.expected(rehearse) <= minutes
        minutes -= step.expected(rehearse) if fits else 0
        (chosen if fits else rest).append(step)
    return chosen, rest
