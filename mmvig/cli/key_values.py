"""KEY=VALUE of the command line: mmengine's, with paths as they are written and spaces kept.

mmengine takes `data_root=2017` for a number, `data,x/` for a list, and drops every space.
"""

import argparse
import re
from collections.abc import Sequence

from mmengine.config import DictAction

from mmvig.checks import errors
from mmvig.checks.errors import UserError

# Settings whose value is a path, by the last part of the key.
PATHS = {
    *('data_root', 'data_prefix', 'ann_file', 'proposal_file'),
    *('work_dir', 'save_dir', 'out_dir', 'test_out_dir', 'outfile_prefix', 'out_file_path'),
    *('load_from', 'checkpoint'),
}
BLANK = '\ue000'  # stands for a space while mmengine parses; of no meaning in Unicode


class KeyValueAction(DictAction):
    """mmengine's KEY=VALUE, with a message for what is not of that form."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        options = dict(getattr(namespace, self.dest, None) or {})
        for text in values:
            key, equals, value = text.partition('=')
            if not equals or not all(key.split('.')):
                raise UserError(f'expected KEY=VALUE after {option_string}, got {text!r}')
            try:
                options[key] = parse(key, value)
            except (AssertionError, ValueError, SyntaxError) as error:
                raise UserError(f'{option_string} {text}: {errors.one_line(error)}') from error
        setattr(namespace, self.dest, options)


def parse(key: str, text: str):
    """The value of a key: a path as it is written, else what mmengine reads.

    Numbers, True, False and None are such, brackets and commas make lists, all else is a word.
    """
    parts = key.split('.')
    if (parts[-1] in PATHS or 'data_prefix' in parts) and not text.startswith(('[', '(')):
        return None if text == 'None' else text.strip('\'"')
    text = text.strip()
    if ',' in text or text.startswith(('[', '(')):
        text = re.sub(r' *([\[\](),]) *', r'\1', text)
    return _with_spaces(DictAction._parse_iterable(text.replace(' ', BLANK)))


def _with_spaces(value):
    if isinstance(value, str):
        return value.replace(BLANK, ' ')
    if isinstance(value, list | tuple):
        return type(value)(map(_with_spaces, value))
    return value
