"""LIME: a linear model of the score in which superpixels are on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from attribution.estimate import GROUPS, Estimate, jackknife, joined, quantile, reliability, rounds
from attribution.explainer import Heatmap
from attribution.holes import SegmentHoles
from attribution.score import MaskedScore
from infill.extras import optional
from infill.network import unrounded
from infill.validate import Count, Positive, Range, Seed, Share, require, require_settings

Labels: TypeAlias = Integer[Tensor, "h w"] | Integer[np.ndarray, "h w"]
"""Integer labels, as a tensor or as an array."""

Segmentation: TypeAlias = Callable[[Tensor], Labels]
"""Maps an image "c h w" in [0, 1] to integer labels "h w"."""

Distance = Literal["cosine", "l2"]


@dataclass(frozen=True, eq=False)
class Lime:
    """Local interpretable model-agnostic explanations (Ribeiro et al. 2016; Agarwal & Nguyen 2020, sec. 3.4).

    In each sample a random set of superpixels is off: together they are one hole. A ridge regression
    of the score on the superpixels that are on, in which samples near the image weigh more, gives
    each superpixel its coefficient, and so all of its pixels theirs.

    Defaults are those of Agarwal & Nguyen; their code draws 500 samples. The ``lime`` package fills each
    superpixel with its own mean: ``Mean("segment", segments)`` as filler, the same as ``segmentation``.

    Attributes:
        segments: About how many superpixels SLIC makes, at least 2.
        compactness: SLIC's weight of space against color.
        sigma: Gaussian smoothing before SLIC, in pixels.
        samples: Number of samples, the first of which is the image itself; with ``until`` at most so many.
        keep: Probability that a superpixel is on.
        kernel_width: Scale of the kernel ``sqrt(exp(-distance^2 / kernel_width^2))``.
        distance: ``"cosine"``, as in the package: between the vectors of what is on in the sample and in
            the image. ``"l2"``, the paper's words: the L2 distance of the two images, divided by the root
            of the number of their values, hence in pixel-value units, 0 to 1 (the paper leaves the scale
            open; undivided, the kernel would be 0 for every sample but the first).
        alpha: Strength of the ridge.
        features: If given, the path of the LASSO first chooses at most so many superpixels, and the ridge is
            fitted to these alone; the others get 0 (K-LASSO, Ribeiro et al. 2016, alg. 1; the package's
            ``lasso_path``). By default all superpixels have coefficients.
        segmentation: Replaces SLIC: labels for every image, or a function from an image "c h w" to its
            labels; as tensors or as arrays.
        until: The reliability at which samples are enough (`attribution.estimate.reliability`); ``None``: all
            are taken.
        seed: Seed of the samples, which do not depend on the other images of a batch.

    Raises:
        ValueError: If a number is out of its range or ``distance`` is unknown.
    """

    segments: Annotated[int, Range(2, 10**4)] = 50
    compactness: Positive = 30.0
    sigma: Annotated[float, Range(0, 1000)] = 3.0
    samples: Annotated[int, Range(2, 10**6)] = 1000
    keep: Share = 0.5
    kernel_width: Positive = 0.25
    distance: Distance = "cosine"
    alpha: Positive = 1.0
    features: Count | None = None
    segmentation: Segmentation | Labels | None = None
    until: Share | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return each pixel's coefficient: the change of the score that its superpixel makes.

        Raises:
            ValueError: If given segments do not fit the image, or as for the score.
        """
        return self.estimate(score).heatmap

    @unrounded()
    def estimate(self, score: MaskedScore) -> Estimate:
        """Return the coefficients of all pixels with their errors.

        Raises:
            ValueError: As for a call.
        """
        found = []
        for one in score:
            holes = self.holes(one)
            found.append(self._estimate(one, holes, self._scored(one, holes)))
            one.execution.progress(len(holes), len(holes))  # also if fewer were enough
        return joined(found)

    def _estimate(self, score: MaskedScore, holes: SegmentHoles, samples: Samples) -> Estimate:
        fitted = self._fitted(samples)
        left_out = [self._fitted(some) for some in samples.left_out()]
        error = jackknife(torch.stack(left_out))
        told = fitted.abs() > quantile(len(left_out)) * error
        heatmap, error, told = (each.to(score.image.device)[holes.segments] for each in (fitted, error, told))
        return Estimate(
            heatmap=heatmap.to(score.image)[None],
            error=error.to(score.image)[None],
            told=told[None],
            reliability=torch.tensor([self._reliability(samples, holes)]),
            samples=torch.tensor([len(samples.outputs)]),
        )

    def holes(self, score: MaskedScore) -> SegmentHoles:
        """Return the samples of the one image of a score."""
        segments = self.segment(score.image[0])
        count = int(segments.max()) + 1
        generator = torch.Generator().manual_seed(self.seed)
        on = (
            torch.rand(self.samples, count, generator=generator, device="cpu", dtype=torch.float32)
            < self.keep
        )
        on[0] = True
        return SegmentHoles(segments, on)

    def segment(self, image: Float[Tensor, "c h w"]) -> Int[Tensor, "h w"]:
        """Return the superpixels of an image, numbered from 0 without gaps.

        Raises:
            ValueError: If given segments do not have the image's size, or are no whole numbers.
        """
        if self.segmentation is None:
            labels = self._slic(image)
        else:
            labels = _labels(
                self.segmentation(image.clone()) if callable(self.segmentation) else self.segmentation
            )
        size = tuple(image.shape[1:])
        require(
            tuple(labels.shape) == size, "segmentation", f"of shape {size} as the image", tuple(labels.shape)
        )
        numbers: Tensor = torch.unique(labels, return_inverse=True)[1]
        return numbers.to(image.device)

    def _slic(self, image: Tensor) -> Tensor:
        from skimage.segmentation import slic

        pixels = image.permute(1, 2, 0).cpu().double().numpy()
        labels = slic(
            pixels, n_segments=self.segments, compactness=self.compactness, sigma=self.sigma, start_label=0
        )
        return torch.from_numpy(labels)

    def coefficients(self, score: MaskedScore, holes: SegmentHoles) -> Float[Tensor, " s"]:
        """Return the superpixels' coefficients from the given samples of one image."""
        return self._fitted(self._scored(score, holes)).to(score.image)

    def _scored(self, score: MaskedScore, holes: SegmentHoles) -> Samples:
        """Score the samples of one image, all or as many as are enough."""
        # In one piece: small results between large batches would keep their memory from being used again.
        cosine, done = self.distance == "cosine", 0
        scores = score.image.new_empty(len(holes))
        distances = cosine_distance(holes.on) if cosine else torch.empty_like(scores)

        def samples() -> Samples:
            outputs = scores[:done].cpu().double()
            on = holes.on[:done].cpu().double()
            weights = (-(distances[:done].cpu().double() ** 2) / self.kernel_width**2).exp().sqrt()
            return Samples(on, outputs, weights)

        def enough() -> bool:
            assert self.until is not None
            return self._reliability(samples(), holes) >= self.until

        chunks = rounds(holes, score.execution.batch_size, None if self.until is None else enough)
        if cosine:  # nobody looks at the composites
            for _, batch in score.stream(chunks, len(holes)):
                scores[done : done + len(batch)] = batch
                done += len(batch)
            return samples()
        for _, images, batch in score.stream_images(chunks, len(holes)):
            part = slice(done, done + len(batch))
            scores[part] = batch
            distances[part] = (images.float() - score.image).square().flatten(1).mean(dim=1).sqrt()
            done += len(batch)
        return samples()

    def _reliability(self, samples: Samples, holes: SegmentHoles) -> float:
        """Compare the pixels of two halves; the first sample is in both."""
        number = torch.arange(len(samples.outputs))
        halves = [samples.part((number % 2 == side) | (number == 0)) for side in (0, 1)]
        return reliability(*(self._fitted(half)[holes.segments.cpu()] for half in halves))

    def _fitted(self, samples: Samples) -> Float[Tensor, " s"]:
        chosen = torch.arange(samples.on.shape[1])
        if self.features is not None:
            chosen = lasso_choice(samples.on, samples.outputs, samples.weights, self.features)
        fitted = samples.on.new_zeros(samples.on.shape[1])
        fitted[chosen] = ridge(samples.on[:, chosen], samples.outputs, samples.weights, self.alpha)
        return fitted


