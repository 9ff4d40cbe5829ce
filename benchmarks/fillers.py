"""The fillers that benchmarks compare: their names, what they are, and where what was found is kept."""

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from attribution import Lime, MaskedScore
from attribution.engine.precision import prepare
from benchmarks.origin import modules_of, origin
from infill import Filler
from models.classifiers import ImageClassifier
from models.inpainters import small
from studio.registry.build import build_filler
from studio.registry.entry import Pretrained
from studio.registry.identity import content, filler_identity
from studio.registry.parse import parse_filler
from studio.registry.tables import ALL_FILLERS, SHIPPED_WEIGHTS

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


def folder(
    root: Path,
    text: str,
    methods: Sequence[object] = (),
    uses: Iterable[str] = (),
    weights: Path | None = None,
    classifiers: Iterable[Path] = (),
) -> Path:
    """Return where figures of a filler are kept: by all that they come from, so that no other's are read.

    Args:
        root: Where figures of all fillers are.
        text: The filler's name, with its settings.
        methods: What explains with it.
        uses: Modules of what else is measured with.
        weights: In place of those of the shipped network.
        classifiers: The weights of those that are asked.
    """
    name = re.sub(r"[^\w.=-]+", "-", text)
    return root / f"{name}-{origin_of([text], methods, uses, weights, classifiers)}"


def origin_of(
    texts: Iterable[str],
    methods: Sequence[object] = (),
    uses: Iterable[str] = (),
    weights: Path | None = None,
    classifiers: Iterable[Path] = (),
) -> str:
    """Return the `origin` of what is found with several fillers; the arguments are those of `folder`."""
    fillers = [parse_filler(text) for text in texts]
    modules = {module for name, _ in fillers for module in _modules(name)} | modules_of(methods)
    made_by = [(ALL_FILLERS[name].given, filler_identity(name, settings)) for name, settings in fillers]
    own = content(weights) if weights and any(name == "inpaint" for name, _ in fillers) else None
    return origin({*modules, *uses}, made_by, own, methods, [content(each) for each in classifiers])


def _modules(name: str) -> Iterator[str]:
    """Yield the modules of a filler and of its network."""
    entry = ALL_FILLERS[name]
    yield entry.load().__module__
    if isinstance(entry, Pretrained):
        yield entry.loader.partition(":")[0]
    if name in SHIPPED_WEIGHTS:
        yield small.__name__
    if entry.of_image:
        yield Lime.__module__
