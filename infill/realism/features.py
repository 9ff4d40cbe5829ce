"""What a classifier thinks of images besides its logits: the features that its last layer reads."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from infill.network import at_once, last_layer
from infill.validate import require


@dataclass(frozen=True, eq=False)
class Judge:
    """A classifier that also tells its features; use `judge` to make one.

    Attributes:
        classifier: Maps [0, 1] images to logits.
        head: The layer whose input are the features; a part of the classifier. ``None``: it tells none.
        network: The module that the classifier runs.
    """

    classifier: Callable[[Tensor], Tensor]
    head: nn.Module | None
    network: nn.Module | None = None

    def __call__(
        self, images: Float[Tensor, "n c h w"]
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n d"] | None]:
        """Return logits and features, in float32.

        Maps of features are averaged over all places, as networks do whose last layer is a convolution.

        Raises:
            ValueError: If there is not a row of features for each image.
        """
        if self.head is None:
            return self.classifier(images).float(), None
        size = (images.shape[2], images.shape[3])
        # As few as the network is given anyway: the layer is called once for each few, and tells of these.
        count = (
            len(images) if self.network is None else at_once(self.network, images.device, size, len(images))
        )
        both = [self._asked(self.head, portion) for portion in torch.split(images, max(1, count))]
        logits, features = (torch.cat(each) for each in zip(*both, strict=True))
        rule = f"of shape n d before the last layer, for {len(images)} images"
        require(features.ndim == 2 and len(features) == len(images), "features", rule, tuple(features.shape))
        return logits, features

    def _asked(self, head: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        captured: list[Tensor] = []
        found: list[Tensor] = []
        hooks = [
            head.register_forward_pre_hook(lambda _, inputs: captured.append(inputs[0].clone())),
            head.register_forward_hook(lambda *called: found.append(called[-1].clone())),
        ]
        try:
            logits = self.classifier(images)
        finally:
            for hook in hooks:
                hook.remove()
        # Of a mean over several views of an image what was read last is a part.
        whole = len(captured) == 1 or (
            found[-1].shape == logits.shape and torch.allclose(found[-1].to(logits), logits, rtol=1e-3)
        )
        rule = "one whose last layer is called once, or returns the answer at last"
        require(whole, "network", rule, f"{len(captured)} calls")
        features = captured[-1].float()
        return logits.float(), features.mean((2, 3)) if features.ndim == 4 else features


def judge(
    classifier: Callable[[Tensor], Tensor], network: nn.Module, example: Float[Tensor, "n c h w"]
) -> Judge:
    """Find the last layer of the network that the classifier runs.

    Args:
        classifier: What is asked; the network itself, or what runs it.
        network: The module inside.
        example: Images to find the layer with.

    Raises:
        ValueError: If no linear or convolutional layer is called, or its input is not one row of features
            an image.
    """
    with torch.no_grad():
        head = last_layer(network, lambda: classifier(example))
        if head is None:
            raise ValueError("network must call a linear or convolutional layer for its features, got none")
        made = Judge(classifier, head, network)
        made(example)  # whatever is wrong with the features is told here
    return made