@dataclass(frozen=True, eq=False)
class Samples:
    """What LIME's regression is made of, in float64: what is on, the scores, and what they weigh."""

    on: Float[Tensor, "n s"]
    outputs: Float[Tensor, " n"]
    weights: Float[Tensor, " n"]

    def part(self, chosen: Bool[Tensor, " n"]) -> Samples:
        """Return some of the samples."""
        return Samples(self.on[chosen], self.outputs[chosen], self.weights[chosen])

    def left_out(self) -> list[Samples]:
        """Return the samples with each of some groups left out; the first one, the image, stays."""
        number = torch.arange(len(self.outputs))
        groups = min(GROUPS, len(number) - 1)
        return [self.part((number % groups != group) | (number == 0)) for group in range(groups)]


def cosine_distance(on: Bool[Tensor, "n s"]) -> Float[Tensor, " n"]:
    """Return the cosine distance of each sample to the one in which all superpixels are on, in [0, 1]."""
    return 1 - on.double().mean(dim=1).sqrt()


def ridge(
    inputs: Float[Tensor, "n s"], outputs: Float[Tensor, " n"], weights: Float[Tensor, " n"], alpha: float
) -> Float[Tensor, " s"]:
    """Return the coefficients of a weighted ridge regression whose intercept is not penalized.

    They minimize ``sum_i weights_i * (outputs_i - intercept - inputs_i . c)^2 + alpha * |c|^2``.
    """
    inputs = inputs - weights @ inputs / weights.sum()  # the intercept drops out
    outputs = outputs - outputs[0]  # of scores that are all the same nothing is left, not even rounding
    weighted = inputs.mT * weights
    penalty = alpha * torch.eye(inputs.shape[1], dtype=inputs.dtype)
    solution: Tensor = torch.linalg.solve(weighted @ inputs + penalty, weighted @ outputs)
    return solution


