"""Is it really removed, and does it look real? Figures of one composite each (Agarwal & Nguyen 2020, 4.2).

Similarity to the original says whether something was removed; likeness to a known truth says how well; the
logits of a classifier say whether it noticed. `infill.realism.distances` compares whole sets, and
`infill.realism.resampling` says how sure all of it is.
"""

import math
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor, nn

from infill.extras import optional
from infill.filler import Hole, check_range
from infill.validate import require

SMALLEST_SIDE = 161
"""MS-SSIM halves the image four times and then still needs 11 pixels."""

PSNR_LIMIT = 100.0
"""In dB: what is said of a fill that equals the truth (or nearly: a mean squared error below 1e-10)."""

Backbone: TypeAlias = Literal["alex", "vgg", "squeeze"]
Features: TypeAlias = Sequence[Float[Tensor, "n _c _y _x"]]

BACKBONES = {
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}

Pictures: TypeAlias = Float[Tensor, "n c h w"]


def ms_ssim(images: Pictures, originals: Pictures) -> Float[Tensor, " n"]:
    """Multi-scale structural similarity (Wang et al. 2003), by ``pytorch-msssim``; 1 is equal.

    Raises:
        ValueError: If the shapes differ, or a side is shorter than `SMALLEST_SIDE` pixels.
    """
    _check_pair(images, originals)
    size = tuple(images.shape[2:])
    require(min(size) >= SMALLEST_SIDE, "images", f"of at least {SMALLEST_SIDE} px a side for MS-SSIM", size)
    # Its narrow convolutions run several times faster in this layout.
    pair = [batch.float().contiguous(memory_format=torch.channels_last) for batch in (images, originals)]
    published = optional("pytorch_msssim", "MS-SSIM").ms_ssim
    similarity: Tensor = published(*pair, data_range=1.0, size_average=False)
    return similarity


class Perceptual(nn.Module):
    """LPIPS (Zhang et al. 2018) by ``lpips``, each image's features at hand for several comparisons.

    ``distance(features(a), features(b))`` is what ``lpips.LPIPS(net)(a, b, normalize=True)`` returns.

    Args:
        net: The backbone. Its weights are torchvision's, under ``TORCH_HOME``, or downloaded to there.

    Raises:
        ValueError: If ``net`` is unknown, or its weights are neither there nor to be downloaded.
    """

    def __init__(self, net: Backbone = "squeeze") -> None:
        super().__init__()
        require(net in get_args(Backbone), "net", f"one of {get_args(Backbone)}", net)
        self.network = _published(net).requires_grad_(False).to(memory_format=torch.channels_last)
        self.eval()

    def features(self, images: Float[Tensor, "n 3 h w"]) -> Features:
        """The backbone's outputs for images in [0, 1], each of unit length at every place."""
        from lpips import normalize_tensor

        laid_out = images.float().contiguous(memory_format=torch.channels_last)
        stages = self.network.net(self.network.scaling_layer(2 * laid_out - 1))
        return [normalize_tensor(stage) for stage in stages]

    def distance(self, ours: Features, theirs: Features) -> Float[Tensor, " n"]:
        """LPIPS of each image; 0 is equal."""
        stages = zip(self.network.lins, ours, theirs, strict=True)
        return torch.stack([weigh((a - b).square()).float().mean((1, 2, 3)) for weigh, a, b in stages]).sum(0)

    def forward(
        self, images: Float[Tensor, "n 3 h w"], originals: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, " n"]:
        """LPIPS between images in [0, 1].

        Raises:
            ValueError: If the shapes differ.
        """
        _check_pair(images, originals)
        return self.distance(self.features(images), self.features(originals))


def l1_in_hole(images: Pictures, truth: Pictures, hole: Hole) -> Float[Tensor, " n"]:
    """Mean absolute difference to the truth of the pixels in the hole, in pixel values (soft holes weigh).

    Raises:
        ValueError: If the shapes do not fit together, or a hole is empty.
    """
    return _in_hole(images, truth, hole, power=1)


def psnr_in_hole(images: Pictures, truth: Pictures, hole: Hole) -> Float[Tensor, " n"]:
    """Peak signal-to-noise ratio of the pixels in the hole, in dB; at most `PSNR_LIMIT`.

    Raises:
        ValueError: If the shapes do not fit together, or a hole is empty.
    """
    error = _in_hole(images, truth, hole, power=2)
    return -10 * error.clamp(min=10 ** (-PSNR_LIMIT / 10)).log10()


