"""What libraries of gradients are handed: a classifier that answers with the one number that is explained."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from typing import ClassVar, Literal, TypeAlias, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attribution.baseline import baselines
from attribution.engine.answers import logits_of
from attribution.engine.derivatives import follows
from attribution.engine.link import Against, Value, log_odds, logit
from attribution.engine.precision import PreparedClassifier, private
from attribution.explainer import Attribution, Heatmap
from attribution.score import MaskedScore
from infill.extras import optional
from infill.network import unrounded
from infill.validate import require, require_settings

Explained: TypeAlias = Literal["logit", "log-odds", "score"]
"""The number whose derivative is taken: the target's logit, its log-odds among all classes, or what the
score's own link reads off. Comparisons of two classes, and what is no class's, are followed as they are."""

Images: TypeAlias = Float[Tensor, "n c h w"]
Map: TypeAlias = Float[Tensor, "h w"]


class ByLibrary(ABC):
    """A method that a library computes: a frozen dataclass of settings with `attribute`.

    Attributes:
        library: What must be installed, as it is imported.
        fills: Whether what the score's filler makes has a part in it.

    Raises:
        ValueError: If a setting is out of range or unknown, or the library is not installed; with the remedy.
    """

    library: ClassVar[str]
    fills: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_settings(self)
        if find_spec(self.library) is None:
            optional(self.library, type(self).__name__)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the heatmap of each image; errors as for `attribute`."""
        return self.attribute(score).heatmap

    @abstractmethod
    def attribute(self, score: MaskedScore) -> Attribution:
        """Return the heatmap of each image of the score, and what else the method says."""


class Scalar(nn.Module):
    """A classifier with one number for each image: what the score's link reads off the logits.

    It runs a copy of the module that the caller gave, in evaluation mode and in float32. Nothing is folded
    in it and nothing rounded, so its layers give what the caller's do; hooks, flags and gradients stay in
    the copy.

    Attributes:
        network: The copy; a plain callable, or what cannot be copied, is run as it is.
        target: The class that is explained.
        shown: How many images it was shown.
    """

    def __init__(self, score: MaskedScore) -> None:
        super().__init__()
        prepared = cast(PreparedClassifier, score.classifier)
        self.network = private(prepared.source, score.image.device)
        self.target: Int[Tensor, " 1"] = cast(Tensor, score.target)[:1]
        self.shown = 0
        self._link = score.link

    def forward(self, images: Images) -> Float[Tensor, " n"]:
        """Return the number of each image.

        Raises:
            ValueError: If a gradient is asked for and the classifier has none.
        """
        self.shown += len(images)
        logits = logits_of(self.network(images.clone()), len(images))
        lost = torch.is_grad_enabled() and images.requires_grad and not follows(logits, images)
        require(not lost, "classifier", "differentiable by torch", "logits without a gradient")
        return self._link(logits, self.target.expand(len(logits)))

    @property
    def module(self) -> nn.Module:
        """The copy of the caller's module.

        Raises:
            ValueError: If there is none.
        """
        if isinstance(self.network, nn.Module):
            return self.network
        rule = "a torch module that can be copied, for a method that looks into its layers"
        raise ValueError(f"classifier must be {rule}, got {type(self.network).__name__}")


def leaf(images: Images) -> Images:
    """Return images as what derivatives are taken of."""
    return images.detach().clone().requires_grad_()


class Looks:
    """Goes through the images of a score, each with its baselines, and gathers what a library finds for them.

    ``with Looks(score, explained) as looks: for network, image, start in looks: looks.take(...)``, and then
    `attribution`. Gradients are allowed meanwhile, and libraries keep their advice to programmers to
    themselves.

    Args:
        score: Of any number of images.
        explained: Whose derivative is taken.
        blocks: Squares of the chessboard, if there are baselines (`attribution.baseline.baselines`): a
            heatmap is then the mean over all of them. ``None``: there are none, and ``start`` is the image
            itself.

    Raises:
        ValueError: If a map is not finite, or as for the score and the filler.
    """

    def __init__(self, score: MaskedScore, explained: Explained, blocks: int | None = None) -> None:
        whole = not score.margin
        require(whole, "score", "of images that the classifier sees whole", f"margin {score.margin}")
        self.score, self.blocks = _linked(score, explained), blocks
        self.score.clean  # noqa: B018  (a wrong target is told here)
        self._maps: list[Map] = []
        self._found: list[Attribution] = []
        self._allowed = ExitStack()

    def __enter__(self) -> "Looks":
        self._allowed.enter_context(torch.inference_mode(False))
        self._allowed.enter_context(torch.enable_grad())
        self._allowed.enter_context(unrounded())
        self._allowed.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        return self

    def __exit__(self, *error: object) -> None:
        self._allowed.close()

    def __iter__(self) -> Iterator[tuple[Scalar, Images, Images]]:
        """Yield the network, an image "1 c h w" and its baseline."""
        network = Scalar(self.score)
        for i in range(len(self.score)):
            one, self._maps = self.score.part(slice(i, i + 1)), []
            network.target, network.shown = cast(Tensor, one.target), 0
            starts = one.image[:, None] if self.blocks is None else baselines(one, self.blocks)
            for start in torch.split(starts[0], 1):
                yield network, one.image, start
            self._found.append(self._gathered(network, one, starts))
            self.score.execution.progress(i + 1, len(self.score))

    def take(self, found: Tensor) -> None:
        """Take note of the map "h w" of the image and baseline that are looked at."""
        finite = bool(found.isfinite().all())
        require(finite, "classifier", "one that gives finite maps", "NaN or infinity")
        self._maps.append(found.detach().float())

    def attribution(self) -> Attribution:
        """Return what was found for all images."""
        names = ("heatmap", "forwards", *(() if self.blocks is None else ("baseline", "change")))
        return Attribution(*(torch.cat([getattr(one, name) for one in self._found]) for name in names))

    def _gathered(self, network: Scalar, one: MaskedScore, starts: Float[Tensor, "1 m c h w"]) -> Attribution:
        heatmap = torch.stack(self._maps).mean(dim=0, keepdim=True).to(one.image.device)
        forwards = torch.tensor([network.shown])
        if self.blocks is None:
            return Attribution(heatmap, forwards)
        with torch.no_grad():
            change = network(one.image)
            for some in torch.split(starts[0], one.execution.batch_size):
                change = change - network(some).sum() / starts.shape[1]
        return Attribution(heatmap, forwards, starts, change)


def _linked(score: MaskedScore, explained: Explained) -> MaskedScore:
    if explained == "score" or isinstance(score.link, Against | Value):
        return score
    return replace(score, link=logit if explained == "logit" else log_odds)