def lasso_choice(
    inputs: Float[Tensor, "n s"], outputs: Float[Tensor, " n"], weights: Float[Tensor, " n"], count: int
) -> Int[Tensor, " k"]:
    """Return the inputs that the path of the LASSO has at its end, or where it last had at most so many."""
    lars_path = optional("sklearn.linear_model", "lime.features").lars_path
    total = weights.sum()
    centered = (inputs - weights @ inputs / total) * weights.sqrt()[:, None]
    path = lars_path(
        centered.numpy(), ((outputs - weights @ outputs / total) * weights.sqrt()).numpy(), method="lasso"
    )[2]
    chosen = [column.nonzero()[0] for column in path.T]
    return torch.from_numpy(next(places for places in reversed(chosen) if len(places) <= count))


def _labels(given: object) -> Tensor:
    """Return labels as a tensor."""
    if not isinstance(given, Tensor | np.ndarray):
        raise ValueError(f"segmentation must be labels, or a function that returns them, got {given!r:.80}")
    whole = np.issubdtype(given.dtype, np.integer) if isinstance(given, np.ndarray) else _whole(given)
    require(whole, "segmentation", "whole numbers", given.dtype)
    return torch.from_numpy(given.astype(np.int64)) if isinstance(given, np.ndarray) else given


def _whole(labels: Tensor) -> bool:
    return not (labels.is_floating_point() or labels.is_complex() or labels.dtype is torch.bool)
