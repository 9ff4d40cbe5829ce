"""What is measured of composites, against direct calls, and who is asked: classifiers that judge."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from infill.realism import artifacts
from infill.realism import similarity as realism
from infill.realism.artifacts import TRACES
from infill.realism.features import judge
from models import scenes
from models.classifiers import ImageClassifier, load_classifier
from models.preprocessing import Preprocessing
from studio.data.dataset import open_dataset
from studio.realism.batches import ExampleBatch
from studio.realism.judges import Judges, load_judges
from studio.realism.metrics import METRICS, OF_CLASSES, OF_FEATURES, ImageMetrics
from studio.realism.request import RealismRequest
from studio.realism.setup import set_up
from studio.registry.build import build_classifier

CPU = torch.device("cpu")


class Perceptual:
    """Of an image, it sees the mean color; remembers what it looked at."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def features(self, images: Tensor) -> Sequence[Tensor]:
        self.seen.append(images)
        return [images.mean((2, 3), keepdim=True)]

    def distance(self, ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
        return (ours[0] - theirs[0]).abs().sum((1, 2, 3))


class Network(nn.Module):
    """Four classes from the means of the quarters of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(12, 4)
        weight = torch.randn(4, 12, generator=torch.Generator().manual_seed(1))
        self.head.weight, self.head.bias = nn.Parameter(weight, False), nn.Parameter(weight[:, 0], False)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(F.adaptive_avg_pool2d(images, 2).flatten(1))
        return logits


def noise(count: int, size: int, seed: int) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def made_batch(size: int = 16, truth: bool = True, targets: bool = True) -> ExampleBatch:
    """Three images with rectangular holes of different sizes."""
    holes = torch.zeros(3, 1, size, size)
    for row in range(3):
        holes[row, :, 2 : 5 + row, 3:9] = 1
    return ExampleBatch(
        numbers=(0, 1, 2),
        names=("a", "b", "c"),
        images=noise(3, size, 0),
        holes=holes,
        truth=noise(3, size, 1) if truth else None,
        targets=torch.tensor([2, 0, 3]) if targets else None,
        skipped=(),
    )


def made_measure(size: int = 16, perceptual: Any = None, **settings: Any) -> ImageMetrics:
    network = Network()
    eye = ImageClassifier(network, Preprocessing(crop=size, resize=size), labels="abcd")
    asked = judge(network, network, noise(1, size, 0))
    return ImageMetrics(
        asked,
        eye,
        **{"similar": False, "perceptual": perceptual, "truth": True, "partial": False, **settings},
    )


def unjudged(**settings: Any) -> ImageMetrics:
    return ImageMetrics(
        None, None, **{"similar": False, "perceptual": None, "truth": True, "partial": False, **settings}
    )


# Values.


def test_figures_are_those_of_the_library() -> None:
    size = realism.SMALLEST_SIDE
    batch, perceptual = made_batch(size), Perceptual()
    composites = F.interpolate(noise(3, 2, 2), size=(size, size))  # with quarters that differ
    measure = made_measure(size, perceptual, similar=True, steady=True, partial=True)
    found = measure.of_batch(batch)(composites)
    assert batch.truth is not None
    assert batch.targets is not None
    logits = Network()(composites)
    before = Network()(batch.images).softmax(1)
    confidence, label = logits.softmax(1).max(1)
    quarters = F.adaptive_avg_pool2d(composites, 2).flatten(1)
    gaps = {
        name: (composites - other).mean((2, 3)).abs().sum(1)
        for name, other in (("lpips", batch.images), ("lpips_truth", batch.truth))
    }
    expected = {
        "ms_ssim": realism.ms_ssim(composites, batch.images),
        "l1": realism.l1_in_hole(composites, batch.truth, batch.holes),
        "psnr": realism.psnr_in_hole(composites, batch.truth, batch.holes),
        **gaps,
        "label": label,
        "accuracy": torch.tensor([float(label[row] == [2, 0, 3][row]) for row in range(3)]),
        "confidence": confidence,
        "probability": realism.target_probability(logits, batch.targets),
        "entropy": realism.entropy(logits),
        "features": quarters,
        "change": (realism.target_probability(logits, batch.targets) - before[:, batch.targets].diag()).abs(),
        "divergence": (before * (before.log() - logits.log_softmax(1))).sum(1),
        "periodicity": artifacts.periodicity(composites, batch.holes),
        "seam": artifacts.seam(composites, batch.holes),
        "texture": artifacts.texture(composites, batch.holes),
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(torch.from_numpy(found[name]), values, rtol=1e-5, atol=1e-6, msg=name)
    assert 0 < found["accuracy"].sum() < 3  # so that right and wrong are both seen


def test_a_judge_that_asks_for_gradients_is_asked_without() -> None:
    """A plain function knows nothing of frozen weights."""
    weight = torch.ones(3, 4, requires_grad=True)

    def asked(images: Tensor) -> tuple[Tensor, Tensor]:
        means = images.mean((2, 3))
        return means @ weight, means * weight[0, 0]

    measure, targets = dataclasses.replace(made_measure(), judge=asked), torch.tensor([2, 0, 3])
    assert measure.judged(noise(3, 16, 0), targets)["features"].shape == (3, 3)


@pytest.mark.parametrize(
    ("measure", "batch", "expected"),
    [
        (unjudged(), made_batch(), {"l1", "psnr"}),
        (unjudged(), made_batch(truth=False), set()),
        (unjudged(truth=False), made_batch(), set()),
        (unjudged(perceptual=Perceptual()), made_batch(), {"l1", "psnr", "lpips", "lpips_truth"}),
        (unjudged(perceptual=Perceptual()), made_batch(truth=False), {"lpips"}),
        (unjudged(perceptual=Perceptual(), truth=False), made_batch(), {"lpips"}),
        (made_measure(truth=False), made_batch(targets=False), set()),
        (
            made_measure(truth=False),
            made_batch(),
            {"label", "accuracy", "confidence", "probability", "entropy", "features"},
        ),
    ],
)
def test_what_is_not_known_is_left_out(
    measure: ImageMetrics, batch: ExampleBatch, expected: set[str]
) -> None:
    assert measure.of_batch(batch)(noise(3, 16, 2)).keys() == expected


def test_originals_and_truths_are_looked_at_once() -> None:
    perceptual, batch = Perceptual(), made_batch()
    prepared = made_measure(perceptual=perceptual).of_batch(batch)
    composites = [noise(3, 16, seed) for seed in (2, 3, 4)]
    found = [prepared(each)["lpips"] for each in composites]
    assert batch.truth is not None
    counts = [
        sum(torch.equal(seen, images) for seen in perceptual.seen)
        for images in (batch.images, batch.truth, *composites)
    ]
    assert counts == [1] * 5
    assert len(perceptual.seen) == 5
    assert len({tuple(each) for each in found}) == 3


def test_the_truth_is_judged_for_its_features() -> None:
    batch = made_batch()
    assert batch.truth is not None
    found = made_measure().of_batch(batch).features_of_truth()
    assert found.keys() == {"features"}
    expected = F.adaptive_avg_pool2d(batch.truth, 2).flatten(1)
    torch.testing.assert_close(torch.from_numpy(found["features"]), expected)
    assert made_measure().features(batch.truth)["features"].tolist() == found["features"].tolist()
    assert unjudged().features(batch.truth) == {}
    assert unjudged().of_batch(batch).features_of_truth() == {}
    assert made_measure().of_batch(made_batch(targets=False)).features_of_truth() == {}


# The judge's view.


class Witness:
    """A judge that remembers what it is shown."""

    def __init__(self, logits: Tensor | None = None) -> None:
        self.logits = logits

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.shown = images
        logits = torch.zeros(len(images), 2) if self.logits is None else self.logits
        return logits, torch.zeros(len(images), 1)


def judged_by(
    witness: Witness,
    images: Tensor,
    crop: int = 16,
    targets: Sequence[int] = (),
    multi_label: bool = False,
) -> Any:
    seen = Preprocessing(crop=crop, resize=2 * crop)
    eye = ImageClassifier(nn.Identity(), seen, multi_label=multi_label)
    measure = ImageMetrics(witness, eye, False, None)  # type: ignore[arg-type]
    wanted = torch.tensor(list(targets) or [0] * len(images))
    return measure.judged(images, wanted)


@pytest.mark.parametrize("size", [32, 48])
def test_images_are_resized_whole_to_the_judges_crop(size: int) -> None:
    """A frame that the judge's own view of such an image would cut away is still there."""
    images = noise(2, size, 0)
    inside = torch.zeros(size, size, dtype=torch.bool)
    inside[6:-6, 6:-6] = True
    images = torch.where(inside, images, torch.tensor([1.0, 0.25, 0.5])[:, None, None])
    witness = Witness()
    judged_by(witness, images)
    assert witness.shown.shape == (2, 3, 16, 16)
    frame = torch.ones(16, 16, dtype=torch.bool)
    frame[1:-1, 1:-1] = False
    expected = torch.tensor([1.0, 0.25, 0.5])[:, None].expand(3, 60)
    for image in witness.shown:
        torch.testing.assert_close(image[:, frame], expected, rtol=0, atol=1e-6)
    assert not torch.isclose(witness.shown[0], images[0, :, 0, 0][:, None, None], atol=0.01).all()


def test_an_enlarged_image_stays_in_range() -> None:
    witness = Witness()
    judged_by(witness, (noise(2, 8, 0) > 0.5).float())
    assert witness.shown.shape == (2, 3, 16, 16)
    assert (witness.shown.min(), witness.shown.max()) == (0, 1)


def test_images_of_the_judges_size_are_shown_as_they_are() -> None:
    witness, images = Witness(), noise(2, 16, 0)
    judged_by(witness, images)
    assert torch.equal(witness.shown, images)


def test_infinite_logits_are_certain() -> None:
    infinity = float("inf")
    logits = torch.tensor([[0.0, infinity], [0.0, -infinity], [infinity, 3.0]])
    found = judged_by(Witness(logits), noise(3, 16, 0), targets=[1, 1, 0])
    assert found["label"].tolist() == [1, 0, 0]
    assert found["accuracy"].tolist() == [1, 0, 1]
    assert found["confidence"].tolist() == [1, 1, 1]
    assert found["probability"].tolist() == [1, 0, 1]
    assert found["entropy"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("multi_label", "right"), [(False, [1, 0, 0]), (True, [1, 1, 0])])
def test_of_several_classes_each_that_is_there_is_right(multi_label: bool, right: list[int]) -> None:
    witness = Witness(torch.tensor([[3.0, 1.0, -1.0]]).expand(3, -1))
    found = judged_by(witness, noise(3, 16, 0), targets=[0, 1, 2], multi_label=multi_label)
    assert found["accuracy"].tolist() == right
    assert ("confidence" in found) is not multi_label


# What is better.

GONE_OR_THERE: dict[str, tuple[float, float] | None] = {
    "accuracy": (0.05, 0.9),  # the classifier no longer sees the object
    "probability": (0.1, 0.8),
    "ms_ssim": (0.7, 0.99),  # more than nothing has changed
    "lpips": (0.4, 0.01),
    "l1": (0.02, 0.3),  # it looks like what is really behind
    "psnr": (35.0, 8.0),
    "lpips_truth": (0.02, 0.3),
    "change": None,
    "divergence": None,
    "periodicity": None,  # below 1 is as strange as above
    "seam": None,
    "texture": None,
    "frechet": (0.5, 60.0),  # all together look real
    "kernel": (0.0, 0.3),
    "two_sample": (0.5, 1.0),
    "entropy": (2.0, 0.1),  # where nothing is to be seen, nothing should be said
    "calibration": (0.01, 0.4),
    "top3": None,
}
"""By metric, the better and the worse outcome where the object is to go."""

AS_BEFORE_OR_CHANGED: dict[str, tuple[float, float] | None] = {
    "accuracy": None,  # noise may look like the class, and raise both
    "probability": None,
    "ms_ssim": (0.99, 0.7),
    "lpips": (0.01, 0.4),
    "l1": (0.02, 0.3),
    "psnr": (35.0, 8.0),
    "lpips_truth": (0.02, 0.3),
    "change": (0.01, 0.2),
    "divergence": (0.01, 0.5),
    "periodicity": None,
    "seam": None,
    "texture": None,  # too little is as bad as too much
    "frechet": (0.5, 60.0),
    "kernel": (0.0, 0.3),
    "two_sample": (0.5, 1.0),
    "entropy": None,
    "calibration": (0.01, 0.4),
    "top3": None,  # of one class all images are rightly taken for it
}
"""By metric, the better and the worse outcome where the image is to look as before."""


def preferred(direction: str | None, outcomes: tuple[float, float]) -> float | None:
    return None if direction is None else {"lower": min, "higher": max}[direction](outcomes)


@pytest.mark.parametrize("name", METRICS)
def test_the_better_outcome_is_called_better(name: str) -> None:
    metric = METRICS[name]
    for direction, outcomes in (
        (metric.removed, GONE_OR_THERE[name]),
        (metric.kept, AS_BEFORE_OR_CHANGED[name]),
    ):
        assert (direction is None) == (outcomes is None)
        assert outcomes is None or preferred(direction, outcomes) == outcomes[0]


def test_the_groups_of_metrics_are_metrics() -> None:
    groups = (*OF_CLASSES, *OF_FEATURES, *TRACES, "l1", "psnr", "lpips_truth", "change", "divergence")
    assert len(set(groups)) == len(groups)
    assert METRICS.keys() - set(groups) == {"ms_ssim", "lpips"}


def test_pictures_prefer_what_a_person_would() -> None:
    """A bright square on a dark ground: taken away or left there, and the ground kept or made noisy."""
    size = realism.SMALLEST_SIDE
    ground = 0.2 + 0.1 * noise(1, size, 0)
    square = torch.zeros(1, 1, size, size)
    square[:, :, 40:100, 50:120] = 1
    shown = torch.lerp(ground, torch.full_like(ground, 0.9), square)

    def measured(hole: Tensor, truth: Tensor, composite: Tensor) -> dict[str, float]:
        batch = ExampleBatch((0,), ("a",), shown, hole, truth, None, ())
        prepared = unjudged(similar=True, perceptual=Perceptual()).of_batch(batch)
        return {name: float(values[0]) for name, values in prepared(composite).items()}

    gone, there = (measured(square, ground, composite) for composite in (ground, shown))
    noisy = torch.lerp(noise(1, size, 1), shown, square)
    kept, changed = (measured(1 - square, shown, composite) for composite in (shown, noisy))
    names = {"ms_ssim", "lpips", "l1", "psnr", "lpips_truth"}
    assert gone.keys() == names
    assert kept.keys() == names - {"lpips_truth"}  # the truth is the original, which LPIPS is told of already
    for name in names:
        assert preferred(METRICS[name].removed, (gone[name], there[name])) == gone[name] != there[name]
    for name in kept:
        assert preferred(METRICS[name].kept, (kept[name], changed[name])) == kept[name] != changed[name]


# Who judges.


def made_judges(request: RealismRequest, data: str = "scenes:2") -> Judges:
    dataset = open_dataset(data)
    return load_judges(request, dataset, dataset.read(0), CPU)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither weights at hand nor a network."""

    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    monkeypatch.setattr("models.weights.download._opener", unreachable)


@pytest.fixture
def photographs(tmp_path: Path) -> str:
    """A folder of one image."""
    from PIL import Image

    (tmp_path / "photographs").mkdir()
    Image.new("RGB", (40, 30), (90, 120, 30)).save(tmp_path / "photographs" / "a.png")
    return str(tmp_path / "photographs")


@pytest.fixture(scope="module")
def five_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a small torchvision network with 5 classes, and a view of its own."""
    import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = torchvision.models.squeezenet1_1(num_classes=5).state_dict()
    path = tmp_path_factory.mktemp("weights") / "five.safetensors"
    save_file(state, path, {"arch": "torchvision.squeezenet1_1", "crop": "64"})
    return path


def test_scenes_are_judged_by_their_classifier(offline: None) -> None:
    found = made_judges(RealismRequest("scenes:2", precision="float32"))
    classifier = load_classifier("scenes")
    assert (found.name, found.missing, tuple(found.labels)) == ("scenes", "", scenes.CLASSES)
    assert found.classifier.crop == scenes.SIDE
    assert found.judging_classifier is found.classifier
    assert found.explained is not None
    assert found.judge is not None
    images = torch.stack([scenes.draw(number, objects=1).image for number in range(2)])
    with torch.inference_mode():
        expected = classifier(images)
        logits, features = found.judge(images)
        torch.testing.assert_close(found.explained(images), expected, rtol=0, atol=1e-3)
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-3)
        head = classifier.network.head  # type: ignore[union-attr]
        torch.testing.assert_close(head(features), expected, rtol=0, atol=1e-3)  # type: ignore[operator]
    assert expected.argmax(1).tolist() == [scenes.draw(number, objects=1).labels[0] for number in range(2)]


