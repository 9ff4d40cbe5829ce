"""Segmenters of instances: against transformers' own answers, and networks whose instances are known."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny_segmenters
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.segmenters import instance as instance_segmenters
from models.segmenters import load_segmenter
from models.segmenters.instance import InstanceSegmenter
from models.weights import transformers as hugging_face

NAMES = ("background", "cat", "dog")
SIDE = 8


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny network, made once."""
    folder = tmp_path_factory.mktemp("hub")

    def made(kind: str) -> Path:
        place = folder / kind
        return place if place.exists() else tiny_segmenters.saved(kind, place)

    return made


@pytest.fixture
def mask2former(published: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder of one's own, to change."""
    return Path(shutil.copytree(published("mask2former"), tmp_path / "mask2former"))


def loaded(folder: Path) -> InstanceSegmenter:
    segmenter = load_segmenter(f"hf:{folder}")
    assert isinstance(segmenter, InstanceSegmenter)
    return segmenter


def change(folder: Path, file: str, **said: Any) -> None:
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **said}))


# What is found, by networks whose instances are known: (class, from column, to column).


class Stripes(nn.Module):
    """Answers with instances of some columns of any image; class 3 is no object."""

    def __init__(self, stripes: list[tuple[int, int, int]]) -> None:
        super().__init__()
        self.stripes = stripes

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> Any:
        classes = torch.full((1, len(self.stripes), 4), -30.0)
        masks = torch.full((1, len(self.stripes), SIDE, SIDE), -100.0)
        for query, (index, start, stop) in enumerate(self.stripes):
            classes[0, query, index] = 30
            masks[0, query, :, start:stop] = 100
        return SimpleNamespace(class_queries_logits=classes, masks_queries_logits=masks)


def striped(stripes: list[tuple[int, int, int]], background: int | None = 0) -> InstanceSegmenter:
    import transformers

    processor = transformers.Mask2FormerImageProcessor(size={"height": SIDE, "width": SIDE}, size_divisor=0)
    return InstanceSegmenter(Stripes(stripes), processor, NAMES, background)


def columns(found: Tensor) -> list[set[int]]:
    """The columns of each silhouette, which are whole."""
    assert found.dtype == torch.bool
    assert torch.equal(found, found[:, :1].expand_as(found))
    return [set(one[0].nonzero().flatten().tolist()) for one in found]


@st.composite
def stripe(draw: st.DrawFn) -> tuple[int, int, int]:
    start = draw(st.integers(0, SIDE - 1))
    return draw(st.integers(0, 3)), start, draw(st.integers(start + 1, SIDE))


@settings(max_examples=30)
@given(st.lists(stripe(), min_size=1, max_size=5), st.sampled_from([0, 2, None]))
def test_a_class_is_all_of_its_instances_and_the_largest_is_one(
    stripes: list[tuple[int, int, int]], background: int | None
) -> None:
    segmenter, images = striped(stripes, background), torch.rand(2, 3, SIDE, SIDE)
    for index, name in enumerate(NAMES):
        union = {x for kind, start, stop in stripes if kind == index for x in range(start, stop)}
        assert columns(segmenter.silhouette(images, name)) == [union] * 2
    things = [set(range(start, stop)) for kind, start, stop in stripes if kind not in (background, 3)]
    for found in columns(segmenter.silhouette(images)):
        assert found in [one for one in things if len(one) == max(map(len, things))] or not found | set(
            things
        )


def test_instances_that_overlap_are_whole() -> None:
    segmenter = striped([(1, 0, 6), (2, 2, 8), (2, 3, 5)])
    pixels, classes = segmenter.instances(torch.rand(3, SIDE, SIDE))
    found = sorted(zip(classes, map(sorted, columns(pixels)), strict=True))
    assert found == [(1, [*range(6)]), (2, [*range(2, 8)]), (2, [3, 4])]


def test_where_there_is_only_background_nothing_is_found() -> None:
    segmenter, images = striped([(0, 0, 8), (3, 1, 4)]), torch.rand(1, 3, SIDE, SIDE)
    assert not segmenter.silhouette(images).any()
    assert not segmenter.silhouette(images, "dog").any()
    assert segmenter.silhouette(images, "background").all()
    nothing = striped([(3, 1, 4)])
    assert not nothing.silhouette(images).any()
    assert not nothing.silhouette(images, "background").any()
    pixels, classes = nothing.instances(images[0])
    assert (tuple(pixels.shape), classes) == ((0, SIDE, SIDE), [])


def test_unsure_instances_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter, images = striped([(1, 0, 4)]), torch.rand(1, 3, SIDE, SIDE)
    answer = segmenter.network(images, images)
    monkeypatch.setattr(segmenter.network, "forward", lambda **_: answer)
    for logit, found in ((0.9, True), (-0.9, False)):  # the sigmoid of twice that: 0.86 and 0.14
        answer.class_queries_logits[:] = -30
        answer.class_queries_logits[0, 0, 1], answer.class_queries_logits[0, 0, 3] = logit, -logit
        assert segmenter.silhouette(images).any() == found


def test_unknown_labels_name_the_nearest() -> None:
    message = "label: expected one of the segmenter's 3 classes, got 'Dog'; did you mean 'dog'"
    with pytest.raises(ValueError, match=message):
        striped([(1, 0, 4)]).silhouette(torch.rand(1, 3, SIDE, SIDE), "Dog")