def target_probability(
    logits: Float[Tensor, "n k"], target: Integer[Tensor, " n"], multi_label: bool = False
) -> Float[Tensor, " n"]:
    """Softmax probability of each image's own target; with ``multi_label`` its sigmoid.

    Raises:
        ValueError: If a target is no class.
    """
    classes = logits.shape[1]
    known = bool(((target >= 0) & (target < classes)).all())
    require(known, "target", f"one of {classes} classes for each image", target.tolist())
    probabilities = logits.float().sigmoid() if multi_label else _softmax(logits)
    return probabilities.gather(1, target[:, None])[:, 0]


def entropy(logits: Float[Tensor, "n k"], multi_label: bool = False) -> Float[Tensor, " n"]:
    """Entropy of the predicted distribution, in nats: 0 to log k.

    With ``multi_label`` it is the sum of those of all classes, each there or not by itself: 0 to k log 2.
    """
    probabilities = torch.cat((logits, -logits), 1).float().sigmoid() if multi_label else _softmax(logits)
    nats: Tensor = torch.special.entr(probabilities).sum(1)
    return nats


def divergence(
    logits: Float[Tensor, "n k"], originals: Float[Tensor, "n k"], multi_label: bool = False
) -> Float[Tensor, " n"]:
    """Kullback-Leibler divergence of the prediction from that for the original, in nats; 0 is the same.

    The sum of p log(p / q) with the original's p; below float32's smallest number no probability is told from
    another. With ``multi_label`` it is the sum of those of all classes, each there or not by itself.
    """
    before, after = (_log_probabilities(each, multi_label) for each in (originals, logits))
    return (before.exp() * (before - after)).sum(1)


def backbone_file(net: Backbone) -> str:
    """Where LPIPS looks for its backbone's weights."""
    return os.path.join(torch.hub.get_dir(), "checkpoints", BACKBONES[net])


def _published(net: Backbone) -> Any:
    lpips = optional("lpips", "LPIPS")
    try:
        # What a download says belongs to stderr; and lpips asks torchvision in a way that it frowns upon.
        # It draws weights at first; the caller's random numbers are the caller's.
        with warnings.catch_warnings(), redirect_stdout(sys.stderr), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore", UserWarning)
            return lpips.LPIPS(net=net, verbose=False)
    except Exception as error:  # not to be had, or damaged: unpickling may fail in any way
        raise ValueError(
            f"LPIPS needs its backbone's weights, {backbone_file(net)}, which are damaged or cannot be "
            f"downloaded ({error}); put torchvision's file there, or name a folder that has hub/checkpoints/"
            f"{BACKBONES[net]} in TORCH_HOME"
        ) from error


def _softmax(logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """The softmax and, where logits are infinite, its limit: they share it, or have none of it."""
    limit = torch.finfo(torch.float32).max
    return logits.float().clamp(-limit, limit).softmax(1)


def _log_probabilities(logits: Float[Tensor, "n k"], multi_label: bool) -> Float[Tensor, "n _q"]:
    """Logarithms of the probabilities; with ``multi_label`` of each class being there, and not."""
    kinds = torch.finfo(torch.float32)
    finite = logits.float().clamp(-kinds.max, kinds.max)
    found = F.logsigmoid(torch.cat((finite, -finite), 1)) if multi_label else finite.log_softmax(1)
    return found.clamp(min=math.log(kinds.tiny))


def _in_hole(images: Pictures, truth: Pictures, hole: Hole, power: int) -> Float[Tensor, " n"]:
    """The mean of a power of the difference, of the pixels in each hole."""
    _check_pair(images, truth)
    shape = (len(images), 1, *images.shape[2:])
    require(tuple(hole.shape) == shape, "hole", f"of shape {shape}", tuple(hole.shape))
    weight = hole.float()
    area = weight.sum((1, 2, 3))
    require(bool((area > 0).all()), "hole", "not empty", f"{int((area == 0).sum())} empty ones")
    error = (images.float() - truth.float()).abs() ** power
    return (error * weight).sum((1, 2, 3)) / (area * images.shape[1])


def _check_pair(images: Pictures, others: Pictures) -> None:
    shape = tuple(others.shape)
    fits = images.ndim == 4 and tuple(images.shape) == shape
    require(
        fits,
        "images",
        f"of the same shape n c h w as what they are compared with, {shape}",
        tuple(images.shape),
    )
    for batch in (images, others):
        finite = bool(torch.stack(torch.aminmax(batch)).isfinite().all()) if batch.numel() else False
        require(finite, "images", "at least one, all finite", "NaN, infinity or none")
        check_range("images", batch, "in [0, 1]")
