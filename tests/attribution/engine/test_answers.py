"""Whatever a user's classifier is: it is run right, or refused in a line that names the remedy."""

import re
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from planted import Network
from torch import Tensor, nn

from attribution import Execution, Lime, MaskedScore, log_odds, logit, probability, sigmoid
from attribution.engine.answers import ProbabilitiesWarning, UnsteadyClassifierWarning, logits_of
from attribution.engine.precision import Lent, prepare
from infill import Blur, Exemplar, Gray, Marginal, Mean, NavierStokes, Noise, Telea

IMAGE = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))
HOLES = torch.zeros(5, 1, 24, 32)
HOLES[:, :, 4:14, 6:20] = torch.linspace(0.2, 1, 5).view(-1, 1, 1, 1)
LOGITS = torch.arange(6.0).view(2, 3)


def pure(images: Tensor) -> Tensor:
    result: Tensor = Network().eval()((images - 0.5) / 0.25)
    return result


def test_one_logit_has_no_softmax() -> None:
    binary = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 32, 1))
    for link in (probability, log_odds):
        with pytest.raises(
            ValueError, match=f"link must be sigmoid .*--multi-label.*, got '{link.__name__}'"
        ):
            _ = MaskedScore(IMAGE, 0, binary, link=link).clean
        with pytest.raises(ValueError, match="link must be sigmoid"):
            MaskedScore(IMAGE[:1], 0, binary, link=link)(HOLES)
    clean = MaskedScore(IMAGE, 0, binary, link=sigmoid).clean
    torch.testing.assert_close(clean, binary(IMAGE)[:, 0].sigmoid().detach(), rtol=0, atol=1e-6)


class Dropping(Network):
    """Drops pixels: of five logits the same ones would be dropped twice now and then."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(images, 0.5))


@pytest.mark.parametrize("classifier", [Dropping(), lambda x: Dropping()(x)], ids=["module", "function"])
def test_two_answers_are_told_once_and_may_be_wanted(classifier: Callable[[Tensor], Tensor]) -> None:
    with pytest.warns(UserWarning, match=r"answers differently when asked twice .* by up to \d"):
        score = MaskedScore(IMAGE[:1], 0, classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score(HOLES)
        score.with_sampling(seed=3)(HOLES)
        MaskedScore(IMAGE, 0, classifier, execution=Execution(deterministic=False))
        MaskedScore(IMAGE, 0, lambda x: pure(x) + 1e-6 * torch.rand(1))  # what rounding might do


@pytest.mark.parametrize(
    "answer",
    [
        LOGITS,
        SimpleNamespace(logits=LOGITS),
        {"logits": LOGITS, "hidden": LOGITS[:1]},
        {"out": LOGITS},
        (LOGITS,),
        [LOGITS],
        LOGITS.double(),
        LOGITS.half(),
    ],
)
def test_logits_are_taken_where_there_is_no_doubt(answer: object) -> None:
    assert torch.equal(logits_of(answer, 2), LOGITS)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((LOGITS, LOGITS), "got tuple of 2 for 2; give lambda x: model(x)[0], or whatever takes them out"),
        ([LOGITS, 3], "got list of 2 for 2; give lambda"),
        ({"a": LOGITS, "b": LOGITS}, "got dict with the keys a, b for 2; give lambda"),
        ([3.0], "got list of 1 for 2; give lambda"),
        (LOGITS[:1], "got (1, 3) for 2"),
        (LOGITS[0], "got (3,) for 2"),
        (SimpleNamespace(logits=LOGITS[None]), "got (1, 2, 3) for 2"),
        (None, "got NoneType for 2"),
        ("logits", "got str for 2"),
    ],
)
def test_what_is_no_logits_is_described(answer: object, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"of shape (images, classes), {said}")) as caught:
        logits_of(answer, 2)
    assert "\n" not in str(caught.value)


class Unbending(Network):
    """Keeps what it saw, as Grad-CAM's hooks do; such a tensor refuses to be copied."""

    def forward(self, images: Tensor) -> Tensor:
        self.seen = super().forward(images.clone().requires_grad_())
        return self.seen


def unbending() -> Unbending:
    network = Unbending().eval()
    with torch.enable_grad():
        network(IMAGE)
    return network


def kinds() -> dict[str, Callable[[], Any]]:
    """What torch makes of modules."""
    quantized = lambda: torch.ao.quantization.quantize_dynamic(Network().eval(), {nn.Linear})  # noqa: E731
    return {
        "script": lambda: torch.jit.script(Network().eval()),
        "traced": lambda: torch.jit.trace(Network().eval(), IMAGE),
        "exported": lambda: torch.export.export(
            Network().eval(), (IMAGE,), dynamic_shapes=({0: torch.export.Dim("n")},)
        ).module(),
        "compiled": lambda: torch.compile(Network().eval()),
        "parallel": lambda: nn.DataParallel(Network().eval()),
        "quantized": quantized,
        "hooked": hooked,
        "not to be copied": unbending,
    }


def hooked() -> Network:
    network = Network().eval()
    seen: list[Tensor] = []
    network.register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    network.register_full_backward_hook(lambda *_: None)
    network(IMAGE)
    return network