# Transformers' networks.


def theirs(folder: Path, image: Tensor) -> tuple[list[Tensor], list[int]]:
    """The pixels and the classes of what transformers itself finds in an image."""
    import transformers

    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    network = transformers.AutoModelForUniversalSegmentation.from_pretrained(folder).eval()
    seen = processor(images=hugging_face.in_bytes(image), return_tensors="pt")
    with torch.no_grad():
        answer = network(**{key: seen[key] for key in ("pixel_values", "pixel_mask") if key in seen})
    (found,) = processor.post_process_instance_segmentation(answer, target_sizes=[tuple(image.shape[1:])])
    pixels = [found["segmentation"] == one["id"] for one in found["segments_info"]]
    return pixels, [one["label_id"] for one in found["segments_info"]]


@pytest.mark.parametrize("kind", instance_segmenters.TYPES)
def test_folders_give_transformers_instances(
    kind: str, published: Callable[[str], Path], smooth_image: Callable[..., Tensor]
) -> None:
    folder = published(kind)
    segmenter = loaded(folder)
    assert (segmenter.labels, segmenter.background, segmenter.prompted) == (NAMES, 0, False)
    seen = set()
    for size in ((50, 70), (64, 41), (30, 30)):
        image = smooth_image(*size, seed=size[0])[0]
        pixels, classes = segmenter.instances(image)
        expected, labels = theirs(folder, image)
        assert classes == labels
        # Theirs are cut where later instances lie over them; where they may overlap, ours are not.
        shown = torch.full(size, -1)
        for number, one in enumerate(pixels):
            shown[one] = number
        assert all(torch.equal(shown == number, one) for number, one in enumerate(expected))
        seen.update(classes)
        for index, name in enumerate(NAMES):
            of_class = pixels[torch.tensor(classes) == index].any(0)
            assert torch.equal(segmenter.silhouette(image[None], name)[0], of_class)
    assert seen, "these networks are to find something"


@pytest.mark.parametrize("kind", instance_segmenters.TYPES)
def test_the_batch_changes_nothing(
    kind: str, published: Callable[[str], Path], smooth_image: Callable[..., Tensor]
) -> None:
    segmenter = loaded(published(kind))
    images = torch.cat([smooth_image(50, 70, seed) for seed in range(3)])
    together = segmenter.silhouette(images)
    assert together.any()
    for image, found in zip(images, together, strict=True):
        assert torch.equal(segmenter.silhouette(image[None])[0], found)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (9, 4), (20, 90), (200, 150)])
def test_images_of_any_size(size: tuple[int, int], published: Callable[[str], Path]) -> None:
    for kind in ("mask2former", "eomt"):
        images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
        assert loaded(published(kind)).silhouette(images).shape == (1, *size)


def test_loading_is_silent_and_leaves_no_trace(
    mask2former: Path, capfd: pytest.CaptureFixture[str], smooth_image: Callable[..., Tensor]
) -> None:
    before = torch.get_rng_state()
    segmenter = loaded(mask2former)
    segmenter.silhouette(smooth_image(30, 40))
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")
    assert not segmenter.training
    assert not any(parameter.requires_grad for parameter in segmenter.parameters())


def test_weights_that_lack_a_tensor_are_refused(mask2former: Path) -> None:
    state = load_file(mask2former / "model.safetensors")
    kept = {key: value for key, value in state.items() if key != "class_predictor.weight"}
    save_file(kept, mask2former / "model.safetensors", {"format": "pt"})
    message = "does not fit Mask2FormerForUniversalSegmentation: it lacks class_predictor.weight$"
    with pytest.raises(ValueError, match=message):
        load_segmenter(f"hf:{mask2former}")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("mask2former", {"pad_size": {"height": 128, "width": 128}}),
        ("detr", {"pad_size": {"height": 128, "width": 128}}),
        ("eomt", {"do_split_image": True, "size": {"shortest_edge": 64}}),
    ],
)
def test_images_that_are_padded_or_split_are_refused(
    kind: str, said: dict[str, Any], published: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(published(kind), tmp_path / kind))
    change(folder, "preprocessor_config.json", **said)
    message = f"cannot follow the image processor of hf:{folder}: .*neither pads nor splits images"
    with pytest.raises(ValueError, match=message):
        load_segmenter(f"hf:{folder}")


@pytest.mark.parametrize("kind", ["oneformer", "resnet", "sam3"])
def test_other_kinds_are_refused_by_name(kind: str, mask2former: Path) -> None:
    change(mask2former, "config.json", model_type=kind)
    with pytest.raises(ValueError, match=f"segmenter: hf:{mask2former} is of type '{kind}'") as caught:
        load_segmenter(f"hf:{mask2former}")
    message = str(caught.value)
    for known in ("segformer", "mask2former", "detr", "sam2", "sam_hq"):
        assert known in message
    assert message.endswith("; OneFormer must also be told its task in words") == (kind == "oneformer")
    assert "\n" not in message


def test_folders_come_with_their_own_weights(mask2former: Path) -> None:
    with pytest.raises(ValueError, match=r"weights: expected none, for hf:.* comes with its own, got"):
        load_segmenter(f"hf:{mask2former}", mask2former / "model.safetensors")
