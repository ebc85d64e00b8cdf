"""`python -m mmvig train|test …`: the tools, from wherever the package is installed."""

import importlib
import sys

COMMANDS = {
    'train': 'train a config, or resume a training',
    'test': 'evaluate a checkpoint',
    'predict': 'predict images and draw what was found',
    'inspect': 'draw what goes on inside a backbone',
    'plot': 'draw the curves of trainings',
    'serve': 'open a local page to try models on',
    'list': 'list the configs',
    'flops': "count a model's parameters and operations",
    'convert': 'convert an official checkpoint',
    'draw-mini': 'draw the mini data set',
}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else None
    if name not in COMMANDS:
        listing = '\n'.join(f'  {key:10} {text}' for key, text in COMMANDS.items())
        wanted_help = name in ('-h', '--help')
        stream = sys.stdout if wanted_help else sys.stderr
        stream.write(f'usage: python -m mmvig COMMAND …, with COMMAND one of\n{listing}\n')
        sys.exit(0 if wanted_help else 2)
    sys.argv[:2] = [f'mmvig {name}']
    importlib.import_module(f'mmvig.cli.{name.replace("-", "_")}').main()


if __name__ == '__main__':
    main()
