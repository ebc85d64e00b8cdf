"""What was found in a folder of data, in lines for people."""

from collections.abc import Iterator, Sequence

import numpy as np

from mmvig.messages import join_some

from .choices import Sizes
from .images import Looked
from .masks import Labels, Masks
from .parts import Part, Parts, class_counts


def describe_parts(parts: Parts, classes: list[str], masks: bool) -> Iterator[str]:
    """Format, splits and classes of data for detection."""
    yield f'format   {parts.form}, {"boxes and masks" if masks else "boxes"}'
    yield f'splits   {parts.origin}'
    counts = {}
    for name, part in (('train', parts.train), ('val', parts.val)):
        counts[name] = class_counts(part)
        yield f'{name:8} {_images(part)}'
    shown = join_some(
        f'{name} ({counts["train"][name]} + {counts["val"][name]})' for name in classes
    )
    yield f'classes  {len(classes)}: {shown}'


def describe_objects(sizes: Sizes) -> str:
    """How large the objects of the split to train on are."""
    return (
        f'objects  {sizes.small:.0f} · {sizes.median:.0f} · {sizes.large:.0f} pixels large (√ of '
        'the box, at 10 · 50 · 95 %)'
    )


def _images(part: Part) -> str:
    images = part.content['images']
    boxes = dict.fromkeys((entry['id'] for entry in images), 0)
    for entry in part.content['annotations']:
        if entry['image_id'] in boxes:
            boxes[entry['image_id']] += 1
    counts = list(boxes.values())
    empty = counts.count(0)
    return (
        f'{len(images)} images, {describe_sizes([(e["width"], e["height"]) for e in images])}; '
        f'{sum(counts)} objects, {np.median(counts):.0f} in an image, at most {max(counts)}'
        f'{f", none in {empty}" if empty else ""}'
    )


def describe_sizes(sizes: Sequence[tuple[int, int]]) -> str:
    """The smallest and the largest of widths and heights, by area."""
    ordered = sorted(set(sizes), key=lambda size: size[0] * size[1])
    names = [f'{width}×{height}' for width, height in ordered]
    return names[0] if len(names) == 1 else f'{names[0]} to {names[-1]} ({len(names)} sizes)'


def describe_looked(looked: Looked) -> str:
    kinds = ', '.join(f'{number} {kind}' for kind, number in looked.kinds.most_common())
    return (
        f'files    {kinds or "none readable"}; {looked.decoded} of {looked.count} read to the end'
    )


def describe_masks(masks: Masks, labels: Labels, classes: Sequence[str]) -> Iterator[str]:
    """Splits and labels of data for segmentation."""
    yield f'format   an image ({masks.image_suffix}) and a mask (…{masks.mask_suffix}) each'
    yield f'splits   {masks.origin}'
    for name, part in (('train', masks.train), ('val', masks.val)):
        yield f'{name:8} {len(part.names)} images in {part.images}, masks in {part.masks}'
    total = max(1, labels.pixels.total())
    shown = join_some(
        (
            f'{label} {_name_of(label, classes)}: {labels.pixels[label] / total:.1%} of the pixels '
            f'in {labels.images[label]} of {labels.read}'
            for label in sorted(labels.pixels)
        ),
        most=20,
    )
    yield f'labels   {shown}'


def _name_of(label: int, classes: Sequence[str]) -> str:
    if label == 255:
        return '(ignored)'
    return f'({classes[label]})' if label < len(classes) else '(no class)'
