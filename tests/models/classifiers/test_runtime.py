"""OpenVINO runs a classifier as torch does, or says why it cannot."""

import copy
import sys
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

from attribution import Execution, MaskedScore, Rise, SlidingPatch
from infill import Gray
from models import scenes
from models.classifiers import ImageClassifier, load_classifier
from models.classifiers.runtime import Converted, converted
from models.preprocessing import Preprocessing

if find_spec("openvino") is None:
    pytest.skip("OpenVINO is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def pair() -> tuple[ImageClassifier, ImageClassifier]:
    classifier = load_classifier("scenes")
    return classifier, converted(classifier)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_logits_are_those_of_torch_whatever_the_batch(
    pair: tuple[ImageClassifier, ImageClassifier], count: int
) -> None:
    images = torch.stack([scenes.draw(number).image for number in range(count)])
    with torch.no_grad():
        wanted, got = pair[0](images), pair[1](images)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-3)
    assert isinstance(pair[1].network, Converted)
    assert not isinstance(pair[0].network, Converted), "the classifier itself is left as it is"
    assert pair[1].labels == pair[0].labels


@pytest.mark.parametrize("method", [SlidingPatch(56, 56), Rise(masks=32, estimator="covariance")])
def test_heatmaps_are_those_of_torch(pair: tuple[ImageClassifier, ImageClassifier], method: object) -> None:
    scene = scenes.draw(3)
    maps = [
        method(MaskedScore(scene.image, int(scene.labels[0]), each, Gray(), execution=Execution(16)))
        for each in pair
    ]
    torch.testing.assert_close(maps[1], maps[0], rtol=0, atol=1e-4)


def test_a_gradient_is_refused(pair: tuple[ImageClassifier, ImageClassifier]) -> None:
    image = scenes.draw(1).image[None].requires_grad_()
    with pytest.raises(RuntimeError, match="OpenVINO gives no gradients"):
        pair[1](image)


def test_it_can_be_copied(pair: tuple[ImageClassifier, ImageClassifier]) -> None:
    image = scenes.draw(1).image[None]
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(pair[1])(image), pair[1](image))


class Untraceable(nn.Module):
    """Looks at its images in a way that no converter follows."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: Tensor) -> Tensor:
        if self.answer == "fails":
            raise RuntimeError("not today\nnor tomorrow")
        return images.mean((2, 3)) * len(images)  # how many there are is frozen when it is traced


@pytest.mark.parametrize(
    ("answer", "said"),
    [("fails", "OpenVINO cannot convert the classifier: "), ("counts", "gives other logits")],
)
def test_what_it_cannot_run_is_told_in_a_line(answer: str, said: str) -> None:
    classifier = ImageClassifier(Untraceable(answer), Preprocessing(crop=32, resize=32))
    with pytest.raises(ValueError, match=said) as caught:
        converted(classifier)
    assert "\n" not in str(caught.value)


def test_without_it_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ValueError, match=r"needs openvino, which is not installed: pip .*\[openvino\]"):
        converted(load_classifier("scenes"))
