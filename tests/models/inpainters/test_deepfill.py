"""DeepFill: its attention and networks against plain loops, and every layout of its weights."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from promises import adapted
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from infill import Learned, composite
from models.inpainters import deepfill, deepfill_checkpoints
from models.inpainters.contextual_attention import ContextualAttention, shrunk
from models.inpainters.deepfill import Convolution, DeepFill, Layer
from models.inpainters.inpainter import Inpainter
from models.weights.tensorflow import read_bundle

# Of each published layer: name, kernel, stride, dilation, and the channels in and out of its kernel, for v1
# and for v2. A gated layer has as many gates as features, so the next one sees half of what it puts out.
TABLE = """
conv1 5 1 1 5 32 5 48            | conv2_downsample 3 2 1 32 64 24 96    | conv3 3 1 1 64 64 48 96
conv4_downsample 3 2 1 64 128 48 192 | conv5 3 1 1 128 128 96 192        | conv6 3 1 1 128 128 96 192
conv7_atrous 3 1 2 128 128 96 192    | conv8_atrous 3 1 4 128 128 96 192 | conv9_atrous 3 1 8 128 128 96 192
conv10_atrous 3 1 16 128 128 96 192  | conv11 3 1 1 128 128 96 192       | conv12 3 1 1 128 128 96 192
conv13_upsample 3 1 1 128 64 96 96   | conv14 3 1 1 64 64 48 96          | conv15_upsample 3 1 1 64 32 48 48
conv16 3 1 1 32 16 24 24         | conv17 3 1 1 16 3 12 3
xconv1 5 1 1 5 32 3 48           | xconv2_downsample 3 2 1 32 32 24 48   | xconv3 3 1 1 32 64 24 96
xconv4_downsample 3 2 1 64 64 48 96  | xconv5 3 1 1 64 128 48 192        | xconv6 3 1 1 128 128 96 192
xconv7_atrous 3 1 2 128 128 96 192   | xconv8_atrous 3 1 4 128 128 96 192
xconv9_atrous 3 1 8 128 128 96 192   | xconv10_atrous 3 1 16 128 128 96 192
pmconv1 5 1 1 5 32 3 48          | pmconv2_downsample 3 2 1 32 32 24 48  | pmconv3 3 1 1 32 64 24 96
pmconv4_downsample 3 2 1 64 128 48 192 | pmconv5 3 1 1 128 128 96 192    | pmconv6 3 1 1 128 128 96 192
pmconv9 3 1 1 128 128 96 192     | pmconv10 3 1 1 128 128 96 192
allconv11 3 1 1 256 128 192 192  | allconv12 3 1 1 128 128 96 192
allconv13_upsample 3 1 1 128 64 96 96  | allconv14 3 1 1 64 64 48 96
allconv15_upsample 3 1 1 64 32 48 48   | allconv16 3 1 1 32 16 24 24     | allconv17 3 1 1 16 3 12 3
"""
ROWS = {
    row.split()[0]: [int(value) for value in row.split()[1:]]
    for row in TABLE.replace("|", "\n").strip().splitlines()
}
# The same layers in networks trained anew in PyTorch ("deepfillv2-pytorch").
HEAD = (
    "conv1 down_block1.conv1_downsample down_block1.conv2 down_block2.conv1_downsample down_block2.conv2 "
    "conv_bn1"
)
DEEP = "conv_bn2 conv_bn3 conv_bn4 conv_bn5"
TAIL = (
    "conv_bn6 conv_bn7 up_block1.conv1_upsample.conv up_block1.conv2 up_block2.conv1_upsample.conv "
    "up_block2.conv2 conv_to_rgb"
)
RETRAINED = [
    *(f"stage1.{name}" for name in f"{HEAD} {DEEP} {TAIL}".split()),
    *(f"stage2.b1_{name}" for name in f"{HEAD} {DEEP}".split()),
    *(f"stage2.b2_{name}" for name in f"{HEAD} conv_bn4 conv_bn5".split()),
    *(f"stage2.{name}" for name in TAIL.split()),
]
VERSIONS = ["v1", "v2"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def published_weights(version: str, seed: int = 0) -> dict[str, Tensor]:
    """Random variables with the names and shapes of a published TensorFlow checkpoint."""
    generator, state = seeded(seed), {}
    for layer, (kernel, _, _, *channels) in ROWS.items():
        inward, outward = channels[:2] if version == "v1" else channels[2:]
        scope = f"inpaint_net/{layer}/{layer}_conv" if "upsample" in layer else f"inpaint_net/{layer}"
        scale = (0.7 if version == "v1" else 1.6) / (kernel * inward**0.5)
        state[f"{scope}/kernel"] = scale * torch.randn(kernel, kernel, inward, outward, generator=generator)
        state[f"{scope}/bias"] = 0.2 * torch.randn(outward, generator=generator)
    return state


def converted(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same variables as "deepfillv2-pytorch" names and lays them out."""
    names = {"kernel": "conv.weight", "bias": "conv.bias"}
    result = {}
    for name, value in state.items():
        _, layer, *nested, kind = name.split("/")
        turned = value.permute(3, 2, 0, 1).contiguous() if value.ndim == 4 else value
        result[f"{layer}.{'conv.' if nested else ''}{names[kind]}"] = turned
    return result


