"""Class activation maps, through pytorch-grad-cam (``grad-cam`` on PyPI)."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from attribution.explainer import Attribution
from attribution.integrations.maps import AUTO, Call, calls, kept, layer_of
from attribution.integrations.scalar import (
    ByLibrary,
    Explained,
    Images,
    Looks,
    Map,
    Scalar,
    leaf,
)
from attribution.score import MaskedScore
from infill.validate import require

Kind = Literal["cam", "gradcam", "gradcam++", "layercam", "ablation"]

LIBRARY = "pytorch_grad_cam"


@dataclass(frozen=True)
class ClassActivationMap(ByLibrary):
    """A weighted sum of a layer's maps, without what is negative, enlarged to the image, in [0, 1].

    Attributes:
        kind: Where the weights are from: ``"cam"``: the classifier's last layer (Zhou et al. 2016), where
            global average pooling and that layer alone follow the maps; computed as the gradient times the
            maps, which then is the same (Draelos & Carin 2020). ``"gradcam"``: the mean gradient of each
            map (Selvaraju et al. 2017). ``"gradcam++"``: its positive parts, weighed (Chattopadhay et al.
            2018). ``"layercam"``: the positive gradient of each position (Jiang et al. 2021).
            ``"ablation"``: what is lost of the number where the map is 0 (Desai & Ramaswamy 2020, who divide
            that by the number, which turns the heatmap around where the number is negative; maps are scaled
            to [0, 1] here anyway).
        layer: Whose maps: the name of a module; ``auto``: the last ones before the pooling
            (`attribution.integrations.maps.last_maps`).
        explained: Which number: the target's ``"logit"``, as published, its ``"log-odds"`` among all
            classes, or the ``"score"``, a probability unless the score has another link.

    Raises:
        ValueError: If a setting is unknown, or grad-cam is not installed.
    """

    kind: Kind = "gradcam"
    layer: str = AUTO
    explained: Explained = "logit"
    library: ClassVar[str] = LIBRARY

    def attribute(self, score: MaskedScore) -> Attribution:
        """Return the heatmap of each image of the score.

        Raises:
            ValueError: If there is no such layer, the classifier has no convolutions or, for ``cam``, more
                than pooling and one layer after them.
        """
        with Looks(score, self.explained) as looks:
            for network, image, _ in looks:
                layer = layer_of(network, image, self.layer)
                looks.take(self._of_one(network, image, layer, score.execution.batch_size))
        return looks.attribution()

    def _of_one(self, network: Scalar, image: Images, layer: nn.Module, batch_size: int) -> Map:
        import pytorch_grad_cam as library

        kinds: dict[str, Callable[..., Any]] = {
            "cam": library.HiResCAM,
            "gradcam": library.GradCAM,
            "gradcam++": library.GradCAMPlusPlus,
            "layercam": library.LayerCAM,
        }
        if self.kind == "ablation":
            with opened(library.AblationCAM, network, [layer]) as cam:
                # Its own weights divide by the number, and where a map may be negative do not set it to 0.
                cam.get_cam_weights = partial(_losses, network, layer, batch_size)
                return mapped(cam, image)
        with opened(kinds[self.kind], network, [layer]) as cam:
            found, gradients = mapped(cam, leaf(image)), _gradients(cam)
            if self.kind == "cam":
                mapped(cam, leaf(image.flip(3) / 2))
                _require_pooling(torch.cat([gradients, _gradients(cam)], dim=1))
        return found


def _losses(
    network: Scalar,
    layer: nn.Module,
    batch_size: int,
    image: Images,
    _layer: nn.Module,
    _targets: object,
    maps: Float[ndarray, "1 k y x"],
    _gradients: object,
) -> Float[ndarray, "1 k"]:
    """Return by how much the number falls where each of a layer's maps is 0."""
    noted = torch.from_numpy(maps).to(image)
    losses = []
    with torch.no_grad():
        whole = network(image)
        for start in range(0, noted.shape[1], batch_size):
            some = torch.arange(start, min(start + batch_size, noted.shape[1]))
            without = noted.repeat(len(some), 1, 1, 1)
            without[torch.arange(len(some)), some] = 0
            with _answering(layer, without):
                losses.append(whole - network(image.expand(len(some), -1, -1, -1)))
    found: ndarray = torch.cat(losses)[None].float().cpu().numpy()
    return found


