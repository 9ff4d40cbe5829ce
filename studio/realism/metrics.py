"""What is measured of composites, image by image, and what it is called."""

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
from infill.realism.features import Judge
from infill.realism.similarity import Perceptual
from studio.realism.batches import Batch

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
    "accuracy": Metric("accuracy, %", "lower", "higher", 100, ".1f"),
    "probability": Metric("target probability", "lower", "higher"),
    "ms_ssim": Metric("MS-SSIM to the original", "lower", "higher"),
    "lpips": Metric("LPIPS to the original", "higher", "lower"),
    "l1": Metric("L1 to the truth in the hole", "lower", "lower"),
    "psnr": Metric("PSNR in the hole, dB", "higher", "higher", 1, ".2f"),
    "lpips_truth": Metric("LPIPS to the truth", "lower", "lower"),
    "frechet": Metric("Frechet distance", "lower", "lower", 1, ".3g", (0, math.inf)),
    "kernel": Metric("kernel distance", "lower", "lower", 1, ".2g"),
    "two_sample": Metric("told from real images, %", "lower", "lower", 100, ".1f", (0, 1)),
    "entropy": Metric("entropy, nats", "higher", None, 1, ".2f"),
    "calibration": Metric("calibration error, %", "lower", "lower", 100, ".1f", (0, 1)),
    "top3": Metric("3 most frequent labels, %", None, "lower", 100, ".1f", (0, 1)),
}
OF_CLASSES = ("accuracy", "probability", "entropy", "calibration", "top3")
OF_FEATURES = ("frechet", "kernel", "two_sample")
OF_TRUTH = ("l1", "psnr", "lpips_truth")


@dataclass(eq=False)
class Measure:
    """Takes all figures of one image each.

    What the originals and the truths look like to LPIPS is computed once for all fillers of a batch.

    Attributes:
        judge: Who is asked what is in an image; ``None`` leaves all that out.
        eye: The judge's view.
        similar: Whether MS-SSIM is taken.
        perceptual: LPIPS; ``None`` leaves it out.
    """

    judge: Judge | None
    eye: ImageClassifier | None
    similar: bool
    perceptual: Perceptual | None
    truth: bool = False

    @torch.inference_mode()
    def prepared(self, batch: Batch) -> Prepared:
        """Look at the originals, and at the truths where these are others."""
        if self.perceptual is None:
            return Prepared(self, batch, None, None)
        truth = None
        if self.truth and batch.truth is not None and batch.truth is not batch.images:
            truth = self.perceptual.features(batch.truth)
        return Prepared(self, batch, self.perceptual.features(batch.images), truth)

    def judged(self, images: Float[Tensor, "n 3 h w"], targets: Tensor | None) -> dict[str, ndarray]:
        """Ask the judge; images of another size than its own are resized whole."""
        if self.judge is None or self.eye is None or targets is None:
            return {}
        size = (self.eye.crop, self.eye.crop)
        if tuple(images.shape[2:]) != size:
            images = F.interpolate(images, size=size, mode="bilinear", antialias=True).clamp(0, 1)
        logits, features = self.judge(images)
        label = logits.argmax(1)
        several = self.eye.multi_label
        probability = realism.target_probability(logits, targets, several)
        # Where an image may be of several classes, one is there or not, whatever others are.
        right = probability >= 0.5 if several else label == targets
        found = {
            "label": label,
            "accuracy": right.float(),
            "probability": probability,
            "entropy": realism.entropy(logits, several),
        }
        if features is not None:
            found["features"] = features
        if not several:
            found["confidence"] = realism.target_probability(logits, label).clamp(0, 1)
        return _arrays(found)


@dataclass(frozen=True, eq=False)
class Prepared:
    """The measure of one batch."""

    measure: Measure
    batch: Batch
    originals: realism.Features | None
    truths: realism.Features | None

    @torch.inference_mode()
    def __call__(self, composites: Float[Tensor, "n 3 h w"]) -> dict[str, ndarray]:
        """Return arrays with one value (or row of features) an image."""
        batch, measure = self.batch, self.measure
        found: dict[str, Tensor] = {}
        if measure.similar:
            found["ms_ssim"] = realism.ms_ssim(composites, batch.images)
        if measure.truth and batch.truth is not None:
            found["l1"] = realism.l1_in_hole(composites, batch.truth, batch.holes)
            found["psnr"] = realism.psnr_in_hole(composites, batch.truth, batch.holes)
        if measure.perceptual is not None and self.originals is not None:
            seen = measure.perceptual.features(composites)
            found["lpips"] = measure.perceptual.distance(seen, self.originals)
            if self.truths is not None:
                found["lpips_truth"] = measure.perceptual.distance(seen, self.truths)
        return {**_arrays(found), **measure.judged(composites, batch.targets)}

    @torch.inference_mode()
    def features_of_truth(self) -> dict[str, ndarray]:
        """What the judge sees in the true images: what composites should look like to it."""
        assert self.batch.truth is not None
        judged = self.measure.judged(self.batch.truth, self.batch.targets)
        return {"features": judged["features"]} if "features" in judged else {}


def _arrays(found: Mapping[str, Tensor]) -> dict[str, ndarray]:
    return {name: values.cpu().numpy() for name, values in found.items()}