@pytest.mark.parametrize("fast", ["float32", "bfloat16"])
def test_the_precision_that_is_kept_is_that_of_the_processor(
    fast: str, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("infill.network", "attribution.engine.precision"):
        monkeypatch.setattr(f"{place}.fast_dtype", lambda device: getattr(torch, fast))
    made = set_up(RealismRequest("scenes:2", fillers=("gray",)))
    assert made.settings["precision"] == made.identity["precision"] == fast


def test_a_judge_of_its_own_looks_with_its_own_eye(five_classes: Path) -> None:
    request = RealismRequest(
        "scenes:2", weights=five_classes, judge_weights=five_classes, precision="float32"
    )
    found = made_judges(request)
    assert found.judging_classifier is not None
    assert found.judging_classifier is not found.classifier
    assert (found.name, found.judging_classifier.crop, len(found.labels)) == (None, 64, 5)
    assert found.judge is not None
    logits, features = found.judge(noise(2, 64, 0))
    assert logits.shape == (2, 5)
    assert features.shape == (2, 512)


@pytest.mark.parametrize("own", ["scenes", "five"])
def test_a_judge_of_other_classes_is_refused(own: str, five_classes: Path) -> None:
    settings: dict[str, Any] = (
        {"judge_weights": five_classes} if own == "scenes" else {"weights": five_classes, "judge": "scenes"}
    )
    expected = (12, 5) if own == "scenes" else (5, 12)
    with pytest.raises(ValueError, match="--judge") as caught:
        made_judges(RealismRequest("scenes:2", **settings))
    assert str(caught.value) == "--judge: expected the classifier's {} classes, got {}".format(*expected)


def test_a_judge_of_another_order_is_refused(five_classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def turned(*arguments: Any, **options: Any) -> ImageClassifier:
        made = build_classifier(*arguments, **options)
        made.labels = tuple(reversed(made.labels))
        return made

    request = RealismRequest("scenes:2", weights=five_classes, judge_weights=five_classes)
    first, last = (build_classifier(None, five_classes, False).labels[place] for place in (0, -1))
    calls = iter((build_classifier, turned))
    monkeypatch.setattr(
        "studio.realism.judges.build_classifier", lambda *given, **named: next(calls)(*given, **named)
    )
    said = f"--judge: expected the classifier's order, class 0 as {first!r}, got {last!r}"
    with pytest.raises(ValueError, match=re.escape(said)):
        made_judges(request)


def test_photographs_are_not_judged_if_no_classifier_can_be_had(offline: None, photographs: str) -> None:
    found = made_judges(RealismRequest(photographs), photographs)
    assert found.missing.startswith("needs a classifier of photographs: weights: cannot fetch mobilenet_v2")
    assert found.explained is found.judge is found.judging_classifier is found.name is None
    assert found.labels == ()
    assert (found.classifier.crop, found.classifier.resize) == (224, 256)


@pytest.mark.parametrize(
    "settings",
    [{"classifier": "mobilenet_v2"}, {"classifier": "resnet18"}, {"judge": "mobilenet_v2"}],
)
@pytest.mark.parametrize("data", ["scenes:2", "photographs"])
def test_a_classifier_that_was_asked_for_must_be_had(
    settings: dict[str, str], data: str, offline: None, photographs: str
) -> None:
    data = photographs if data == "photographs" else data
    with pytest.raises(ValueError, match="cannot fetch"):
        made_judges(RealismRequest(data, **settings), data)  # type: ignore[arg-type]


def test_an_unknown_classifier_is_refused(photographs: str) -> None:
    with pytest.raises(ValueError, match="unknown classifier 'mobilenet'"):
        made_judges(RealismRequest(photographs, classifier="mobilenet"), photographs)
    with pytest.raises(ValueError, match="unknown classifier 'scene'"):
        made_judges(RealismRequest("scenes:2", judge="scene"))


@pytest.mark.parametrize("name", ["weights", "judge_weights"])
def test_weights_that_are_not_there_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        made_judges(RealismRequest("scenes:2", **{name: tmp_path / "none.pth"}))  # type: ignore[arg-type]
