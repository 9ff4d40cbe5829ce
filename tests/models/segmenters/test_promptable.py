"""Promptable segmenters: against transformers' own answers, and a network whose proposals are known."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny_segmenters
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.segmenters import load_segmenter
from models.segmenters import promptable as promptable_segmenters
from models.segmenters.promptable import PromptableSegmenter
from models.weights import transformers as hugging_face

KINDS = tuple(promptable_segmenters.TYPES)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny network, made once."""
    folder = tmp_path_factory.mktemp("hub")

    def made(kind: str) -> Path:
        place = folder / kind
        return place if place.exists() else tiny_segmenters.saved(kind, place)

    return made


@pytest.fixture
def sam(published: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder of one's own, to change."""
    return Path(shutil.copytree(published("sam"), tmp_path / "sam"))


def loaded(folder: Path) -> PromptableSegmenter:
    segmenter = load_segmenter(f"hf:{folder}")
    assert isinstance(segmenter, PromptableSegmenter)
    return segmenter


# What is asked and taken, by a network whose proposals are known.


class Proposals(nn.Module):
    """Proposes stripes of 4 columns for every prompt, and remembers what it was asked."""

    def __init__(self, rated: tuple[float, float, float]) -> None:
        super().__init__()
        self.rated = torch.tensor(rated)
        self.asked: list[dict[str, Tensor]] = []

    def forward(self, **asked: Tensor) -> Any:
        self.asked.append(asked)
        prompts = asked.get("input_points", asked.get("input_boxes")).shape[1]
        masks = torch.full((1, prompts, 3, 8, 8), -10.0)
        masks[..., 0, :, :4] = masks[..., 1, :, 4:] = masks[..., 2, :, 2:6] = 10
        return SimpleNamespace(pred_masks=masks, iou_scores=self.rated.expand(1, prompts, 3))


def proposing(
    rated: tuple[float, float, float] = (0.1, 0.2, 0.3), network: str = "sam"
) -> PromptableSegmenter:
    import transformers

    if network == "sam":
        seen = transformers.SamImageProcessor(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
        return PromptableSegmenter(Proposals(rated), transformers.SamProcessor(seen))
    seen = transformers.Sam2ImageProcessor(size={"height": 64, "width": 64})
    return PromptableSegmenter(Proposals(rated), transformers.Sam2Processor(seen))


@pytest.mark.parametrize(
    ("rated", "columns"),
    [((0.9, 0.5, 0.1), slice(0, 16)), ((0.1, 0.9, 0.5), slice(16, 32)), ((-3, -2, -1), slice(8, 24))],
)
@pytest.mark.parametrize("network", ["sam", "sam2"])
def test_the_proposal_rated_best_is_taken(
    rated: tuple[float, float, float], columns: slice, network: str
) -> None:
    images, expected = torch.rand(2, 3, 32, 32), torch.zeros(2, 32, 32, dtype=torch.bool)
    expected[:, :, columns] = True
    segmenter = proposing(rated, network)
    assert torch.equal(segmenter.silhouette(images, points=torch.tensor([[[3.0, 4.0]]] * 2)), expected)
    assert torch.equal(segmenter.silhouette(images, boxes=torch.tensor([[1.0, 2, 3, 4]] * 2)), expected)


def test_padding_of_oblong_images_is_cut_off() -> None:
    """SAM sees an image of 16 x 32 as 32 x 64 pixels above padding: half of the mask's rows."""
    found = proposing((0, 0, 1)).silhouette(torch.rand(1, 3, 16, 32), points=torch.tensor([[[3.0, 4.0]]]))
    assert found.shape == (1, 16, 32)
    assert found[0].all(0).nonzero().flatten().tolist() == [*range(8, 24)]


def test_prompts_are_counted_from_the_middle_of_the_first_pixel() -> None:
    """Pixel j covers [j, j + 1); the networks call its middle j. 32 x 16 is seen as 64 x 32."""
    segmenter = proposing()
    points = torch.tensor([[[0.5, 0.5], [31.5, 8.0]]])
    segmenter.silhouette(torch.rand(1, 3, 16, 32), points=points)
    (asked,) = segmenter.network.asked
    assert asked["input_points"].tolist() == [[[[0, 0], [62, 15]]]]
    assert asked["input_labels"].tolist() == [[[1, 1]]]
    segmenter.union(torch.rand(3, 16, 32), torch.tensor([[0.0, 0, 32, 16], [1.5, 2.5, 4.5, 5.5]]))
    assert segmenter.network.asked[1]["input_boxes"].tolist() == [[[-1, -1, 63, 31], [2, 4, 8, 10]]]
    assert asked["pixel_values"].shape == (1, 3, 64, 64)


SOME = torch.tensor([[[3.0, 4.0]]])
BOX = torch.tensor([[1.0, 2.0, 3.0, 4.0]])


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "points and boxes: expected one of the two, got neither"),
        ({"points": SOME, "boxes": BOX}, "points and boxes: expected one of the two, got both"),
        ({"points": torch.zeros(1, 0, 2)}, "points: expected some"),
        (
            {"points": SOME - 3.5},
            r"points: expected some \(x, y\) in 20 x 10 pixels, got \[\[\[-0.5, 0.5\]\]\]",
        ),
        ({"points": SOME + torch.tensor([0, 6.5])}, "points: expected some"),
        ({"points": SOME * torch.nan}, "points: expected some"),
        ({"boxes": BOX.flip(1)}, r"boxes: expected some \(left, top, right, bottom\) in 20 x 10 pixels, got"),
        ({"boxes": torch.tensor([[1.0, 2.0, 1.0, 4.0]])}, "boxes: expected some"),
        ({"boxes": BOX + 7}, "boxes: expected some"),
        ({"boxes": BOX * torch.nan}, "boxes: expected some"),
    ],
)
def test_impossible_prompts_are_refused(prompts: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        proposing().silhouette(torch.rand(1, 3, 10, 20), **prompts)


def test_a_union_needs_a_box() -> None:
    with pytest.raises(ValueError, match="boxes: expected some"):
        proposing().union(torch.rand(3, 10, 20), torch.zeros(0, 4))


# Transformers' networks.


@cache
def theirs_loaded(kind: str, folder: Path) -> tuple[Any, Any]:
    import transformers

    seer = transformers.AutoImageProcessor.from_pretrained(folder)
    processor = getattr(transformers, promptable_segmenters.TYPES[kind])(seer)
    return processor, transformers.AutoModelForMaskGeneration.from_pretrained(folder).eval()


def theirs(kind: str, folder: Path, image: Tensor, **prompts: Any) -> Tensor:
    """The proposal that transformers itself rates best for each prompt."""
    processor, network = theirs_loaded(kind, folder)
    seen = processor(images=hugging_face.in_bytes(image), return_tensors="pt", **prompts)
    sizes = [seen.pop(key) for key in ("original_sizes", "reshaped_input_sizes") if key in seen]
    with torch.no_grad():
        answer = network(**seen)
    (masks,) = processor.post_process_masks(answer.pred_masks, *sizes)
    best = answer.iou_scores[0].argmax(-1)
    return torch.stack([mask[index] for mask, index in zip(masks, best, strict=True)])


@pytest.mark.parametrize("kind", KINDS)
def test_folders_give_transformers_silhouettes(
    kind: str, published: Callable[[str], Path], smooth_image: Callable[..., Tensor]
) -> None:
    folder = published(kind)
    segmenter = loaded(folder)
    assert (segmenter.labels, segmenter.background, segmenter.prompted) == ((), None, True)
    for size in ((50, 70), (90, 41)):
        image = smooth_image(*size)
        points, boxes = [[20.5, 9.0], [7.25, 30.0]], [[5.0, 6.0, 30.5, 48.0], [0.0, 0.0, 41.0, 50.0]]
        for count in (1, 2):
            found = segmenter.silhouette(image, points=torch.tensor([points[:count]]))
            centered = [[x - 0.5, y - 0.5] for x, y in points[:count]]
            labels = [[[1] * count]]
            expected = theirs(kind, folder, image[0], input_points=[[centered]], input_labels=labels)
            assert torch.equal(found, expected)
        centered = [[side - 0.5 for side in box] for box in boxes]
        expected = theirs(kind, folder, image[0], input_boxes=[centered])
        assert torch.equal(segmenter.union(image[0], torch.tensor(boxes)), expected.any(0))
        one = segmenter.silhouette(image, boxes=torch.tensor(boxes[:1]))
        assert torch.equal(one, theirs(kind, folder, image[0], input_boxes=[centered[:1]]))
        assert 0 < found.float().mean() < 1, "these networks are to find something"


@pytest.mark.parametrize("kind", KINDS)
def test_the_batch_changes_nothing(
    kind: str, published: Callable[[str], Path], smooth_image: Callable[..., Tensor]
) -> None:
    segmenter = loaded(published(kind))
    images = torch.cat([smooth_image(50, 70, seed) for seed in range(3)])
    points = torch.tensor([[[10.0, 20.0]], [[60.0, 3.0]], [[35.0, 49.0]]])
    boxes = torch.tensor([[1.0, 2, 30, 40], [0, 0, 70, 50], [33, 22, 44, 33]])
    for prompts in ({"points": points}, {"boxes": boxes}):
        together = segmenter.silhouette(images, **prompts)
        for number, found in enumerate(together):
            alone = {key: value[number : number + 1] for key, value in prompts.items()}
            assert torch.equal(segmenter.silhouette(images[number : number + 1], **alone)[0], found)


def test_a_union_sees_the_image_once(sam: Path, smooth_image: Callable[..., Tensor]) -> None:
    segmenter, image = loaded(sam), smooth_image(50, 70)
    boxes = torch.tensor([[1.0, 2, 30, 40], [0, 0, 70, 50], [33, 22, 44, 33]])
    each = segmenter.silhouette(image.expand(3, -1, -1, -1), boxes=boxes)
    seen: list[int] = []
    segmenter.network.vision_encoder.register_forward_hook(lambda *_: seen.append(1))
    assert torch.equal(segmenter.union(image[0], boxes), each.any(0))
    assert seen == [1]


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (9, 4), (20, 90), (200, 150)])
@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_images_of_any_size(size: tuple[int, int], kind: str, published: Callable[[str], Path]) -> None:
    height, width = size
    images = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    found = loaded(published(kind)).silhouette(images, points=torch.tensor([[[width / 2, height / 2]]]))
    assert found.shape == (1, height, width)
    assert found.dtype == torch.bool


