"""Guided feature inversion: what a layer keeps of the image, tuned to a class (Du et al. 2018).

The mask is a sum of the maps that a layer makes of the image, each with a weight that is not negative; only
these weights are sought, so that the mask can draw nothing but what the network sees itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attribution.engine.layers import Layer, layer_named, map_layers, network_of
from attribution.engine.link import sigmoid
from attribution.explainer import Heatmap
from attribution.holes import upsampled
from attribution.optimize.cached_score import CachedScore, Outlook
from attribution.optimize.features import layer_maps, resembling
from attribution.optimize.loop import Watch, optimize
from attribution.optimize.objectives import sdr, ssr
from attribution.optimize.problem import Problem, as_probability
from attribution.optimize.result import Outcome
from attribution.score import MaskedScore
from infill.network import unrounded
from infill.validate import Count, Patience, Positive, Weight, require, require_settings

AUTO = "auto"
"""The layer that the paper would take."""
SAME = "inverted"
"""The layer that is inverted."""
START = 0.1
"""Every weight before the first step."""
LEAST = 1e-6
"""The least range of a mask before it is normalized, as a share of its first range."""

Weights = Float[Tensor, "n k"]
Stages = Literal["both", "inversion"]
Error = Literal["absolute", "relative"]
Norm = Literal["l1", "squared"]
Normalized = Literal["cells", "pixels"]


@dataclass(frozen=True)
class FeatureInversion:
    """Guided feature inversion (Du et al. 2018, algorithms 1 and 2).

    The mask ``m`` is ``sum_i weight_i * f_i(image)`` over the maps of a layer (eq. 6), mapped to 0 at its
    minimum and to 1 at its maximum (eq. 7), then enlarged bilinearly. The first stage inverts a deeper layer,
    whatever the class, and minimizes ``||g(m kept) - g(image)||^2 + inversion_penalty * ||weights||_1``
    (eq. 8). From its weights on, the second one minimizes ``-s(m kept) + suppression * s(m removed) +
    penalty * ||weights||_1`` (eq. 9). After each step weights below 0 become 0. Where ``m`` is not kept, the
    filler's fill is shown; the paper fills with ``Blur(11)``. The heatmap is ``m``; `Outcome.earlier` has
    that of the first stage.

    The mask does not depend on the weights' scale, which the penalty makes smaller and smaller. A step that
    would leave no mask (all weights 0, or all places alike) is not taken.

    Published code minimizes something else: its conventions are ``error="relative"``, ``norm="squared"`` with
    the penalties 5 and 2, ``normalized="pixels"``, ``restarted=False`` with 69 steps, and
    ``layer="inverted"``.

    Attributes:
        layer: The layer whose maps are summed up, by its path in the network; ``"auto"``: see `chosen`;
            ``"inverted"``: the same as that one.
        inverted: The layer whose output is matched in the first stage: its path, or ``"auto"``.
        stages: ``"both"``, or the ``"inversion"`` alone, which knows nothing of the class.
        inversion_steps: Steps of the first stage (algorithm 1 counts from 0 to 10).
        steps: Steps of the second one (algorithm 2 counts from 0 to 70).
        lr: Adam's learning rate.
        halving: After each so many steps of the second stage the rate is halved.
        inversion_penalty: Weight of the weights' norm in the first stage (gamma).
        penalty: The same in the second one (delta); ``None``: 1, or 10 if classes do not exclude each other
            (sec. 4.3).
        suppression: Weight of the score without the evidence (lambda).
        rectified: Whether only what is above 0 of the maps is summed up, as after a rectifier.
        error: Whether the inversion's error is ``"absolute"`` or ``"relative"`` to ``||g(image)||^2``.
        norm: Of the weights: ``"l1"``, or ``"squared"``: the sum of their squares.
        normalized: The ``"cells"`` of the mask, by its range, or its enlarged ``"pixels"``, by the maximum.
        restarted: Whether Adam and its rate start anew for the second stage; if not, the rate is halved from
            the first step on.
        refresh, outlook: As for `attribution.methods.mp.MeaningfulPerturbation`.
        patience: Likewise, of the second stage.

    Raises:
        ValueError: If a number is out of its range or a choice is unknown.
    """

    layer: str = AUTO
    inverted: str = AUTO
    stages: Stages = "both"
    inversion_steps: Count = 11
    steps: Count = 71
    lr: Positive = 0.01
    halving: Count = 10
    inversion_penalty: Weight = 10.0
    penalty: Weight | None = None
    suppression: Weight = 1.0
    rectified: bool = True
    error: Error = "absolute"
    norm: Norm = "l1"
    normalized: Normalized = "cells"
    restarted: bool = True
    refresh: Count = 1
    outlook: Outlook = "chessboard"
    patience: Patience = 0

    def __post_init__(self) -> None:
        require_settings(self)
        ranged = self.rectified or self.normalized == "cells"
        require(
            ranged, "normalized", "cells where maps are not rectified: pixels would leave [0, 1]", "pixels"
        )

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the mask, in [0, 1]."""
        return self.optimize(score).heatmap

    @unrounded()
    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return the heatmap and all other results; ``watch`` is called after every step of both stages.

        Raises:
            ValueError: If the classifier does not show its layers, a layer is not there or puts out no map,
                its maps are the same everywhere, the score has a margin, or as for
                `attribution.optimize.loop.optimize`.
        """
        rule = "of images as the classifier sees them (margin 0)"
        require(score.margin == 0, "score", rule, score.margin)
        calls = 1 if self.stages == "inversion" else 2
        return optimize(score, self._problem, calls, self.refresh, watch)

    @property
    def composites(self) -> int:
        """How many composites of an image its steps score."""
        return self.inversion_steps + (0 if self.stages == "inversion" else 2 * self.steps)

    def _problem(self, score: MaskedScore) -> Problem:
        inverted, layer = self._layers(score)
        masks = _Masks(self._maps(score, layer), score.size, self.normalized)
        inversion = self._stage(
            masks,
            steps=self.inversion_steps,
            loss=partial(self._inversion_loss, masks),
            curves=("kept",),
            score=resembling(score, inverted, self.error == "relative"),
            scheduler=None if self.restarted else self._halved,
        )
        if self.stages == "inversion":
            return inversion
        one_label = score.link is not sigmoid
        penalty = (1.0 if one_label else 10.0) if self.penalty is None else self.penalty
        return self._stage(
            masks,
            steps=self.steps,
            loss=partial(self._target_loss, masks, penalty),
            curves=("kept", "removed"),
            scheduler=self._halved,
            scale=as_probability(score),
            before=inversion,
            restarts=self.restarted,
            patience=self.patience,
        )

    def _stage(self, masks: "_Masks", **stage: Any) -> Problem:
        """Return what both stages have in common, and this one's own."""
        return Problem(
            start=masks.start,
            evidence=lambda weights: (masks(weights) >= 0.5).float(),
            heatmap=lambda weights: masks(weights)[:, 0],
            optimizer=lambda weights: torch.optim.Adam([weights], lr=self.lr),
            limits=(0.0, math.inf),
            usable=masks.tell,
            outlook=self.outlook,
            **stage,
        )

    def _halved(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.StepLR(optimizer, self.halving, gamma=0.5)

    def _inversion_loss(self, masks: "_Masks", weights: Weights, score: CachedScore) -> Float[Tensor, " n"]:
        """Eq. 8; the score's slope is that of the inversion's error, see `resembling`."""
        return ssr(score, masks(weights, score.rows)) + self.inversion_penalty * self._size(weights)

    def _target_loss(
        self, masks: "_Masks", penalty: float, weights: Weights, score: CachedScore
    ) -> Float[Tensor, " n"]:
        """Eq. 9."""
        evidence = masks(weights, score.rows)
        kept, removed = ssr(score, evidence), sdr(score, evidence)
        return kept + self.suppression * removed + penalty * self._size(weights)

    def _size(self, weights: Weights) -> Float[Tensor, " n"]:
        """Return the norm of the weights, which are not negative."""
        return (weights if self.norm == "l1" else weights.square()).sum(dim=1)

    def _layers(self, score: MaskedScore) -> tuple[str, str]:
        """Return the paths of the layer that is inverted and of that whose maps are summed up."""
        network = network_of(score.classifier)
        inverted, layer = chosen(score) if AUTO in (self.inverted, self.layer) else ("", "")
        if self.inverted != AUTO:
            inverted = layer_named(network, self.inverted, "inverted")
        if self.layer == SAME:
            return inverted, inverted
        return inverted, layer if self.layer == AUTO else layer_named(network, self.layer)

    def _maps(self, score: MaskedScore, layer: str) -> Float[Tensor, "b k y x"]:
        maps = layer_maps(score, layer)
        maps = maps.relu() if self.rectified else maps
        flat = bool((~(_spread(maps.sum(dim=1)) > 0)).any())
        require(
            not flat, "layer", "one whose maps tell places apart (in one of the images they do not)", layer
        )
        return maps


@dataclass(frozen=True, eq=False)
class _Masks:
    """The masks that weights stand for.

    Attributes:
        maps: What the layer makes of each image.
        size: Height and width of the images.
        normalized: As for `FeatureInversion`.
    """

    maps: Float[Tensor, "b k y x"]
    size: tuple[int, int]
    normalized: Normalized

    @property
    def start(self) -> Float[Tensor, "b k"]:
        """The weights before the first step."""
        return self.maps.new_full(self.maps.shape[:2], START)

    def __call__(self, weights: Weights, rows: Int[Tensor, " n"] | None = None) -> Float[Tensor, "n 1 h w"]:
        """Return the masks of these images (of all of them), in [0, 1]."""
        mask = self._summed(weights, rows)[:, None]
        if self.normalized == "cells":
            return upsampled(_ranged(mask), self.size, "bilinear")
        mask = nn.functional.interpolate(mask, size=self.size, mode="bilinear", align_corners=True)
        return (mask - mask.amin(dim=(2, 3), keepdim=True)) / mask.amax(dim=(2, 3), keepdim=True)

    def tell(self, weights: Float[Tensor, "b k"]) -> Bool[Tensor, " b"]:
        """Return which masks tell places apart, so that they can be normalized."""
        return _spread(self._summed(weights)) > LEAST * START * _spread(self.maps.sum(dim=1))

    def _summed(self, weights: Weights, rows: Tensor | None = None) -> Float[Tensor, "n y x"]:
        """Eq. 6."""
        return torch.einsum("nk,nkyx->nyx", weights, self.maps if rows is None else self.maps[rows])


def _spread(evidence: Float[Tensor, "n y x"]) -> Float[Tensor, " n"]:
    return evidence.amax(dim=(1, 2)) - evidence.amin(dim=(1, 2))


def _ranged(evidence: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 1 y x"]:
    """Eq. 7."""
    least, most = evidence.amin(dim=(2, 3), keepdim=True), evidence.amax(dim=(2, 3), keepdim=True)
    return (evidence - least) / (most - least)


def chosen(score: MaskedScore) -> tuple[str, str]:
    """Return the paths of the layer that is inverted and of that whose maps are summed up.

    Inverted is the last map before the fully connected layers (or before the pooling that they read): pool5
    of VGG and AlexNet, the last block of a ResNet. Summed up are the maps which that one is pooled from (VGG:
    conv5_4, rectified), those of the last convolution but one of a ResNet, and of all others (AlexNet, too)
    the same maps.

    Raises:
        ValueError: If the classifier does not show its layers, or has no such map.
    """
    height, width = score.evaluator.clean.view(score.image[:1]).shape[2:]
    channels = score.image.shape[1]
    noise = torch.rand(
        1,
        channels,
        height,
        width,
        generator=torch.Generator().manual_seed(0),
        device="cpu",
        dtype=torch.float32,
    )
    layers = map_layers(score.classifier, noise.to(score.image))  # type: ignore[arg-type]
    kinds = {type(module).__name__ for module in network_of(score.classifier).modules()}
    last, base = layers[-1], layers[-1]
    if "ResNet" in kinds:
        base = _last_convolution_but_one(layers)
    elif "AlexNet" not in kinds and "Pool" in type(last.module).__name__ and len(layers) > 1:
        base = layers[-2]
    return last.name, base.name


def _last_convolution_but_one(layers: Sequence[Layer]) -> Layer:
    """Return that convolution, or its normalization if that is a layer of its own."""
    places = [i for i, layer in enumerate(layers) if isinstance(layer.module, nn.Conv2d)]
    place = places[-2] if len(places) > 1 else len(layers) - 1
    after = layers[place + 1 : place + 2]
    return after[0] if after and "Norm" in type(after[0].module).__name__ else layers[place]
