"""The figures of composites, image by image, and how tables call them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from infill.realism import similarity as realism
from infill.realism.artifacts import TRACES
from infill.realism.features import Judge
from infill.realism.similarity import Perceptual
from studio.realism.batches import ExampleBatch

if TYPE_CHECKING:
    from numpy import ndarray

    from models.classifiers import ImageClassifier


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        removed: What is better where the object is to go: "lower", "higher", or neither.
        kept: What is better where the image is to look as before.
        scale: What a figure is multiplied with to be shown.
        possible: What it can be at all: no interval tells more.
    """

    title: str
    removed: str | None
    kept: str | None
    scale: float = 1.0
    digits: str = ".3f"
    possible: tuple[float, float] = (-math.inf, math.inf)


METRICS: Mapping[str, Metric] = {
    # A fill may speak for the class, too: what is kept is told by the next two.
    "accuracy": Metric("accuracy, %", "lower", None, 100, ".1f"),
    "probability": Metric("target probability", "lower", None),
    "change": Metric("change of the probability", None, "lower", possible=(0, 1)),
    "divergence": Metric("divergence (KL), nats", None, "lower", possible=(0, math.inf)),
    "ms_ssim": Metric("MS-SSIM to the original", "lower", "higher"),
    "lpips": Metric("LPIPS to the original", "higher", "lower"),
    "l1": Metric("L1 to the truth in the hole", "lower", "lower"),
    "psnr": Metric("PSNR in the hole, dB", "higher", "higher", 1, ".2f"),
    "lpips_truth": Metric("LPIPS to the truth", "lower", "lower"),
    # Photographs have 1, and less is no better: a smear has less of all.
    "periodicity": Metric("periodicity in the hole (1)", None, None, 1, ".2f", (0, math.inf)),
    "seam": Metric("seam at the rim (1)", None, None, 1, ".2f", (0, math.inf)),
    "texture": Metric("texture in the hole (1)", None, None, 1, ".2f", (0, math.inf)),
    "frechet": Metric("Frechet distance", "lower", "lower", 1, ".3g", (0, math.inf)),
    "kernel": Metric("kernel distance", "lower", "lower", 1, ".2g"),
    "two_sample": Metric("told from real images, %", "lower", "lower", 100, ".1f", (0, 1)),
    "entropy": Metric("entropy, nats", "higher", None, 1, ".2f"),
    "calibration": Metric("calibration error, %", "lower", "lower", 100, ".1f", (0, 1)),
    "top3": Metric("3 most frequent labels, %", None, None, 100, ".1f", (0, 1)),
}
REVISION = 4
"""Of what is found for an image. It is raised when something else is, so that no run is half of each.
2: features are of all images of a batch (was, on a processor: of the last few). 3: holes in the background
touch no other object of the photograph either (was: none that is an example, too). 4: nor a box of its own in
which no silhouette is."""
OF_CLASSES = ("accuracy", "probability", "entropy", "calibration", "top3")
OF_FEATURES = ("frechet", "kernel", "two_sample")