@contextmanager
def _answering(layer: nn.Module, maps: Tensor) -> Iterator[None]:
    """Let a layer put out these maps, whatever it is given."""
    hook = layer.register_forward_hook(lambda *_: maps)
    try:
        yield
    finally:
        hook.remove()


@dataclass(frozen=True)
class FullGradient(ByLibrary):
    """The gradient times the image, and times the bias of every layer, by their sizes.

    FullGrad (Srinivas & Fleuret 2019). The image counts as the classifier is given it, in [0, 1].

    Attributes:
        explained: As for `ClassActivationMap`.

    Raises:
        ValueError: If a setting is unknown, or grad-cam is not installed.
    """

    explained: Explained = "logit"
    library: ClassVar[str] = LIBRARY

    def attribute(self, score: MaskedScore) -> Attribution:
        """Return the heatmap of each image of the score.

        Raises:
            ValueError: If the classifier has no convolution or normalization with a bias, has layers of maps
                with a bias that are neither `torch.nn.Conv2d` nor `torch.nn.BatchNorm2d`, or does not run all
                of them once and in the order in which it names them.
        """
        from pytorch_grad_cam import FullGrad

        with Looks(score, self.explained) as looks:
            for network, image, _ in looks:
                _require_order(network.module, calls(network, image, network.module))
                with opened(FullGrad, network, []) as cam:
                    looks.take(mapped(cam, image))
        return looks.attribution()


def _require_order(module: nn.Module, ended: list[Call]) -> None:
    """Check that layers with a bias run once, and in order: so does the library pair biases and gradients.

    Raises:
        ValueError: If not, if there is no bias, or if there are some that it does not know.
    """
    biased = [part for part in module.modules() if _biased(part)]
    run = [call.module for call in ended if _biased(call.module)]
    require(bool(biased), "classifier", "one with convolutions that have a bias", "none")
    other = sorted({type(call.module).__name__ for call in ended if call.biased and not _biased(call.module)})
    rule = "one whose layers of maps have biases in Conv2d and BatchNorm2d alone"
    require(not other, "classifier", rule, f"{', '.join(other)} with a bias")
    linear = any(call.linear_on_positions for call in ended)
    require(not linear, "classifier", "one without linear layers on every position", "their biases as well")
    rule = "one that runs each layer with a bias once, in the order of their names"
    require(biased == run, "classifier", rule, f"{len(run)} runs of {len(biased)} layers, or another order")


def _biased(part: nn.Module) -> bool:
    return type(part) in (nn.Conv2d, nn.BatchNorm2d) and getattr(part, "bias", None) is not None


@contextmanager
def opened(
    make: Callable[..., Any], network: nn.Module, layers: list[nn.Module], **more: Any
) -> Iterator[Any]:
    """Yield one of the library's objects, without its progress bars, and take its hooks out afterwards."""
    with redirect_stderr(io.StringIO()):
        cam = make(model=network, target_layers=layers, **more)
        hooks = [kept(layer) for layer in layers]
        try:
            yield cam
        finally:
            cam.activations_and_grads.release()
            for hook in hooks:
                hook.remove()


def mapped(cam: Any, image: Images) -> Map:
    """Return what the library makes of the one image."""
    found: ndarray = cam(input_tensor=image, targets=[_itself])
    return torch.from_numpy(found)[0]


def _itself(output: Tensor) -> Tensor:
    return output


def _gradients(cam: Any) -> Float[Tensor, "k p"]:
    """Return the gradients of the layer's maps in the library's last look, position by position."""
    return torch.as_tensor(cam.activations_and_grads.gradients[0])[0].flatten(1)


def _require_pooling(both: Float[Tensor, "k p"]) -> None:
    """Check that each map has one weight: the same gradient at each position, and in another image.

    Raises:
        ValueError: If not, as where several layers follow the maps.
    """
    weights = both.gather(1, both.abs().argmax(dim=1, keepdim=True))
    # A ReLU before the pooling leaves gradients of 0, where the maps count for nothing.
    apart = (both - weights).abs().where(both != 0, 0).amax()
    rule = "one with global average pooling and one linear layer after its maps (take gradcam)"
    came = f"gradients that differ by {float(apart):.3g}, of at most {float(weights.abs().max()):.3g}"
    require(float(apart) <= 1e-3 * float(weights.abs().max()), "classifier", rule, came)
