"""Time of a backbone in every runtime that it can be exported to, side by side with Swin-T.

    python -m benchmarks.deployment --csv benchmarks/results/deployment.csv

All runtimes of a model take the same image in turns within one run, each after a pause, in which
the threads of the one before it stop to spin, and a run that is not timed. `vs_torch` and
`vs_swin_t` are medians over rounds of the ratio to torch on the same model, and to Swin-T in the
same runtime. `error` is the largest difference from torch in float32 over the largest value of a
map.
"""

import argparse
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import quantize_dynamic
from torch import Tensor, nn

from benchmarks.backbone import parse_size
from benchmarks.models import BUILDERS
from benchmarks.options import make_parser, parse_args
from benchmarks.processor import describe_cpu
from benchmarks.rows import device_name, keep, origin
from benchmarks.timing import Timer, allocator
from mmvig.deploy.manifest import Manifest
from mmvig.deploy.openvino import import_openvino, openvino_core
from mmvig.export.dynamic import for_any_size
from mmvig.export.exportable import Exportable
from mmvig.export.exporter import write
from mmvig.export.torch_program import compile_package, export_program, load_package
from mmvig.export.trace import trace

openvino = import_openvino()
SIZES = ((224, 224), (512, 512), (800, 1344), (1024, 1024), (2048, 2048))
MODELS = ('vig-tiny', 'swin-t')
KEY = ('model', 'runtime', 'height', 'width', 'device', 'cpu', 'threads', 'allocator')
PAUSE = 0.1  # seconds; idle threads of onnxruntime, OpenVINO and OpenMP spin for some milliseconds
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
Run = Callable[[np.ndarray], Sequence[np.ndarray]]


class Maps(nn.Module):
    """A backbone alone, whose output is a tuple."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.backbone(image))


def exportable(name: str, module: nn.Module, size: tuple[int, int]) -> Exportable:
    """A backbone for any size; Swin's windows are traced for one."""
    is_dynamic = name.startswith('vig')
    sizes = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC} if is_dynamic else {}
    return Exportable(
        module=module,
        inputs=('image',),
        outputs=tuple(f'map{i}' for i in range(4)),
        examples=(torch.zeros(1, 3, *((320, 512) if is_dynamic else size)),),
        dynamic_shapes=(sizes,),
        manifest=Manifest('backbone', (), (), (), MEAN, STD, 'RGB', name, '', ''),
    )


def in_torch(model: Exportable, folder: Path) -> Run:
    @torch.inference_mode()
    def run(image: np.ndarray) -> list[np.ndarray]:
        return [x.numpy() for x in model.module(torch.from_numpy(image))]

    return run


def in_aotinductor(model: Exportable, folder: Path) -> Run:
    path = folder / 'model.pt2'
    if not path.is_file():
        program = export_program(model.module, model.examples, model.dynamic_shapes)
        compile_package(program, path)
    package = load_package(path)

    @torch.inference_mode()
    def run(image: np.ndarray) -> list[np.ndarray]:
        return [x.numpy() for x in package(torch.from_numpy(image))]

    return run


def onnx_file(model: Exportable, folder: Path, form: str) -> Path:
    """The model in a form, written once; all forms are written from one trace."""
    traced, path = folder / 'traced.onnx', folder / f'{form}.onnx'
    if not traced.is_file():
        onnx.save(trace(model._replace(module=for_any_size(model.module))), traced)
    if not path.is_file():
        write(onnx.load(traced), model, path, form, check=False)
    return path


def in_onnxruntime(form: str, int8: bool = False) -> Callable[[Exportable, Path], Run]:
    def build(model: Exportable, folder: Path) -> Run:
        path = onnx_file(model, folder, form)
        if int8:
            exported, path = path, path.with_suffix('.int8.onnx')
            quantize_dynamic(exported, path, op_types_to_quantize=['MatMul'])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        return lambda image: session.run(None, {'image': image})

    return build


def in_openvino(precision: str) -> Callable[[Exportable, Path], Run]:
    def build(model: Exportable, folder: Path) -> Run:
        path = onnx_file(model, folder, 'portable')
        settings = {
            'INFERENCE_PRECISION_HINT': precision,
            'INFERENCE_NUM_THREADS': torch.get_num_threads(),
        }
        compiled = openvino_core().compile_model(path, 'CPU', settings)
        return lambda image: list(compiled(image).values())

    return build


