"""How many candidates and objects a model keeps of one image, which mmdet sets for photos."""

import copy
import math

PHOTO_PIXELS = 1333 * 800  # of an image of COCO as mmdet tests it
LIMITS = ('nms_pre', 'max_per_img')


def scaled_limits(test_cfg: dict, pixels: int) -> dict:
    """A copy of a head's `test_cfg` whose limits grow with the image, beyond a photo."""
    scaled = copy.deepcopy(test_cfg)
    for key in LIMITS:
        if scaled.get(key, -1) > 0:
            scaled[key] = math.ceil(scaled[key] * max(1.0, pixels / PHOTO_PIXELS))
    return scaled
