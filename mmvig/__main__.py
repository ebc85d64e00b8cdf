"""`python -m mmvig train|test …`: the tools, from wherever the package is installed."""

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    'new-config': 'look at a folder of data and write a config for it',
    'train': 'train a config, or resume a training',
    'test': 'evaluate a checkpoint',
    'predict': 'predict images and draw the results',
    'inspect': 'draw the inside of a backbone',
    'plot': 'draw the curves of trainings',
    'serve': 'open a local page to try models on',
    'list': 'list the configs',
    'export': 'write a model as an ONNX file',
    'flops': "count a model's parameters and operations",
    'convert': 'convert an official checkpoint',
    'draw-mini': 'draw the mini data set',
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that `argv`, by default the process's arguments, names first."""
    name, *rest = (sys.argv[1:] if argv is None else argv) or [None]
    if name not in COMMANDS:
        listing = '\n'.join(f'  {key:10} {text}' for key, text in COMMANDS.items())
        asked = name in ('-h', '--help')
        stream = sys.stdout if asked else sys.stderr
        stream.write(f'usage: python -m mmvig COMMAND …, with COMMAND one of\n{listing}\n')
        sys.exit(0 if asked else 2)
    if name == 'predict' and any(word.split('=')[0] == '--model' for word in rest):
        name = 'predict-exported'  # apart, as it needs no torch
    importlib.import_module(f'mmvig.cli.{name.replace("-", "_")}').main(rest)


if __name__ == '__main__':
    main()