RUNTIMES = {
    'torch': in_torch,
    'onnxruntime contrib': in_onnxruntime('contrib'),
    'onnxruntime portable': in_onnxruntime('portable'),
    'onnxruntime standard': in_onnxruntime('standard'),
    'onnxruntime contrib, int8 products': in_onnxruntime('contrib', int8=True),
    'openvino portable': in_openvino('f32'),
    'openvino portable, bf16': in_openvino('bf16'),
    'aotinductor': in_aotinductor,
}
# Swin has no linear attention: its graph is the same in every form.
ONLY_OURS = ('onnxruntime portable', 'onnxruntime standard')


def measure(args: argparse.Namespace) -> Iterator[dict]:
    with tempfile.TemporaryDirectory() as folder:
        for size in args.sizes:
            yield from measure_size(prepare(args.photo, size), Path(folder), args)


def measure_size(image: np.ndarray, folder: Path, args: argparse.Namespace) -> Iterator[dict]:
    """A row for each model in each runtime, timed in turns."""
    height, width = image.shape[2:]
    runs: dict[tuple[str, str], Callable[[], Sequence[np.ndarray]]] = {}
    for name in args.models:
        torch.manual_seed(0)
        model = exportable(name, Maps(BUILDERS[name]()).eval(), (height, width))
        place = folder / name / ('any' if model.dynamic_shapes[0] else f'{height}x{width}')
        place.mkdir(parents=True, exist_ok=True)
        for runtime in args.runtimes:
            if runtime in ONLY_OURS and not name.startswith('vig'):
                continue
            try:
                runs[name, runtime] = functools.partial(RUNTIMES[runtime](model, place), image)
            except RuntimeError as error:  # torch's compiler does not take every Swin
                sys.stderr.write(f'{name} has no row in {runtime}: {error}\n')
    outputs = {key: [np.array(x) for x in run()] for key, run in runs.items()}
    timer = Timer('cpu')
    rounds = [{key: settled(timer, run) for key, run in runs.items()} for _ in range(args.runs)]

    def ratio(key: tuple[str, str], other: tuple[str, str]) -> float | str:
        if other not in runs:
            return ''
        return round(statistics.median(times[key] / times[other] for times in rounds), 3)

    for name, runtime in runs:
        key = name, runtime
        swin = 'swin-t', 'onnxruntime contrib' if runtime in ONLY_OURS else runtime
        row = dict(
            model=name, runtime=runtime, height=height, width=width, device=device_name('cpu'),
            allocator=allocator(), ms=round(statistics.median(r[key] for r in rounds), 1),
            vs_torch=ratio(key, (name, 'torch')), vs_swin_t=ratio(key, swin),
            error=f'{largest_error(outputs[key], outputs[name, "torch"]):.1e}', runs=args.runs,
            onnxruntime=onnxruntime.__version__, openvino=openvino.__version__.partition('-')[0],
        )  # fmt: skip
        yield row | describe_cpu() | origin()


def settled(timer: Timer, run: Callable[[], object]) -> float:
    """The time of a run as if no other runtime were in the process."""
    time.sleep(PAUSE)
    run()
    return timer(run)


def largest_error(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    return max(
        float(np.abs(x - y).max() / np.abs(y).max()) for x, y in zip(found, expected, strict=True)
    )


def prepare(photo: Path, size: tuple[int, int]) -> np.ndarray:
    """A photo at a size, normalized, [1, 3, Y, X]."""
    pixels_YXC = cv2.imread(str(photo))
    if pixels_YXC is None:
        raise SystemExit(f'expected an image at {photo}')
    pixels_YXC = cv2.resize(pixels_YXC[..., ::-1], size[::-1], interpolation=cv2.INTER_LINEAR)
    image_YXC = (pixels_YXC.astype(np.float32) - MEAN) / STD
    return np.ascontiguousarray(image_YXC.transpose(2, 0, 1)[None], np.float32)


def main(argv: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__, runs=5)
    parser.add_argument('--models', nargs='+', choices=BUILDERS, default=MODELS)
    parser.add_argument('--runtimes', nargs='+', choices=RUNTIMES, default=list(RUNTIMES))
    parser.add_argument('--sizes', nargs='+', type=parse_size, default=SIZES, metavar='HxW')
    parser.add_argument('--photo', type=Path, default='docs/predictions.jpg', help='input image')
    args = parse_args(parser, argv, gpu_dtype='float32')
    if 'torch' not in args.runtimes:
        parser.error('expected torch among --runtimes, which the others are compared with')
    shown = ('model', 'runtime', 'height', 'width', 'ms', 'vs_torch', 'vs_swin_t', 'error')
    keep(args.csv, measure(args), KEY, shown)


if __name__ == '__main__':
    main()
