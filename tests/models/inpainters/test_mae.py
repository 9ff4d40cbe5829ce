"""Masked autoencoders: what they are shown, what they predict, and which folders they come in."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from promises import adapted, check_promises, random_holes
from safetensors.torch import load_file, save_file
from tiny_mae import CELLS, MEAN, PATCH, SIDE, STD, save_model
from torch import Tensor

from models.inpainters import mae
from models.inpainters.inpainter import Inpainter


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("mae")
    return {
        "plain": save_model(place / "plain"),
        "normalized": save_model(place / "normalized", norm_pix_loss=True),
    }


@pytest.fixture(scope="module")
def inpainters(folders: dict[str, Path]) -> dict[str, Inpainter]:
    return {name: mae.load(folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def network(inpainters: dict[str, Inpainter]) -> mae.MaskedAutoencoder:
    found = inpainters["plain"].network
    assert isinstance(found, mae.MaskedAutoencoder)
    return found


@pytest.fixture
def folder(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A folder of one's own, to change."""
    return Path(shutil.copytree(folders["plain"], tmp_path / "mae"))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def library(folders: dict[str, Path]) -> Any:
    """The same network as transformers loads it."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    found = transformers.ViTMAEForPreTraining.from_pretrained(folders["plain"]).eval()
    transformers.utils.logging.enable_progress_bar()
    return found


def holes(*hidden: int | list[int]) -> Tensor:
    """Holes of whole patches, each given by the numbers of its patches."""
    grid = torch.zeros(len(hidden), CELLS * CELLS)
    for row, patches in zip(grid, hidden, strict=True):
        row[patches] = 1
    grid = grid.view(-1, 1, CELLS, CELLS)
    return grid.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)


def normalized(image: Tensor) -> Tensor:
    return (image - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def to_pixels(library: Any, patches: Tensor) -> Tensor:
    """Patches as an image in [0, 1]."""
    image = library.unpatchify(patches)
    return (image * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]).clamp(0, 1)


def by_hand(library: Any, image: Tensor, hidden: list[int]) -> Tensor:
    """Predict all patches of one image, token by token."""
    vit, decoder = library.vit, library.decoder
    visible = [cell for cell in range(CELLS * CELLS) if cell not in hidden]
    positions = vit.embeddings.position_embeddings[0]
    tokens = [vit.embeddings.cls_token[0, 0] + positions[0]]
    kernel = vit.embeddings.patch_embeddings.projection
    for cell in visible:
        top, left = cell // CELLS * PATCH, cell % CELLS * PATCH
        patch = normalized(image)[0, :, top : top + PATCH, left : left + PATCH]
        tokens.append(kernel.weight.flatten(1) @ patch.flatten() + kernel.bias + positions[1 + cell])
    x = torch.stack(tokens)[None]
    for layer in vit.layers:
        x = layer(x)
    seen = decoder.decoder_embed(vit.layernorm(x))[0]
    rows = [seen[0]] + [decoder.mask_token[0, 0]] * CELLS * CELLS
    for order, cell in enumerate(visible):
        rows[1 + cell] = seen[1 + order]
    x = (torch.stack(rows) + decoder.decoder_pos_embed[0])[None]
    for layer in decoder.decoder_layers:
        x = layer(x)
    return decoder.decoder_pred(decoder.decoder_norm(x))[:, 1:]


def picture(seed: int = 0, count: int = 1) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=seeded(seed))


# What is predicted.


@pytest.mark.parametrize("hidden", [[3], [0, 5, 15], [*range(13)], [*range(15)], [*range(16)]], ids=len)
def test_a_hole_is_filled_as_by_hand(hidden: list[int], network: mae.MaskedAutoencoder, library: Any) -> None:
    image, hole = picture(), holes(hidden)
    with torch.no_grad():
        expected = to_pixels(library, by_hand(library, image, hidden))
        fill = network(image, hole)
    assert expected.std() > 0.05
    torch.testing.assert_close(fill * hole, expected * hole, rtol=0, atol=1e-5)
    assert torch.equal(fill * (1 - hole), image * (1 - hole))


def test_the_librarys_own_forward_gives_the_same(network: mae.MaskedAutoencoder, library: Any) -> None:
    """It hides three quarters of the patches, those with the most noise."""
    images = picture(count=3)
    noise = torch.rand(3, CELLS * CELLS, generator=seeded(1))
    with torch.no_grad():
        outputs = library(normalized(images), noise=noise)
        hidden = [row.nonzero().flatten().tolist() for row in outputs.mask]
        fill = network(images, holes(*hidden))
    assert [len(row) for row in hidden] == [12] * 3
    hole = holes(*hidden)
    expected = to_pixels(library, outputs.logits)
    torch.testing.assert_close(fill * hole, expected * hole, rtol=0, atol=1e-5)


def test_images_with_more_and_less_hidden_share_a_batch(network: mae.MaskedAutoencoder) -> None:
    hidden = [[], [7], list(range(16)), [1, 2], [0, 15], [*range(3, 16)], [], [8]]
    images, hole = picture(count=len(hidden)), holes(*hidden)
    alone = [network(image[None], one[None]) for image, one in zip(images, hole, strict=True)]
    torch.testing.assert_close(network(images, hole), torch.cat(alone), rtol=0, atol=1e-5)


def test_the_place_of_a_patch_matters(network: mae.MaskedAutoencoder) -> None:
    image = picture()
    moved = image.clone()
    moved[..., :PATCH, :PATCH], moved[..., -PATCH:, -PATCH:] = (
        image[..., -PATCH:, -PATCH:],
        image[..., :PATCH, :PATCH],
    )
    hole = holes([5])
    assert ((network(image, hole) - network(moved, hole)) * hole).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["plain", "normalized"])
def test_with_nothing_hidden_the_image_comes_back(name: str, inpainters: dict[str, Inpainter]) -> None:
    images = picture(count=2)
    assert torch.equal(inpainters[name].network(images, torch.zeros(2, 1, SIDE, SIDE)), images)


@pytest.mark.parametrize("name", ["plain", "normalized"])
def test_with_all_hidden_the_image_does_not_matter(name: str, inpainters: dict[str, Inpainter]) -> None:
    fill = inpainters[name].network(picture(count=2), torch.ones(2, 1, SIDE, SIDE))
    assert fill.isfinite().all()
    assert fill.std() > 0.05
    torch.testing.assert_close(fill[0], fill[1], rtol=0, atol=1e-6)


@settings(max_examples=15)
@given(pixels=st.sets(st.tuples(st.integers(0, 31), st.integers(0, 31)), min_size=1, max_size=6))
@pytest.mark.parametrize("name", ["plain", "normalized"])
def test_a_patch_with_a_hidden_pixel_is_hidden(
    name: str, pixels: set[tuple[int, int]], inpainters: dict[str, Inpainter]
) -> None:
    network = inpainters[name].network
    hole = torch.zeros(1, 1, SIDE, SIDE)
    for y, x in pixels:
        hole[..., y, x] = 1
    whole = holes(sorted({y // PATCH * CELLS + x // PATCH for y, x in pixels}))
    image = picture()
    fill = network(image, hole)
    assert torch.equal(fill, network(torch.where(whole > 0, picture(1), image), whole))
    assert torch.equal(fill * (1 - whole), image * (1 - whole))


# Networks that predict normalized patches.


@settings(max_examples=15)
@given(hidden=st.sets(st.integers(0, 15), min_size=1, max_size=15), seed=st.integers(0, 10**6))
def test_hidden_patches_are_scaled_like_the_visible_ones_near_them(
    hidden: set[int], seed: int, inpainters: dict[str, Inpainter], library: Any
) -> None:
    image = 0.3 + 0.4 * picture(seed)
    network, order = inpainters["normalized"].network, sorted(hidden)
    with torch.no_grad():
        patches = by_hand(library, image, order)  # the weights are the same
        fill = network(image, holes(order))
    truth = library.patchify(normalized(image))[0]
    for cell in order:
        mean = std = total = 0.0
        for other in set(range(16)) - hidden:
            distance = math.hypot(cell // CELLS - other // CELLS, cell % CELLS - other % CELLS)
            total += distance**-4
            mean += truth[other].mean().item() * distance**-4
            std += (truth[other].var().item() + 1e-6) ** 0.5 * distance**-4
        patches[0, cell] = patches[0, cell] * std / total + mean / total
    hole = holes(order)
    torch.testing.assert_close(fill * hole, to_pixels(library, patches) * hole, rtol=0, atol=1e-5)


def test_flat_surroundings_make_a_flat_fill(inpainters: dict[str, Inpainter]) -> None:
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    gray = mean + 0.8 * std  # as the network sees it
    image, hole = gray.expand(1, 3, SIDE, SIDE).clone(), holes([5, 6])
    fill = inpainters["normalized"].network(image, hole)
    torch.testing.assert_close(fill, image, rtol=0, atol=0.01)
    plain = inpainters["plain"].network(image, hole)
    assert (plain - image).abs().max() > 0.1


def test_with_all_hidden_patches_are_scaled_like_all_images(
    inpainters: dict[str, Inpainter], library: Any
) -> None:
    with torch.no_grad():
        expected = to_pixels(library, by_hand(library, picture(), list(range(16))))
    fill = inpainters["normalized"].network(picture(), torch.ones(1, 1, SIDE, SIDE))
    torch.testing.assert_close(fill, expected, rtol=0, atol=1e-5)


# The folders.


def change(folder: Path, file: str, **changes: Any) -> None:
    content = json.loads((folder / file).read_text()) | changes
    (folder / file).write_text(json.dumps(content))


def test_an_inpainter_says_what_it_needs(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = torch.get_rng_state()
    inpainter = mae.load(str(folder))
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")
    assert (inpainter.size, inpainter.multiple, inpainter.value_range) == (SIDE, 1, (0.0, 1.0))
    assert not inpainter.stochastic
    assert not inpainter.network.training
    assert not any(value.requires_grad for value in inpainter.network.parameters())


OLD = {
    "vit.layers.": "vit.encoder.layer.",
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
    "decoder_encoder.layer.": "decoder_layers.",  # what transformers 5 makes of it when it saves
}
"""Names of other times, and those in facebook/vit-mae-base."""


def test_folders_as_they_were_published(folder: Path, network: mae.MaskedAutoencoder) -> None:
    state = load_file(folder / "model.safetensors")
    renamed = {}
    for name, value in state.items():
        for new, old in OLD.items():
            name = name.replace(new, old)
        renamed[name] = value
    assert "vit.encoder.layer.1.attention.attention.query.weight" in renamed
    assert "decoder.decoder_layers.1.attention.output.dense.bias" in renamed
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})
    settings = {"do_normalize": True, "do_resize": True, "image_mean": MEAN, "image_std": STD}
    settings |= {"_processor_class": None, "resample": 2, "size": SIDE}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    image, hole = picture(), holes([1, 2, 9])
    again = mae.load(folder).network
    torch.testing.assert_close(again(image, hole), network(image, hole), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "scale", "shift"),
    [
        ({"do_normalize": False}, 1.0, 0.0),
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}, 0.25, 0.5),
        ({"rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": [0.5] * 3}, 0.25, 0.5),
    ],
)
def test_images_are_normalized_as_the_processor_says(
    changes: dict[str, Any], scale: float, shift: float, folder: Path, network: mae.MaskedAutoencoder
) -> None:
    change(folder, "preprocessor_config.json", **changes)
    other = mae.load(folder).network
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    image, hole = picture(), holes([1, 2, 9])
    expected = (network((image - shift) / scale * std + mean, hole) - mean) / std
    inside = (expected - (0 - mean) / std > 1e-4) & (expected - (1 - mean) / std < -1e-4)  # not clamped
    hidden = inside & (hole > 0)
    assert hidden.float().sum() > 100
    found = other(image, hole)
    wanted = (expected * scale + shift).clamp(0, 1)
    torch.testing.assert_close(found[hidden], wanted[hidden], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 36}, "got image_size 36, patch_size 8, num_channels 3"),
        ({"num_channels": 1}, "got image_size 32, patch_size 8, num_channels 1"),
        ({"image_size": [32, 32]}, r"got image_size \[32, 32\]"),
    ],
)
def test_other_shapes_of_images_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = save_model(tmp_path / "odd", **options)
    with pytest.raises(ValueError, match=f"filler: mae:{path}: expected square images .*{message}"):
        mae.load(path)


def test_processors_that_make_no_sense_are_refused(folder: Path) -> None:
    change(folder, "preprocessor_config.json", image_std=[0.2, 0.0, 0.2])
    with pytest.raises(ValueError, match="expected three means and three std > 0"):
        mae.load(folder)
    change(folder, "preprocessor_config.json", image_mean="gray", image_std=[0.2, 0.2, 0.2])
    with pytest.raises(ValueError, match=f"filler: mae:{folder}: cannot follow its image processor: "):
        mae.load(folder)


def test_an_encoder_alone_is_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    encoder = {name: value for name, value in state.items() if name.startswith("vit.")}
    save_file(encoder, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"does not fit ViTMAEForPreTraining: it lacks decoder\."):
        mae.load(folder)


@pytest.mark.parametrize("what", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_folders_that_lack_a_file_are_refused(what: str, folder: Path) -> None:
    (folder / what).unlink()
    with pytest.raises(ValueError, match=f"filler: {folder} holds no masked autoencoder"):
        mae.load(folder)


def test_without_a_connection_the_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="filler: mae:someone/mae is no folder") as caught:
        mae.load("someone/mae")
    assert "'hf download someone/mae --local-dir FOLDER', then use mae:FOLDER" in str(caught.value)
    with pytest.raises(ValueError, match=f"filler: mae:{tmp_path}/missing: no such folder"):
        mae.load(tmp_path / "missing")


def test_other_sizes_are_refused(network: mae.MaskedAutoencoder) -> None:
    with pytest.raises(ValueError, match=r"must be of 32 x 32, got \(1, 3, 32, 40\)"):
        network(torch.rand(1, 3, 32, 40), torch.ones(1, 1, 32, 40))


# What every inpainter promises.


@pytest.mark.parametrize("name", ["plain", "normalized"])
@settings(max_examples=8)
@given(height=st.integers(1, 50), width=st.integers(1, 50), seed=st.integers(0, 10**6))
def test_the_fillers_contract_holds(
    name: str, height: int, width: int, seed: int, inpainters: dict[str, Inpainter], smooth_image: Any
) -> None:
    filler = adapted(inpainters[name])
    check_promises(filler, smooth_image(height, width, seed), random_holes(height, width, seed))


@pytest.mark.parametrize("name", ["plain", "normalized"])
def test_in_bfloat16_the_fill_is_about_the_same(name: str, inpainters: dict[str, Inpainter]) -> None:
    hole = torch.cat([holes([0, 1, 6]), holes([5])])
    precise, coarse = (
        adapted(inpainters[name], precision=one)(picture(), hole) for one in ("float32", "bfloat16")
    )
    assert (coarse - precise).abs().mean() < 0.02