@pytest.mark.parametrize("kind", list(kinds()))
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_whatever_torch_makes_of_a_module_runs(kind: str) -> None:
    classifier = kinds()[kind]()
    expected = MaskedScore(IMAGE[:1], 1, Network())
    score = MaskedScore(IMAGE[:1], 1, classifier)
    atol = 0.03 if kind == "quantized" else 1e-5
    torch.testing.assert_close(score(HOLES), expected(HOLES), rtol=0, atol=atol)
    if kind == "quantized":
        return
    hole = HOLES.clone().requires_grad_()
    score(hole).sum().backward()
    slope, hole.grad = hole.grad, None
    expected(hole).sum().backward()
    torch.testing.assert_close(slope, hole.grad, rtol=0, atol=1e-5)


def test_what_cannot_be_copied_is_lent_and_comes_back_as_it_was() -> None:
    network = unbending().train()
    network.head.eval()
    before = {name: part.training for name, part in network.named_modules()}
    prepared = prepare(network, "float32", IMAGE[:1])
    assert isinstance(prepared.network, Lent)
    assert prepared.mode == "float32, contiguous, as it is"
    torch.testing.assert_close(prepared(IMAGE), Network().eval()(IMAGE), rtol=0, atol=1e-6)
    assert {name: part.training for name, part in network.named_modules()} == before
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_dtypes_run_as_modules_and_are_explained_inside_functions(dtype: torch.dtype) -> None:
    network = Network().eval().to(dtype)
    torch.testing.assert_close(
        MaskedScore(IMAGE, 1, network).clean, MaskedScore(IMAGE, 1, Network()).clean, rtol=0, atol=2e-3
    )
    with pytest.raises(
        ValueError, match=r"it fails for the first: .*give lambda x: model\(x\.half"
    ) as caught:
        MaskedScore(IMAGE, 1, lambda x: network(x))
    assert "\n" not in str(caught.value)
    inside = MaskedScore(IMAGE, 1, lambda x: network(x.to(dtype)), Gray())
    assert inside(HOLES, torch.zeros(5, dtype=torch.long)).dtype == torch.float32


ANY = (Mean(), Mean("local", window=5), Noise(), Noise("color"), Noise(seed=1), Blur())
OF_RGB = (Telea(), NavierStokes(), Exemplar(), Marginal())


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_any_number_of_channels_is_filled_or_the_filler_and_the_remedy_are_named(channels: int) -> None:
    image = torch.rand(1, channels, 24, 32, generator=torch.Generator().manual_seed(1))
    network = nn.Sequential(nn.Conv2d(channels, 3, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for filler in (*ANY, Gray((0.5,) * channels)):
        score = MaskedScore(image, 0, network, filler)
        fill = filler(image, HOLES[-1:], torch.Generator())
        assert score(HOLES).isfinite().all()
        assert fill.shape[1] == channels
    rule = f"filler Gray: color must be of {channels} channels as the image, as in (0.5,"
    with pytest.raises(ValueError, match=re.escape(rule)):
        MaskedScore(image, 0, network)(HOLES)
    for filler in OF_RGB:
        rule = rf"filler \w+: image must be RGB .*Gray, Mean, Noise and Blur take any.*{channels} channels"
        with pytest.raises(ValueError, match=rule):
            MaskedScore(image, 0, network, filler)(HOLES)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("image", "said"),
    [
        (torch.rand(24, 32, 3), "image.movedim(-1, -3) puts the channels first), got (24, 32, 3)"),
        (torch.rand(2, 24, 32, 1), "image.movedim(-1, -3) puts the channels first), got (2, 24, 32, 1)"),
        (torch.rand(3, 24, 32).numpy(), "image must be a tensor (torch.from_numpy), got 'ndarray'"),
        (
            torch.zeros(3, 24, 32, dtype=torch.uint8),
            "in [0, 1] (image / 255), got torch.uint8",
        ),
        (
            torch.full((3, 24, 32), 2.5),
            "(Normalize(mean, std), model)), got 'values in [2.5, 2.5]'",
        ),
    ],
)
def test_images_of_other_kinds_are_refused_with_the_remedy(image: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        MaskedScore(image, 0, Network())


@pytest.mark.usefixtures("unchecked_shapes")
def test_targets_are_right_or_refused_in_a_line() -> None:
    for target in (
        np.int64(1),
        np.array([1, 1]),
        torch.tensor([[1], [1]]),
        np.array(1, dtype=np.uint8),
        [1, 1],
    ):
        assert MaskedScore(IMAGE, target, Network()).target.tolist() == [1, 1]  # type: ignore[union-attr]
    for target in (None, "cat", ["cat", "dog"], [None, 1]):
        with pytest.raises(
            ValueError, match="target must be the index of a class, or one per image"
        ) as caught:
            MaskedScore(IMAGE, target, Network())  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
    for target in (torch.eye(5)[:2], torch.eye(5)[:2].long(), np.eye(5)[:2]):
        with pytest.raises(ValueError, match=r"target\.argmax\(1\) takes them out of rows"):
            MaskedScore(IMAGE, target, Network())


@pytest.mark.usefixtures("unchecked_shapes")
def test_segments_may_be_arrays() -> None:
    labels = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) // 100
    expected = Lime(samples=30, segmentation=torch.from_numpy(labels.astype(int)))
    score = MaskedScore(IMAGE, 1, Network())
    for given in (labels, labels.astype(int), lambda image: labels):
        assert torch.equal(Lime(samples=30, segmentation=given)(score), expected(score))
    with pytest.raises(ValueError, match=r"segmentation must be whole numbers, got dtype\('float64'\)"):
        Lime(segmentation=labels / 2)(score)
    with pytest.raises(ValueError, match="or a function that returns them, got 3"):
        Lime(segmentation=lambda image: 3)(score)


def test_what_is_lent_keeps_its_gradients_to_itself() -> None:
    network = unbending().train()
    network.head.weight.requires_grad_(False)
    score = MaskedScore(IMAGE[:1], 1, network)
    hole = HOLES.clone().requires_grad_()
    score(hole).sum().backward()
    assert hole.grad is not None
    assert all(parameter.grad is None for parameter in network.parameters())
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert frozen == ["head.weight"]


def test_a_forward_that_is_a_function_is_lent_and_nothing_of_the_callers_moves() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).train()
    own = network.forward
    network.forward = lambda images: own(images * 2 - 1)  # type: ignore[method-assign]
    before = network[1].running_mean.clone()
    prepared = prepare(network, "float32", IMAGE[:1])
    assert isinstance(prepared.network, Lent)
    found = prepared(IMAGE)
    assert torch.equal(network[1].running_mean, before)
    assert network.training
    torch.testing.assert_close(found, network.eval()(IMAGE), rtol=0, atol=1e-6)