def test_loading_is_silent_and_leaves_no_trace(
    sam: Path, capfd: pytest.CaptureFixture[str], smooth_image: Callable[..., Tensor]
) -> None:
    before = torch.get_rng_state()
    segmenter = loaded(sam)
    segmenter.silhouette(smooth_image(30, 40), points=SOME)
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")
    assert not segmenter.training
    assert not any(parameter.requires_grad for parameter in segmenter.parameters())


def test_weights_that_lack_a_tensor_are_refused(sam: Path) -> None:
    state = load_file(sam / "model.safetensors")
    kept = {key: value for key, value in state.items() if key != "mask_decoder.iou_token.weight"}
    save_file(kept, sam / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"does not fit SamModel: it lacks mask_decoder\.iou_token\.weight$"):
        load_segmenter(f"hf:{sam}")


@pytest.mark.parametrize("other", ["segformer", "smaller"])
def test_image_processors_of_other_networks_are_refused(other: str, sam: Path) -> None:
    import transformers

    smaller = transformers.SamImageProcessor(size={"longest_edge": 32}, pad_size={"height": 32, "width": 32})
    (smaller if other == "smaller" else transformers.SegformerImageProcessor()).save_pretrained(sam)
    with pytest.raises(ValueError, match=f"segmenter: cannot follow the image processor of hf:{sam}: "):
        load_segmenter(f"hf:{sam}")


def test_folders_come_with_their_own_weights(sam: Path) -> None:
    with pytest.raises(ValueError, match=r"weights: expected none, for hf:.* comes with its own, got"):
        load_segmenter(f"hf:{sam}", sam / "model.safetensors")
