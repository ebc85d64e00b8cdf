"""Exported models, run without torch: `Deployed('model.onnx')(images)`.

Needs numpy, OpenCV and one runtime, onnxruntime or OpenVINO; Pillow where a model's images are
resized by it.
"""

from .deployed import Deployed
from .results import Classification, Detection, Segmentation

__all__ = ['Classification', 'Deployed', 'Detection', 'Segmentation']