@pytest.mark.parametrize("steady", [True, False])
def test_logits_that_depend_on_the_batch_are_told(steady: bool, recwarn: pytest.WarningsRecorder) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.train(not steady)
    prepare(lambda images: network(images), "float32", IMAGE[:1])
    told = [str(each.message) for each in recwarn if isinstance(each.message, UnsteadyClassifierWarning)]
    assert ["not alone in its batch" in each for each in told] == ([] if steady else [True])


def test_one_image_at_a_time_is_enough() -> None:
    def singly(images: torch.Tensor) -> torch.Tensor:
        if len(images) > 1:
            raise RuntimeError("one at a time")
        return Network().eval()(images)

    score = MaskedScore(IMAGE[:1], 1, singly, execution=Execution(batch_size=1))
    assert score(HOLES).shape == (5,)
    prepare(singly, "float32", IMAGE[:1])  # of two at once it is told then, not now


def test_what_comes_out_of_a_softmax_is_told() -> None:
    image = torch.rand(3, 8, 9, generator=torch.Generator().manual_seed(0))

    def logits(images: Tensor) -> Tensor:
        return 4 * images.mean((2, 3))

    for link in (probability, log_odds):
        with pytest.warns(
            ProbabilitiesWarning, match=r"seems to return probabilities.*clamp_min\(1e-30\).log"
        ):
            assert MaskedScore(image, 0, lambda x: logits(x).softmax(1), link=link).clean.isfinite()
    for fine, link in ((logits, probability), (lambda x: logits(x).softmax(1), logit)):
        MaskedScore(image, 0, fine, link=link).clean  # noqa: B018
    remedied = MaskedScore(image, 0, lambda x: logits(x).softmax(1).clamp_min(1e-30).log()).clean
    torch.testing.assert_close(remedied, MaskedScore(image, 0, logits).clean)


def test_a_squeezed_logit_and_images_of_another_size_have_their_remedy() -> None:
    image = torch.rand(3, 8, 9)
    with pytest.raises(
        ValueError, match=r"got \(1,\) for 1; of one class, give lambda x: model\(x\)\[:, None\]"
    ):
        MaskedScore(image, 0, lambda x: x.mean((1, 2, 3)), link=sigmoid).clean  # noqa: B018
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))
    with pytest.raises(ValueError, match=r"another size or number of channels, .*Preprocessing\(crop=32"):
        MaskedScore(image, 0, network)
    double = nn.Conv2d(3, 2, 8).double()
    with pytest.raises(ValueError, match=r"another dtype or device, give lambda x: model"):
        MaskedScore(image, 0, lambda x: double(x))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"classifier": "scenes"}, "classifier must be a module or function"),
        ({"classifier": nn.Flatten}, r"classifier must be an object, as Flatten\(\)"),
        ({"filler": "blur"}, r"filler must be a filler, as infill.Blur\(\)"),
        ({"filler": Blur}, r"filler must be an object, as Blur\(\), got 'the class Blur'"),
        ({"filler": lambda image, hole: image}, r"filler must be a filler, .*infill.Learned\(f\)"),
        ({"link": "logit"}, "link must be a function of logits and targets"),
    ],
)
def test_names_and_classes_are_no_parts_of_a_score(part: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskedScore(torch.rand(3, 8, 9), 0, **{"classifier": lambda x: x.mean((2, 3)), **part})