def example(height: int, width: int, count: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images in [-1, 1], and a hole of its own for each."""
    image = 2 * torch.rand(count, 3, height, width, generator=seeded(seed)) - 1
    hole = torch.zeros(count, 1, height, width)
    for index in range(count):
        top, left = 3 + 5 * index, 2 + 7 * index
        hole[index, :, top : top + height // 3, left : left + width // 3] = 1
    return image, hole


# The reference: plain loops over places, patches and taps, in double precision, channels last, one image.


def same(side: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TensorFlow's "SAME": how many places come out, and how many zeros go before them."""
    out = -(-side // stride)
    return out, max((out - 1) * stride + (kernel - 1) * dilation + 1 - side, 0) // 2


def convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int, dilation: int) -> np.ndarray:
    size = len(kernel)
    (rows, top), (columns, left) = (same(side, size, stride, dilation) for side in x.shape[:2])
    result = np.tile(bias.astype(float), (rows, columns, 1))
    for i, v, u in product(range(rows), range(size), range(size)):
        y, z = i * stride + v * dilation - top, np.arange(columns) * stride + u * dilation - left
        inside = (z >= 0) & (z < x.shape[1])
        if 0 <= y < x.shape[0]:
            result[i, inside] += x[y, z[inside]] @ kernel[v, u]
    return result


def nearest(x: np.ndarray, by: int, corners: bool = True) -> np.ndarray:
    """TensorFlow's ``resize_nearest_neighbor``, with ``align_corners`` or without."""
    rows, columns = (
        [
            int(i * (side - 1) / (side // by - 1) + 0.5) if corners and side > by else i * by
            for i in range(side // by)
        ]
        for side in x.shape[:2]
    )
    return x[rows][:, columns]


def patch(x: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    """A square of the features, zero beyond their border."""
    result = np.zeros((size, size, x.shape[2]))
    for i, j in product(range(size), range(size)):
        if 0 <= top + i < x.shape[0] and 0 <= left + j < x.shape[1]:
            result[i, j] = x[top + i, left + j]
    return result


def neighbors_added(scores: np.ndarray) -> np.ndarray:
    result = np.zeros_like(scores)
    for i, j, d in product(range(len(scores)), range(len(scores)), (-1, 0, 1)):
        if 0 <= i + d < len(scores) and 0 <= j + d < len(scores):
            result[i, j] += scores[i + d, j + d]
    return result


def attended(x: np.ndarray, hole: np.ndarray, tensorflow: bool = True) -> np.ndarray:
    """Contextual attention as published, for one image: "h w c" and "h w 1"."""
    small, gone = nearest(x, 2, tensorflow), nearest(hole, 2, tensorflow)
    height, width = small.shape[:2]
    places = list(product(range(height), range(width)))
    patches = [patch(small, i - 1, j - 1, 3) for i, j in places]
    known = np.array([patch(gone, i - 1, j - 1, 3).mean() == 0 for i, j in places])
    if tensorflow:
        lengths = [max(np.sqrt((one**2).sum()), 1e-4) for one in patches]
    else:
        lengths = [np.sqrt((one**2 + 1e-4).sum()) for one in patches]
    scores = np.array(
        [[(a * b).sum() / length for b, length in zip(patches, lengths, strict=True)] for a in patches]
    )
    scores = neighbors_added(scores)
    by_column = [i * width + j for j in range(width) for i in range(height)]
    across = neighbors_added(scores[by_column][:, by_column])
    scores[np.ix_(by_column, by_column)] = across
    result = np.zeros((x.shape[0] + 2, x.shape[1] + 2, x.shape[2]))
    for (i, j), row in zip(places, scores, strict=True):
        weights = np.exp(10 * row * known - (10 * row * known).max())
        weights = weights / weights.sum() * known
        for (k, m), weight in zip(places, weights, strict=True):
            result[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += weight * patch(x, 2 * k - 1, 2 * m - 1, 4) / 4
    return result[1:-1, 1:-1]


def published_network(
    version: str, state: dict[str, Tensor], image: np.ndarray, hole: np.ndarray
) -> np.ndarray:
    """What the TensorFlow graph computes from an image "h w 3" (BGR, [-1, 1]) and a hole "h w 1"."""

    def run(x: np.ndarray, names: Iterable[str]) -> np.ndarray:
        for name in names:
            _, stride, dilation, *_ = ROWS[name]
            scope = f"inpaint_net/{name}/{name}_conv" if "upsample" in name else f"inpaint_net/{name}"
            kernel, bias = (state[f"{scope}/{kind}"].double().numpy() for kind in ("kernel", "bias"))
            x = x.repeat(2, 0).repeat(2, 1) if "upsample" in name else x
            x = convolved(x, kernel, bias, stride, dilation)
            if not name.endswith("conv17"):
                features, gate = (x, None) if version == "v1" else np.split(x, 2, 2)
                x = (
                    np.maximum(features, 0)
                    if name == "pmconv6"
                    else np.where(features > 0, features, np.expm1(features))
                )
                x = x if gate is None else x / (1 + np.exp(-gate))
        return x

    def starting(start: str) -> list[str]:
        return [name for name in ROWS if name.startswith(start)]

    def limited(x: np.ndarray) -> np.ndarray:
        return np.clip(x, -1, 1) if version == "v1" else np.tanh(x)

    told = np.concatenate([np.ones_like(hole), hole], 2)
    shown = image * (1 - hole)
    coarse = limited(run(np.concatenate([shown, told], 2), starting("conv")))
    pasted = coarse * hole + shown * (1 - hole)
    pasted = np.concatenate([pasted, told], 2) if version == "v1" else pasted
    matching = run(pasted, starting("pmconv")[:6])
    copied = attended(matching, nearest(hole, 4))
    assert copied.any()
    matched = run(copied, starting("pmconv")[6:])
    hallucinated = run(pasted, starting("xconv"))
    return limited(run(np.concatenate([hallucinated, matched], 2), starting("allconv")))


def last(x: Tensor) -> np.ndarray:
    """One image with its channels last, in double precision."""
    return x.movedim(0, -1).double().numpy()


# Contextual attention.


@st.composite
def attention_inputs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    count, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    height, width = (2 * draw(st.integers(1, 5)) for _ in range(2))
    generator = seeded(draw(st.integers(0, 10**6)))
    features = torch.randn(count, channels, height, width, generator=generator, dtype=torch.float64)
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    hole = (torch.rand(count, 1, height, width, generator=generator) < share).double()
    return 0.3 * features, hole


@settings(max_examples=40)
@given(attention_inputs(), st.booleans())
def test_attention_is_the_plain_loop_for_every_image_with_its_own_hole(inputs: Any, tensorflow: bool) -> None:
    result = ContextualAttention(tensorflow)(*inputs)
    for features, hole, one in zip(*inputs, result, strict=True):
        expected = attended(last(features), last(hole), tensorflow)
        assert np.allclose(last(one), expected, atol=1e-10)


def test_attention_of_a_batch_is_that_of_its_images() -> None:
    features = torch.randn(4, 6, 16, 12, generator=seeded())
    hole = (
        torch.rand(4, 1, 16, 12, generator=seeded(1))
        < torch.tensor([0.0, 0.05, 0.2, 1.0])[:, None, None, None]
    )
    together = ContextualAttention()(features, hole.float())
    alone = [ContextualAttention()(features[i : i + 1], hole[i : i + 1].float()) for i in range(4)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)
    assert not torch.allclose(
        together[1:2], ContextualAttention()(features[1:2], hole[2:3].float()), atol=1e-2
    )


def test_nothing_is_copied_where_everything_is_missing() -> None:
    features = torch.randn(1, 3, 8, 8, generator=seeded())
    assert not ContextualAttention()(features, torch.ones(1, 1, 8, 8)).any()


def test_attention_copies_only_what_is_observed() -> None:
    """Two colors; where the hole is, there is another, which must not come out anywhere."""
    features = torch.zeros(1, 3, 16, 16)
    features[:, 0, :, :8] = features[:, 1, :, 8:] = 1
    hole = torch.zeros(1, 1, 16, 16)
    hole[..., 4:10, 4:10] = 1
    features = torch.where(hole > 0, torch.tensor([0.0, 0.0, 1.0])[None, :, None, None], features)
    result = ContextualAttention()(features, hole)
    assert not result[:, 2].any()
    assert (result[:, :2].sum(1) > 0.1).all()


@pytest.mark.parametrize(("side", "by"), [(2, 2), (8, 2), (12, 4), (64, 2), (256, 4)])
def test_tensorflow_keeps_the_pixels_nearest_to_an_even_grid(side: int, by: int) -> None:
    ramp = torch.arange(side, dtype=torch.float64).expand(1, 1, 3 * by, -1)
    kept = shrunk(ramp, by, corners=True)[0, 0, 0].tolist()
    assert kept == nearest(np.arange(side)[None, :, None].repeat(by, 0), by)[0, :, 0].tolist()
    assert kept[-1] == (side - 1 if side > by else 0)
    assert shrunk(ramp, by, corners=False)[0, 0, 0].tolist() == list(range(0, side, by))


@given(st.integers(2, 200))
def test_doubling_with_corners_aligned_repeats_each_pixel(side: int) -> None:
    """Why the networks may double with ``mode="nearest"`` although TensorFlow aligned the corners."""
    grid = [(2 * i * (side - 1) + 2 * side - 1) // (2 * (2 * side - 1)) for i in range(2 * side)]
    assert grid == [i // 2 for i in range(2 * side)]


def test_attention_needs_even_sides() -> None:
    with pytest.raises(ValueError, match=r"`features` must have even sides, got \(1, 2, 4, 5\)"):
        ContextualAttention()(torch.zeros(1, 2, 4, 5), torch.zeros(1, 1, 4, 5))


# The networks.


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2, 16])
@pytest.mark.parametrize("tensorflow", [True, False], ids=["tensorflow", "pytorch"])
def test_convolutions_pad_as_their_library(kernel: int, stride: int, dilation: int, tensorflow: bool) -> None:
    layer = Layer("one", 0, kernel, stride, dilation)
    with torch.random.fork_rng(devices=[]):
        convolution = Convolution(2, layer, 4, False, tensorflow).double()
    x = torch.randn(1, 2, 12, 9, generator=seeded(), dtype=torch.float64)
    weight, bias = convolution.weight.detach(), convolution.bias.detach()
    if tensorflow:
        expected = convolved(last(x[0]), weight.permute(2, 3, 1, 0).numpy(), bias.numpy(), stride, dilation)
    else:
        expected = last(F.conv2d(x, weight, bias, stride, dilation * (kernel - 1) // 2, dilation)[0])
    assert np.allclose(last(convolution(x)[0].detach()), expected, atol=1e-12)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_networks_have_the_published_layers(version: str) -> None:
    with torch.device("meta"):
        network = DeepFill(version)
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, Convolution)}
    assert [name.split(".")[1] for name in layers] == list(ROWS)
    for layer, (kernel, stride, dilation, *channels) in zip(layers.values(), ROWS.values(), strict=True):
        inward, outward = channels[:2] if version == "v1" else channels[2:]
        assert layer.weight.shape == (outward, inward, kernel, kernel)
        assert (layer.stride, layer.dilation) == ((stride, stride), (dilation, dilation))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_published_checkpoint_computes_what_the_published_graph_does(version: str, tmp_path: Path) -> None:
    state = published_weights(version)
    write_bundle(tmp_path / "snap-0", state)
    network = deepfill.load(tmp_path / "snap-0", version).network.double()
    image, hole = example(40, 48)
    result = last(network(image.double(), hole.double())[0])
    expected = published_network(version, state, last(image[0])[..., ::-1], last(hole[0]))[..., ::-1]
    assert np.allclose(result, expected, atol=1e-9)
    assert 0.05 < expected.std() < 0.9, "numbers that are all cut off prove nothing"


def narrow(version: str, tensorflow: bool = True) -> DeepFill:
    """A network with few features, in which every input matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DeepFill(version, width=4, tensorflow=tensorflow)
        for layer in network.modules():
            if isinstance(layer, Convolution):
                nn.init.normal_(layer.weight, std=1.4 / layer.weight[0].numel() ** 0.5)
                nn.init.normal_(layer.bias, std=0.2)
    return network.eval().requires_grad_(False)


both = pytest.mark.parametrize("version", VERSIONS)


@both
@pytest.mark.parametrize("tensorflow", [True, False], ids=["tensorflow", "pytorch"])
def test_what_lies_under_the_hole_is_not_looked_at(version: str, tensorflow: bool) -> None:
    network, (image, hole) = narrow(version, tensorflow), example(32, 48, 2)
    secret = torch.where(hole > 0, torch.rand(image.shape, generator=seeded(5)), image)
    result = network(image, hole)
    assert torch.equal(result, network(secret, hole))
    assert not torch.equal(result, network(image.flip(3), hole))
    assert not torch.equal(result, network(image, hole.flip(3)))
    assert result.abs().max() <= 1


@both
def test_sides_must_be_multiples_of_eight(version: str) -> None:
    with pytest.raises(
        ValueError, match=r"`image` must have sides that are multiples of 8, got \(1, 3, 16, 20\)"
    ):
        narrow(version)(torch.zeros(1, 3, 16, 20), torch.zeros(1, 1, 16, 20))


# As a filler.


def filler(version: str, size: int | None = 32) -> Learned:
    i = Inpainter(narrow(version), size=size, multiple=8 if size is None else 1, value_range=(-1.0, 1.0))
    return adapted(i)


def all_holes(height: int, width: int) -> Tensor:
    """A rectangle, scattered pixels, everything, nothing."""
    hole = torch.zeros(4, 1, height, width)
    hole[0, :, height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = 1
    hole[1] = (torch.rand(1, height, width, generator=seeded()) < 0.3).float()
    hole[2] = 1
    return hole


@both
@settings(max_examples=5)
@given(height=st.integers(1, 50), width=st.integers(1, 50), native=st.sampled_from([32, None]))
def test_any_image_is_filled(
    version: str, height: int, width: int, native: int | None, smooth_image: Any
) -> None:
    fill_in, image, hole = filler(version, native), smooth_image(height, width), all_holes(height, width)
    fill = fill_in(image, hole)
    assert fill.shape == (4, 3, height, width)
    assert fill.isfinite().all()
    assert fill.min() >= 0
    assert fill.max() <= 1 + 1e-6  # v1 paints with full 1s, and resizing them rounds
    perturbed = composite(image, hole, fill)
    observed = (hole == 0).expand_as(perturbed)
    assert torch.equal(perturbed[observed], image.expand_as(perturbed)[observed])
    lies = torch.where(hole > 0, torch.rand(hole.shape, generator=seeded(1)), image)
    hidden = ~observed
    assert torch.equal(fill_in(lies, hole)[hidden], fill[hidden])


@both
@pytest.mark.parametrize("chunk", [1, 3])
def test_neighbors_in_a_batch_do_not_matter(version: str, chunk: int, smooth_image: Any) -> None:
    fill_in, hole = filler(version), all_holes(20, 28)
    image = torch.cat([smooth_image(20, 28, seed) for seed in range(4)])
    whole = fill_in(image, hole)
    parts = [fill_in(image[i : i + chunk], hole[i : i + chunk]) for i in range(0, 4, chunk)]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)
    assert torch.equal(fill_in(image, hole), whole)
    assert torch.allclose(whole[:1], fill_in(image[:1], hole[:1]), atol=1e-5)
    assert not torch.allclose(whole[0], fill_in(image[:1], hole[1:2])[0], atol=1e-3)


@both
def test_half_precision_fills_about_the_same(version: str, smooth_image: Any) -> None:
    fill_in, image, hole = filler(version), smooth_image(32, 32), all_holes(32, 32)
    half = replace(fill_in, precision="bfloat16")(image, hole)
    assert (half - fill_in(image, hole)).abs().mean() < 0.02


@both
def test_a_loaded_checkpoint_fills_at_its_native_size(
    version: str, tmp_path: Path, smooth_image: Any
) -> None:
    path = tmp_path / "generator.pth"
    torch.save(converted(published_weights(version)), path)
    loaded = deepfill.load(str(path), version)
    assert (loaded.size, loaded.value_range, loaded.blank, loaded.stochastic) == (
        256,
        (-1.0, 1.0),
        0.0,
        False,
    )
    assert not loaded.network.training
    assert not any(parameter.requires_grad for parameter in loaded.network.parameters())
    image, hole = smooth_image(40, 56), all_holes(40, 56)[:1]
    fill = adapted(loaded)(image, hole)
    assert fill.shape == image.shape
    assert fill.isfinite().all()
    assert fill[hole.expand_as(fill) > 0].std() > 0.01


def test_the_hole_is_what_the_published_attribution_code_makes_of_it(tmp_path: Path) -> None:
    """A patch of 29 px at 224 has 33 px at 256, where the resized keep mask is below one half."""
    torch.save(converted(published_weights("v1")), tmp_path / "generator.pth")
    seen = []

    def spy(image: Tensor, hole: Tensor) -> Tensor:
        seen.append((image, hole))
        return image

    loaded = replace(deepfill.load(tmp_path / "generator.pth", "v1"), network=spy)
    hole = torch.zeros(3, 1, 224, 224)
    hole[0, :, 60:89, 98:127] = 1
    hole[1, :, 0:29, 195:224] = 1
    hole[2] = (torch.rand(1, 224, 224, generator=seeded()) < 0.5).float()
    image = torch.rand(1, 3, 224, 224, generator=seeded(1))
    adapted(loaded)(image, hole)
    expected = F.interpolate(1 - hole, (256, 256), mode="bilinear", align_corners=False) < 0.5
    shown, holes = seen[0]
    assert torch.equal(holes > 0, expected)
    assert holes.sum(dim=(1, 2, 3))[0] == 33 * 33 == 1089
    lies = torch.where(hole > 0, 1 - image, image)
    for index in range(3):
        adapted(loaded)(lies[index : index + 1], hole[index : index + 1])
        torch.testing.assert_close(seen[-1][0][0], shown[index], rtol=0, atol=1e-5)


# Layouts of the weights.


def full(version: str) -> dict[str, Tensor]:
    return converted(published_weights(version))


@both
def test_converted_weights_are_rgb_and_tensorflow_bgr(version: str, tmp_path: Path) -> None:
    state = published_weights(version)
    write_bundle(tmp_path / "snap-0", state)
    torch.save({"G": converted(state), "n_iter": 3}, tmp_path / "states.pth")
    from_tensorflow = deepfill.load(tmp_path / "snap-0.index", version).network
    from_pytorch = deepfill.load(tmp_path / "states.pth", version).network
    image, hole = example(16, 24)
    expected = from_pytorch(image.flip(1), hole).flip(1)
    assert torch.allclose(from_tensorflow(image, hole), expected, atol=1e-5)
    assert not torch.allclose(from_pytorch(image, hole), expected, atol=1e-2)


@both
@pytest.mark.parametrize("tensorflow", [True, False], ids=["tensorflow", "pytorch"])
def test_our_own_layout_brings_everything_back(version: str, tensorflow: bool, tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        network = DeepFill(version, tensorflow=tensorflow).eval()
    path = tmp_path / "deepfill.safetensors"
    deepfill_checkpoints.save(network, path)
    image, hole = example(16, 16)
    with torch.no_grad():
        assert torch.equal(deepfill.load(path, version).network(image, hole), network(image, hole))


def test_networks_trained_in_pytorch_keep_its_conventions(tmp_path: Path) -> None:
    values = list(full("v2").values())
    names = [f"{name}.conv.{kind}" for name in RETRAINED for kind in ("weight", "bias")]
    torch.save({"G": dict(zip(names, values, strict=True))}, tmp_path / "states_pt.pth")
    network = deepfill.load(tmp_path / "states_pt.pth", "v2").network
    expected = DeepFill("v2", tensorflow=False).eval()
    expected.load_state_dict(dict(zip(expected.state_dict(), values, strict=True)))
    image, hole = example(16, 24)
    with torch.no_grad():
        assert torch.equal(network(image, hole), expected(image, hole))
    torch.save(full("v2"), tmp_path / "states_tf.pth")
    other = deepfill.load(tmp_path / "states_tf.pth", "v2").network
    assert not torch.allclose(network(image, hole), other(image, hole), atol=1e-3)


def test_loading_leaves_the_callers_random_numbers_alone(tmp_path: Path) -> None:
    torch.save(full("v1"), tmp_path / "g.pth")
    before = torch.random.get_rng_state()
    deepfill.load(tmp_path / "g.pth", "v1")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_files_of_the_other_version_are_refused(tmp_path: Path, unchecked_shapes: None) -> None:
    torch.save(full("v2"), tmp_path / "g.pth")
    message = r"g\.pth does not fit DeepFill v1: it has coarse\.conv1\.weight 48x5x5x5 instead of 32x5x5x5"
    with pytest.raises(ValueError, match=message):
        deepfill.load(tmp_path / "g.pth", "v1")
    with pytest.raises(ValueError, match="version: expected one of v1, v2, got 'v3'"):
        deepfill.load(tmp_path / "g.pth", "v3")


@pytest.mark.parametrize("layout", ["converted", "ours", "tensorflow"])
def test_the_first_missing_and_unexpected_tensors_are_named(layout: str, tmp_path: Path) -> None:
    state = published_weights("v1")
    state["inpaint_net/extra/kernel"] = state.pop("inpaint_net/pmconv9/kernel")
    path, extra = tmp_path / "g.pth", "extra.conv.weight"
    if layout == "tensorflow":
        path, extra = tmp_path / "snap-0", "inpaint_net/extra/kernel"
        write_bundle(path, state)
    elif layout == "converted":
        torch.save(converted(state), path)
    else:
        path, extra = tmp_path / "g.safetensors", "extra.weight"
        with torch.random.fork_rng(devices=[]):
            deepfill_checkpoints.save(DeepFill("v1"), path)
        ours = load_file(path)
        ours["extra.weight"] = ours.pop("matched.pmconv9.weight")
        save_file(ours, path)
    message = f"does not fit DeepFill v1: it lacks matched.pmconv9.weight; it has unexpected {extra}$"
    with pytest.raises(ValueError, match=message):
        deepfill.load(path, "v1")


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors", "snap-0", "snap-0.index"])
def test_missing_files_are_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"weights: no such file: .*{name}$"):
        deepfill.load(tmp_path / name)


@pytest.mark.parametrize("content", [{}, {"G": {"a": 1}}, {"D": {"a": torch.ones(1)}}, [torch.ones(1)]])
def test_files_without_a_generator_are_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "g.pth")
    with pytest.raises(ValueError, match=r"weights: .*g\.pth holds no state dict"):
        deepfill.load(tmp_path / "g.pth")


def test_pickled_models_are_not_unpickled(tmp_path: Path) -> None:
    torch.save({"G": nn.Identity()}, tmp_path / "g.pth")
    with pytest.raises(ValueError, match="holds a pickled model"):
        deepfill.load(tmp_path / "g.pth")


# TensorFlow's files, written byte by byte: a LevelDB table of protocol buffers, and raw numbers.


def varint(number: int) -> bytes:
    result = bytearray()
    while number > 127:
        result.append(number & 127 | 128)
        number >>= 7
    return bytes([*result, number])


def field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer; numbers that are 0 are not written."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value) if value else b""


def crc32c(data: bytes) -> int:
    """Division by the polynomial 0x1EDC6F41, bits of a byte from the lowest up."""
    remainder = 0xFFFFFFFF
    for bit in (byte >> i & 1 for byte in data for i in range(8)):
        top = remainder >> 31
        remainder = (remainder << 1 & 0xFFFFFFFF) ^ (0x1EDC6F41 if top ^ bit else 0)
    return int(f"{remainder ^ 0xFFFFFFFF:032b}"[::-1], 2)


def stored(block: bytes, kind: int = 0) -> bytes:
    """A block with its kind of compression and its masked checksum."""
    crc = crc32c(block + bytes([kind]))
    masked = ((crc >> 15) | (crc << 17 & 0xFFFFFFFF)) + 0xA282EAD8 & 0xFFFFFFFF
    return block + bytes([kind]) + struct.pack("<I", masked)


def block(entries: Iterable[tuple[bytes, bytes]], interval: int = 16) -> bytes:
    """Entries whose keys leave out what they share with the one before, except at restarts."""
    result, restarts, before = b"", [], b""
    for index, (key, value) in enumerate(entries):
        if index % interval == 0:
            restarts.append(len(result))
            before = b""
        shared = next(
            (i for i, (a, b) in enumerate(zip(before, key, strict=False)) if a != b),
            min(len(before), len(key)),
        )
        result += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return result + struct.pack(f"<{len(restarts or [0]) + 1}I", *(restarts or [0]), len(restarts or [0]))


def table(entries: dict[bytes, bytes], kind: int = 0) -> bytes:
    """A table of blocks of seven entries, an index of them, and the footer."""
    ordered, file, handles = sorted(entries.items()), b"", {}
    for start in range(0, len(ordered), 7):
        part = ordered[start : start + 7]
        content = block(part, interval=3)
        handles[part[-1][0]] = varint(len(file)) + varint(len(content))
        file += stored(content, kind)
    places = []
    for content in (block([]), block(handles.items(), interval=1)):
        places.append(varint(len(file)) + varint(len(content)))
        file += stored(content)
    return file + b"".join(places).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def bundle(
    state: dict[str, Tensor], shards: int = 1, **more: bytes
) -> tuple[dict[bytes, bytes], list[bytes]]:
    """The entries of the index, and the data files."""
    types = {torch.float32: 1, torch.float64: 2, torch.int64: 9, torch.float16: 19}
    entries, data = {b"": field(1, shards) + field(3, field(1, 1))}, [b""] * shards
    for index, (name, value) in enumerate(state.items()):
        shard = index % shards
        shape = b"".join(field(2, field(1, side)) for side in value.shape)
        content = value.contiguous().numpy().tobytes()
        place = field(3, shard) + field(4, len(data[shard])) + field(5, len(content))
        entries[name.encode()] = field(1, types[value.dtype]) + field(2, shape) + place + b"\x35abcd"
        data[shard] += content
    return entries | {name.encode(): value for name, value in more.items()}, data


def write_bundle(path: Path, state: dict[str, Tensor], shards: int = 1, kind: int = 0, **more: bytes) -> None:
    entries, data = bundle(state, shards, **more)
    path.with_name(f"{path.name}.index").write_bytes(table(entries, kind))
    for shard, content in enumerate(data):
        path.with_name(f"{path.name}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)


def everything(name: str) -> bool:
    return True


def test_the_tests_own_checksum_is_the_published_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


@st.composite
def states(draw: st.DrawFn) -> dict[str, Tensor]:
    names = draw(st.lists(st.text("ab/_1", min_size=1, max_size=12), unique=True, min_size=1, max_size=30))
    types = st.sampled_from([torch.float32, torch.float64, torch.float16])
    shapes = st.lists(st.integers(1, 200), max_size=2)
    return {
        name: torch.randn(draw(shapes), generator=seeded(index)).to(draw(types))
        for index, name in enumerate(names)
    }


@settings(max_examples=15)
@given(states(), st.integers(1, 3))
def test_bundles_give_back_what_was_written(
    tmp_path_factory: Any, state: dict[str, Tensor], shards: int
) -> None:
    path = tmp_path_factory.mktemp("bundle") / "model.ckpt-7"
    write_bundle(path, state, shards)
    data = path.with_name(f"model.ckpt-7.data-00000-of-{shards:05d}")
    for given_path in (path, path.with_name("model.ckpt-7.index"), data, path.parent):
        read = read_bundle(given_path, everything)
        assert read.keys() == state.keys()
        assert all(
            torch.equal(read[name], value) and read[name].dtype == value.dtype
            for name, value in state.items()
        )
    first = next(iter(state))
    assert read_bundle(path, lambda name: name == first).keys() == {first}


def test_what_only_training_needs_is_not_read(tmp_path: Path) -> None:
    state = published_weights("v1")
    training = {
        "inpaint_net/conv1/kernel/Adam": torch.ones(2),
        "discriminator/conv1/kernel": torch.ones(3),
        "global_step": torch.tensor(7),
    }
    write_bundle(tmp_path / "snap-0", {**state, **training})
    path = tmp_path / "snap-0.data-00000-of-00001"
    assert deepfill.load(path).network.coarse.conv1.weight.shape == (32, 5, 5, 5)


def damaged(file: bytes) -> Iterator[bytes]:
    """Files cut off, and files with a byte changed, anywhere."""
    for place in range(0, len(file), 7):
        yield file[:place]
        yield file[:place] + bytes([file[place] ^ 0x5A]) + file[place + 1 :]


def test_damaged_indices_are_refused(tmp_path: Path) -> None:
    state = {"a/bias": torch.ones(3), "a/kernel": torch.ones(2, 3), "b": torch.ones(())}
    path = tmp_path / "snap-0"
    write_bundle(path, state)
    index = tmp_path / "snap-0.index"
    whole = index.read_bytes()
    meta = whole.index(stored(block([])))  # a block that nobody reads, and most of the footer is padding
    idle = [*range(meta, meta + len(stored(block([])))), *range(len(whole) - 48, len(whole) - 8)]
    refused = 0
    for file in damaged(whole):
        index.write_bytes(file)
        changed = [i for i in range(len(file)) if file[i] != whole[i]]
        if len(file) == len(whole) and changed[0] in idle and not reason(path):
            continue
        assert reason(path).startswith(f"weights: {index} is damaged or no TensorFlow checkpoint (")
        refused += 1
    assert refused > 40


def reason(path: Path) -> str:
    """Why the bundle is refused; nothing if it is not, and then it must be what was written."""
    try:
        read = read_bundle(path, everything)
    except ValueError as error:
        return str(error)
    return "" if [value.sum().item() for value in read.values()] == [3, 6, 1] else "other numbers"


def test_damaged_data_are_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "snap-0", {"a": torch.ones(2), "b": torch.ones(5)})
    data = tmp_path / "snap-0.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"snap-0\.data-00000-of-00001 is damaged: it ends before b does"):
        read_bundle(tmp_path / "snap-0", everything)
    data.unlink()
    with pytest.raises(ValueError, match=r"no such file: .*snap-0\.data-00000-of-00001"):
        read_bundle(tmp_path / "snap-0", everything)


SHAPE = field(2, field(2, field(1, 2)))
FAULTS = {
    "big-endian": ({"": field(1, 1) + field(2, 1)}, "it is big-endian"),
    "integers": ({"x": field(1, 9) + SHAPE + field(5, 16)}, "x is partitioned, or no floating point tensor"),
    "partitioned": (
        {"x": field(1, 1) + SHAPE + field(7, b"")},
        "x is partitioned, or no floating point tensor",
    ),
    "size": ({"x": field(1, 1) + SHAPE + field(5, 12)}, r"x has 12 bytes for a shape of \[2\]"),
    "group": ({"x": b"\x0b"}, "a protocol buffer has a field of kind 3"),
    "number": ({"x": field(1, b"no")}, "field 1 is no number"),
    "message": ({"x": field(1, 1) + field(2, 5)}, "a field is no message"),
}


@pytest.mark.parametrize(("entry", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_entries_that_cannot_be_read_are_refused(
    entry: dict[str, bytes], reason: str, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "snap-0", {"a": torch.ones(2)}, **entry)
    with pytest.raises(ValueError, match=rf"is damaged or no TensorFlow checkpoint \({reason}\)"):
        read_bundle(tmp_path / "snap-0", everything)


def test_compressed_and_headless_tables_are_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "snap-0", {"a": torch.ones(2)}, kind=1)
    with pytest.raises(ValueError, match=r"\(it is compressed\)"):
        read_bundle(tmp_path / "snap-0", everything)
    (tmp_path / "snap-0.index").write_bytes(table({b"a": b""}))
    with pytest.raises(ValueError, match=r"\(it has no header\)"):
        read_bundle(tmp_path / "snap-0", everything)


def test_a_folder_must_hold_one_bundle(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected one \.index file in the folder .*, got 0"):
        deepfill.load(tmp_path)
    for name in ("snap-0", "snap-1"):
        write_bundle(tmp_path / name, {"a": torch.ones(2)})
    with pytest.raises(ValueError, match=r"expected one \.index file in the folder .*, got 2"):
        deepfill.load(tmp_path)
