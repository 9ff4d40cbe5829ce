"""The fillers that benchmarks compare: their names, what they are, and where what was found is kept."""

import argparse
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from attribution import MaskedScore
from attribution.engine.precision import prepare
from infill import Filler
from models.classifiers import ImageClassifier
from models.inpainters import small
from studio.registry.build import build_filler, weights_of
from studio.registry.parse import parse_filler
from studio.registry.tables import FILLERS

HERE = ("gray", "mean", "noise", "blur", "telea", "ns", "biharmonic", "inpaint", "inpaint-even",
        "inpaint@by=auto", "patchmatch", "exemplar")  # fmt: skip
"""Those that need no download; the first is what the others are compared with."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let whoever has weights of other inpainters compare these, too."""
    parser.add_argument(
        "--filler",
        action="append",
        default=[],
        metavar="NAME[:CHECKPOINT][@FIELD=VALUE,...]",
        help="Another filler to compare, as lama or deepfill-v2:FILE; may be given more than once.",
    )


def built(texts: Iterable[str], image: Tensor) -> dict[str, Filler]:
    """Return the fillers by what they are called.

    Raises:
        ValueError: If a text names none, or its weights are not here.
    """
    return {text: build_filler(*parse_filler(text), image, "auto") for text in texts}


def of_first_label(image: Tensor, classifier: ImageClassifier, text: str) -> MaskedScore:
    """Return the score of a classifier's first label for an image, with the filler of this name.

    Raises:
        ValueError: As for `built`.
    """
    fast = prepare(classifier, "auto", image[None])
    with torch.inference_mode():
        target = int(fast(image[None]).argmax())
    return MaskedScore(image, target, fast, built([text], image)[text])


def folder(root: Path, text: str, weights: Path = small.FILE) -> Path:
    """Return where figures of a filler are kept: those of the shipped network by its weights."""
    filler, name = parse_filler(text)[0], re.sub(r"[^\w.=-]+", "-", text)
    shipped = weights if filler == "inpaint" else weights_of(filler, {}) if filler in FILLERS else None
    return root / (f"{name}-{hashlib.sha256(shipped.read_bytes()).hexdigest()[:12]}" if shipped else name)
