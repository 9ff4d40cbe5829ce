"""Object detectors by name: those of torchvision, of transformers, and of a function."""

from pathlib import Path
from typing import TypeAlias

from torch import nn

from models.classifiers.custom import load_object
from models.detectors import torchvision as architectures
from models.detectors import transformers
from models.detectors.function import FunctionDetector
from models.detectors.torchvision import TorchvisionDetector
from models.detectors.transformers import TransformersDetector
from models.spelling import suggestion
from models.weights.checkpoint import refuse_weights

AnyDetector: TypeAlias = TorchvisionDetector | TransformersDetector | FunctionDetector
"""Maps images "n 3 h w" in [0, 1] to a list of (boxes "m 4", class probabilities "m k", objectness "m"). The
``labels`` are the names of the classes; boxes are left, top, right, bottom in pixels of the images. The
detector's own score is a class probability if it is ``joint``, and else that times the objectness."""

FORMS = ("hf:FOLDER", "python:MODULE:FUNCTION")


def load_detector(name: str, weights: Path | None = None) -> AnyDetector:
    """Return the detector of this name, frozen and in evaluation mode.

    ``hf:FOLDER`` and ``hf:ID`` are transformers' object detectors (DETR, YOLOS, RT-DETR, ...).
    ``python:package.module:function`` returns a detector that is called as `AnyDetector` is, with ``labels``.
    All other names are torchvision's. Their weights are torchvision's own, or those in the file ``weights``;
    a safetensors file may name its classes in its metadata (``labels``, a JSON list).

    Raises:
        ValueError: If the name is unknown, or the weights cannot be had or do not fit.
    """
    kind, _, place = name.partition(":")
    detector: AnyDetector
    if kind == "hf" and place:
        refuse_weights(weights, name)
        detector = transformers.load(place)
    elif kind == "python" and place:
        refuse_weights(weights, name)
        detector = FunctionDetector(load_object(place, f"detector: {name}"), f"detector: {name}")
    elif name in architectures.names():
        detector = architectures.load(name, weights)
    else:
        known = architectures.names()
        expected = f"a box needs a detector: {', '.join(FORMS)} or one of {', '.join(known)}; got {name!r}"
        raise ValueError(f"--classifier: {expected}{suggestion(name, known)}")
    module: nn.Module = detector.eval().requires_grad_(False)
    assert module is detector
    return detector
