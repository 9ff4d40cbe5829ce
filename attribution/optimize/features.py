"""What a layer of the classifier makes of images: its maps, and how far those of composites are from them."""

from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attribution.engine.answers import logits_of
from attribution.engine.clean import constant
from attribution.engine.layers import listening, network_of
from attribution.engine.link import Link, Scores
from attribution.engine.precision import Classifier, PreparedClassifier
from attribution.score import MaskedScore
from infill.validate import require


def layer_maps(score: MaskedScore, layer: str) -> Float[Tensor, "b k y x"]:
    """Return what a layer (its path in the network) puts out for the untouched images.

    Raises:
        ValueError: If that is not a map for each image.
    """
    clean, maps = score.evaluator.clean, []
    with constant(), listening(network_of(clean.classifier), [layer]) as heard:
        for image in torch.split(clean.canvas, 1):  # of several, a classifier may look at some at a time
            clean.classifier(clean.view(image))
            maps.append(heard[layer].float())
    joined = torch.cat(maps)
    is_map = joined.ndim == 4 and len(joined) == len(score) and min(joined.shape[2:]) > 1
    require(is_map, "layer", "one that puts out maps", f"{layer}, of {tuple(maps[0].shape)}")
    return joined


def resembling(score: MaskedScore, layer: str, relative: bool = False) -> MaskedScore:
    """Return a score whose numbers are the same, and whose slope is that of a layer's likeness.

    The likeness is ``-||f(composite) - f(image)||^2`` of what the layer (its path in the network) puts out,
    or that divided by ``||f(image)||^2`` if it is ``relative``. Whoever follows the score follows that, and
    one look of the classifier tells both.

    Raises:
        ValueError: If the classifier does not show its layers.
    """
    classifier, classes = cast(PreparedClassifier, score.classifier), score.clean_logits.shape[1]
    answering = _WithFeatures(classifier.network, network_of(classifier), layer, len(score))
    # Instead of classes its targets are the images themselves, so that each is compared to its own.
    images = torch.arange(len(score), device=score.image.device)
    seen = replace(score, classifier=replace(classifier, network=answering), target=images)
    own = _Own(seen.clean_logits, classes, cast(Tensor, score.target), score.link)
    return replace(seen, link=partial(_resemblance, own, relative))


@dataclass(frozen=True, eq=False)
class _WithFeatures:
    """A network that answers with its logits and, behind them, all that a layer puts out.

    As many columns as there are images, at least: they are this answer's "classes".
    """

    network: Classifier
    module: nn.Module
    layer: str
    least: int

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n _"]:
        with listening(self.module, [self.layer]) as heard:
            logits = logits_of(self.network(images), len(images))
        values = torch.cat([logits, heard[self.layer].float().flatten(1)], dim=1)
        return nn.functional.pad(values, (0, max(0, self.least - values.shape[1])))


@dataclass(frozen=True, eq=False)
class _Own:
    """What belongs to the images themselves.

    Attributes:
        answer: Of `_WithFeatures`, for the untouched images.
        classes: How many of its columns are logits.
        target: The class of each image.
        link: What is read off the logits.
    """

    answer: Float[Tensor, "b _"]
    classes: int
    target: Int[Tensor, " b"]
    link: Link


def _resemblance(own: _Own, relative: bool, answer: Float[Tensor, "n _"], row: Int[Tensor, " n"]) -> Scores:
    features, reference = answer[:, own.classes :], own.answer[row, own.classes :]
    error = (features - reference).square().sum(dim=1)
    if relative:
        error = error / reference.square().sum(dim=1).clamp_min(torch.finfo(error.dtype).tiny)
    shown = own.link(answer[:, : own.classes], own.target[row]).detach()
    return shown - (error - error.detach())