@dataclass(eq=False)
class ImageMetrics:
    """Computes all figures that are about one image each.

    What the originals and the truths look like to LPIPS is computed once for all fillers of a batch.

    Attributes:
        judge: Says what is in an image; ``None`` leaves all that out.
        classifier: The judge's, with its view.
        similar: Whether MS-SSIM is taken.
        perceptual: LPIPS; ``None`` leaves it out.
        truth: Whether the truth behind the holes is known.
        steady: Whether the judge is to say of composites what it says of the originals.
        partial: Whether holes leave something of each image, which their inside can be held against.
    """

    judge: Judge | None
    classifier: ImageClassifier | None
    similar: bool
    perceptual: Perceptual | None
    truth: bool = False
    steady: bool = False
    partial: bool = True

    @torch.inference_mode()
    def of_batch(self, batch: ExampleBatch) -> BatchMetrics:
        """Look at the originals, and at the truths where these are others."""
        before = None
        if self.steady and self.judge is not None and batch.targets is not None:
            before = self._asked(self.judge, batch.images)[0]
        if self.perceptual is None:
            return BatchMetrics(self, batch, None, None, before)
        truth = None
        if self.truth and batch.truth is not None and batch.truth is not batch.images:
            truth = self.perceptual.features(batch.truth)
        return BatchMetrics(self, batch, self.perceptual.features(batch.images), truth, before)

    def _asked(
        self, judge: Judge, images: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n d"] | None]:
        """Ask the judge; images of another size than its own are resized whole."""
        assert self.classifier is not None
        size = (self.classifier.crop, self.classifier.crop)
        if tuple(images.shape[2:]) != size:
            images = F.interpolate(images, size=size, mode="bilinear", antialias=True).clamp(0, 1)
        return judge(images)

    @torch.inference_mode()  # a plain function may ask for gradients, and arrays have none
    def judged(
        self, images: Float[Tensor, "n 3 h w"], targets: Tensor | None, before: Tensor | None = None
    ) -> dict[str, ndarray]:
        """Return what the judge says, and how far that is from the logits ``before``, if there are any."""
        if self.judge is None or self.classifier is None or targets is None:
            return {}
        logits, features = self._asked(self.judge, images)
        label = logits.argmax(1)
        multi_label = self.classifier.multi_label
        probability = realism.target_probability(logits, targets, multi_label)
        # Where an image may be of several classes, one is there or not, whatever others are.
        correct = probability >= 0.5 if multi_label else label == targets
        values = {
            "label": label,
            "accuracy": correct.float(),
            "probability": probability,
            "entropy": realism.entropy(logits, multi_label),
        }
        if before is not None:
            values["change"] = (probability - realism.target_probability(before, targets, multi_label)).abs()
            values["divergence"] = realism.divergence(logits, before, multi_label).clamp(min=0)
        if features is not None:
            values["features"] = features
        if not multi_label:
            values["confidence"] = realism.target_probability(logits, label).clamp(0, 1)
        return _arrays(values)

    @torch.inference_mode()
    def features(self, images: Float[Tensor, "n 3 h w"]) -> dict[str, ndarray]:
        """Return the judge's features of images, if it tells any."""
        features = None if self.judge is None else self._asked(self.judge, images)[1]
        return {} if features is None else _arrays({"features": features})


@dataclass(frozen=True, eq=False)
class BatchMetrics:
    """The figures of one batch's composites."""

    metrics: ImageMetrics
    batch: ExampleBatch
    originals: realism.Features | None
    truths: realism.Features | None
    before: Tensor | None

    @torch.inference_mode()
    def __call__(self, composites: Float[Tensor, "n 3 h w"]) -> dict[str, ndarray]:
        """Return arrays with one value (or row of features) an image."""
        batch, metrics = self.batch, self.metrics
        values: dict[str, Tensor] = {}
        if metrics.similar:
            values["ms_ssim"] = realism.ms_ssim(composites, batch.images)
        if metrics.truth and batch.truth is not None:
            values["l1"] = realism.l1_in_hole(composites, batch.truth, batch.holes)
            values["psnr"] = realism.psnr_in_hole(composites, batch.truth, batch.holes)
        if metrics.partial:
            for name, trace in TRACES.items():
                values[name] = trace(composites, batch.holes)
        if metrics.perceptual is not None and self.originals is not None:
            features = metrics.perceptual.features(composites)
            values["lpips"] = metrics.perceptual.distance(features, self.originals)
            if self.truths is not None:
                values["lpips_truth"] = metrics.perceptual.distance(features, self.truths)
        return {**_arrays(values), **metrics.judged(composites, batch.targets, self.before)}

    @torch.inference_mode()
    def features_of_truth(self) -> dict[str, ndarray]:
        """Return the judge's features of the true images: what composites should look like to it."""
        assert self.batch.truth is not None
        return {} if self.batch.targets is None else self.metrics.features(self.batch.truth)


def _arrays(values: Mapping[str, Tensor]) -> dict[str, ndarray]:
    return {name: tensor.cpu().numpy() for name, tensor in values.items()}
