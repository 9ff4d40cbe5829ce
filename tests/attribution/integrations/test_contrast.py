"""Contrastive Grad-CAM, beside a plain restatement with hooks."""

import pytest
import torch
import torch.nn.functional as F
from differentiated import Tiny
from planted import likeliest
from torch import Tensor, nn

from attribution import Against, ClassActivationMap, ContrastiveGradCam, MaskedScore, probability


def restated(network: nn.Module, layer: nn.Module, image: Tensor, other: int) -> Tensor:
    """Grad-CAM as published, the loss in the logit's place, mapped to [0, 1]."""
    noted: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _, __, output: noted.append(output))
    loss = F.cross_entropy(network(image), torch.tensor([other]))
    hook.remove()
    (gradients,) = torch.autograd.grad(loss, noted[0])
    summed = (gradients.mean(dim=(2, 3), keepdim=True) * noted[0]).sum(dim=1, keepdim=True).relu().detach()
    found = F.interpolate(summed, size=image.shape[2:], mode="bilinear")[:, 0]
    return (found - found.min()) / (found.max() - found.min())


def asked(images: Tensor, network: nn.Module) -> tuple[list[int], int]:
    """What is seen in each image, and a class that is seen in none."""
    seen = likeliest(network, images)
    return seen, min(set(range(4)) - set(seen))


@pytest.mark.parametrize("layer", ["features.2", "features.4"])
def test_the_weights_are_the_gradients_of_the_loss(images, layer):
    network = Tiny().eval()
    seen, other = asked(images, network)
    expected = [restated(network, network.get_submodule(layer), one, other) for one in images.split(1)]
    found = ContrastiveGradCam(layer)(MaskedScore(images, seen, Tiny(), link=Against(other)))
    torch.testing.assert_close(found, torch.cat(expected), rtol=0, atol=1e-3)
    assert (found.amax(dim=(1, 2)) > 0.9).all()


def test_a_sure_prediction_leaves_the_difference_of_two_logits(image):
    """Then the probabilities by which the gradients are weighed are 1 and 0."""
    for sure, alike in ((1.0, False), (500.0, True)):
        network = Tiny()
        network.head.weight.data *= sure
        network.head.bias.data *= sure
        (seen,), other = asked(image, network)
        score = MaskedScore(image, seen, network, link=Against(other))
        plain = ClassActivationMap("gradcam")(score)
        assert torch.allclose(ContrastiveGradCam()(score), plain, rtol=0, atol=1e-3) == alike


def test_what_it_cannot_contrast_is_refused_in_a_line(image):
    network = Tiny()
    (seen,), other = asked(image, network)
    for link, target, message in (
        (probability, seen, r"link must be Against\(Q\), which names the class to compare with"),
        (
            Against(seen),
            other,
            f"target must be the class that the classifier sees first.*got '?{other} where",
        ),
        (Against(9), seen, "other must be below the 4 classes"),
    ):
        with pytest.raises(ValueError, match=message):
            ContrastiveGradCam()(MaskedScore(image, target, network, link=link))
