"""The metadata of an ONNX file, read without a runtime and without its weights.

An ONNX file is one message of protocol buffers: fields, each a key (number and wire type), then a
number or a length and as many bytes. Only the few bytes that are looked for are read, so damage is
reported before a runtime, with a message of its own, loads the weights.
"""

from pathlib import Path
from typing import BinaryIO

from .manifest import KEY, Manifest

# Fields of ModelProto in onnx.proto, which never change their numbers.
IR_VERSION, GRAPH, METADATA = 1, 7, 14
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


def read_manifest(path: Path) -> Manifest:
    """The manifest of a file that `python -m mmvig export` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no whole ONNX file, or has no manifest that this version knows.
    """
    if not path.is_file():
        raise FileNotFoundError(f'expected an ONNX file at {path}, there is no such file')
    if not path.stat().st_size:
        raise ValueError(f'expected an ONNX file, {path} is an empty file')
    try:
        metadata = read_metadata(path)
    except ValueError as error:
        raise ValueError(
            f'expected a whole ONNX file, {path} cannot be read as one: its '
            f'{path.stat().st_size} bytes are cut short, damaged, or of another kind'
        ) from error
    if KEY not in metadata:
        raise ValueError(
            f'expected an ONNX file that `python -m mmvig export` wrote, {path} lacks the '
            f'metadata of one'
        )
    try:
        return Manifest.from_json(metadata[KEY])
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def read_metadata(path: Path) -> dict[str, str]:
    """The entries of `metadata_props` by their keys.

    Raises:
        ValueError: the file is no whole ONNX file.
    """
    with open(path, 'rb') as file:
        fields = _fields(file, 0, path.stat().st_size, wanted={GRAPH, METADATA})
        numbers = {number for number, _ in fields}
        entries = [_entry(file, place) for number, place in fields if number == METADATA]
    if not {IR_VERSION, GRAPH} <= numbers:
        raise ValueError('expected the fields of an ONNX model')
    return dict(entries)


def _entry(file: BinaryIO, place: tuple[int, int]) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto, which are its fields 1 and 2."""
    texts = {1: '', 2: ''}
    for number, (start, end) in _fields(file, *place, wanted={1, 2}):
        file.seek(start)
        texts[number] = file.read(end - start).decode()  # UnicodeDecodeError is a ValueError
    return texts[1], texts[2]


def _fields(
    file: BinaryIO, start: int, end: int, wanted: set[int]
) -> list[tuple[int, tuple[int, int]]]:
    """Number and place, start and end, of each field of the message that lies in a range.

    Fields in `wanted` must hold bytes.
    """
    fields = []
    file.seek(start)
    while file.tell() < end:
        number, wire = divmod(_varint(file), 8)
        length = 0
        if wire == VARINT:
            _varint(file)
        elif wire in (FIXED64, FIXED32):
            length = 8 if wire == FIXED64 else 4
        elif wire == BYTES:
            length = _varint(file)
        else:
            raise ValueError(f'expected a wire type of protocol buffers, got {wire}')
        if number in wanted and wire != BYTES:
            raise ValueError(f'expected bytes in field {number}')
        first = file.tell()
        if number == 0 or first + length > end:
            raise ValueError('expected a field that ends within its message')
        fields.append((number, (first, first + length)))
        file.seek(first + length)
    return fields


def _varint(file: BinaryIO) -> int:
    """A number in groups of seven bits, the lowest first; the eighth bit says that more follow."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError('expected a number that ends within the file')
