"""Figures of one composite each, against their published implementations and plain loops."""

import warnings
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import scipy
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from infill.realism.similarity import (
    PSNR_LIMIT,
    Perceptual,
    backbone_file,
    divergence,
    entropy,
    l1_in_hole,
    ms_ssim,
    psnr_in_hole,
    target_probability,
)

INFINITY = float("inf")


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def close(ours, theirs, tolerance=1e-6):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def pairs(smooth_image):
    """Two images and what has become of them: noise, and a patch of another color."""
    images = torch.cat([noise(1, 3, 171, 183), smooth_image(171, 183)])
    changed = images.lerp(noise(2, 3, 171, 183, seed=1), 0.3)
    changed[1, :, 40:90, 60:120] = 0.5
    return images, changed


def test_ms_ssim_equals_the_published_one(pairs):
    import pytorch_msssim

    images, changed = pairs
    expected = pytorch_msssim.ms_ssim(images, changed, data_range=1.0, size_average=False)
    assert 0.2 < float(expected.min()) < float(expected.max()) < 0.98
    close(ms_ssim(images, changed), expected)
    close(ms_ssim(images.double(), changed.contiguous(memory_format=torch.channels_last)), expected)


def test_ms_ssim_of_equal_images_is_one_and_falls_with_noise(pairs):
    images, _ = pairs
    close(ms_ssim(images, images.clone()), torch.ones(2))
    grains = [ms_ssim(images.lerp(noise(*images.shape, seed=2), share), images) for share in (0.1, 0.3, 0.9)]
    assert (torch.stack(grains).diff(dim=0) < -0.01).all()


def test_ms_ssim_needs_161_pixels():
    assert ms_ssim(noise(1, 3, 161, 170), noise(1, 3, 161, 170, seed=1)).isfinite().all()
    for size in ((160, 400), (400, 160)):
        images = noise(1, 3, *size)
        with pytest.raises(ValueError, match=r"images must be of at least 161 px a side.*160"):
            ms_ssim(images, images)


def unreachable(*_, **__):
    raise URLError("no network")


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)


@pytest.fixture(scope="module")
def random_weights():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torchvision.models.squeezenet1_1(weights=None).state_dict()


def at_home(home, monkeypatch, weights):
    """Put a file of weights, or bytes, where LPIPS will look."""
    monkeypatch.setenv("TORCH_HOME", str(home))
    path = Path(backbone_file("squeeze"))
    path.parent.mkdir(parents=True)
    if isinstance(weights, bytes):
        path.write_bytes(weights)
    else:
        torch.save(weights, path)
    return path


@pytest.fixture(scope="module", params=["published", "random"])
def perceptual(request, tmp_path_factory):
    """Ours and theirs, of the same weights."""
    import lpips

    with pytest.MonkeyPatch.context() as monkeypatch:
        if request.param == "published":
            monkeypatch.setenv("TORCH_HOME", str(request.getfixturevalue("assets") / "torch_home"))
            if not Path(backbone_file("squeeze")).is_file():
                pytest.skip(f"no weights at {backbone_file('squeeze')}")
        else:
            weights = request.getfixturevalue("random_weights")
            at_home(tmp_path_factory.mktemp("home"), monkeypatch, weights)
        ours = Perceptual("squeeze")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return ours, lpips.LPIPS(net="squeeze", verbose=False)


def test_perceptual_equals_lpips(perceptual, pairs):
    ours, theirs = perceptual
    images, changed = pairs
    with torch.no_grad():
        expected = theirs(images, changed, normalize=True)[:, 0, 0, 0]
    assert (expected > 0.01).all()
    close(ours(images, changed), expected)
    close(ours(changed, images), expected)
    close(ours(images[1:], changed[1:]), expected[1:])
    close(ours(images.double(), changed.contiguous(memory_format=torch.channels_last)), expected)


def test_perceptual_of_equal_images_is_zero(perceptual, pairs):
    assert torch.equal(perceptual[0](pairs[0], pairs[0].clone()), torch.zeros(2))


def test_features_serve_several_comparisons(perceptual, pairs):
    ours, _ = perceptual
    originals, *others = (ours.features(images) for images in (pairs[0], pairs[1], pairs[1].flip(0)))
    before = [stage.clone() for stage in originals]
    close(ours.distance(others[0], originals), ours(pairs[1], pairs[0]))
    close(ours.distance(others[1], originals), ours(pairs[1].flip(0), pairs[0]))
    assert all(torch.equal(*stages) for stages in zip(before, originals, strict=True))
    for stage in originals:
        length = stage.norm(dim=1)
        close(length[length > 0.5], torch.ones_like(length[length > 0.5]), 1e-4)
        assert (length[length <= 0.5] == 0).all(), "nothing is seen there"


def test_the_backbone_learns_nothing(perceptual, pairs):
    ours, _ = perceptual
    assert not ours.training
    assert not any(module.training for module in ours.modules())
    assert not any(parameter.requires_grad for parameter in ours.parameters())
    assert not ours(*pairs).requires_grad


def test_lpips_neither_prints_nor_warns(random_weights, tmp_path, monkeypatch, capfd):
    at_home(tmp_path, monkeypatch, random_weights)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        state = torch.get_rng_state()
        Perceptual("squeeze")
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers are the caller's"
    assert not told
    assert capfd.readouterr() == ("", "")


def test_what_a_download_says_is_no_output(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(
        torch.hub, "download_url_to_file", lambda *_, **__: print("1 of 2 MB") or unreachable()
    )
    with pytest.raises(ValueError, match="no network"):
        Perceptual("squeeze")
    said = capsys.readouterr()
    assert said.out == ""
    assert "1 of 2 MB" in said.err


def test_backbone_files_are_torchvisions(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    published = {"alex": "AlexNet", "vgg": "VGG16", "squeeze": "SqueezeNet1_1"}
    for net, name in published.items():
        url = getattr(torchvision.models, f"{name}_Weights").IMAGENET1K_V1.url
        assert backbone_file(net) == str(tmp_path / "hub" / "checkpoints" / url.rsplit("/", 1)[1])


@pytest.mark.parametrize("net", ["alex", "vgg", "squeeze"])
def test_a_missing_backbone_is_named(net, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="LPIPS needs its backbone's weights") as caught:
        Perceptual(net)
    assert str(Path(backbone_file(net))) in str(caught.value)
    assert "no network" in str(caught.value)
    assert "TORCH_HOME" in str(caught.value)


@pytest.mark.parametrize("damage", ["empty", "page", "half", "zeros", "list", "other network"])
def test_a_damaged_backbone_is_named(damage, random_weights, tmp_path, monkeypatch):
    path = at_home(tmp_path, monkeypatch, random_weights)
    contents = {
        "empty": b"",
        "page": b"<!DOCTYPE html><html></html>",
        "half": path.read_bytes()[: path.stat().st_size // 2],
        "zeros": bytes(5000),
    }
    if damage in contents:
        path.write_bytes(contents[damage])
    else:
        torch.save([1, 2] if damage == "list" else torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(ValueError, match="LPIPS needs its backbone's weights") as caught:
        Perceptual("squeeze")
    assert str(path) in str(caught.value)


@pytest.mark.usefixtures("unchecked_shapes")
def test_other_nets_are_refused():
    with pytest.raises(ValueError, match=r"net must be one of \('alex', 'vgg', 'squeeze'\), got 'vgg19'"):
        Perceptual("vgg19")


@pytest.mark.usefixtures("unchecked_shapes")
def test_pairs_must_fit_and_be_finite(perceptual):
    images = noise(2, 3, 170, 170)
    broken = images.clone()
    broken[1, 0, 3, 3] = torch.nan
    hole = torch.ones(2, 1, 170, 170)
    compare = [
        ms_ssim,
        perceptual[0],
        lambda ours, theirs: l1_in_hole(ours, theirs, hole),
        lambda ours, theirs: psnr_in_hole(ours, theirs, hole),
    ]
    for compared in compare:
        for others in (images[:1], images[..., :169], images[:, :1], images[0]):
            with pytest.raises(ValueError, match="images must be of the same shape n c h w"):
                compared(images, others)
        for unusable in ((broken, images), (images, broken), (images, images * INFINITY)):
            with pytest.raises(ValueError, match="images must be at least one, all finite, got 'NaN"):
                compared(*unusable)
        with pytest.raises(ValueError, match="images must be at least one, all finite"):
            compared(images[:0], images[:0])


def looped(image, truth, hole, power):
    """The mean over pixels, one by one."""
    total = weight = 0.0
    for c, y, x in np.ndindex(image.shape):
        total += float(hole[0, y, x]) * abs(float(image[c, y, x]) - float(truth[c, y, x])) ** power
        weight += float(hole[0, y, x])
    return total / weight


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), height=st.integers(1, 7), width=st.integers(1, 7), soft=st.booleans())
def test_figures_in_the_hole_are_plain_loops(seed, height, width, soft):
    images, truth = noise(2, 3, height, width, seed=seed), noise(2, 3, height, width, seed=seed + 1)
    hole = noise(2, 1, height, width, seed=seed + 2)
    hole[:, :, height // 2, width // 2] = 1
    hole = hole if soft else (hole > 0.6).float()
    l1, psnr = l1_in_hole(images, truth, hole), psnr_in_hole(images, truth, hole)
    for i in range(2):
        assert float(l1[i]) == pytest.approx(looped(images[i], truth[i], hole[i], 1), rel=1e-5)
        expected = -10 * np.log10(looped(images[i], truth[i], hole[i], 2))
        assert float(psnr[i]) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_psnr_is_skimages_of_the_pixels_in_the_hole(images, holes):
    changed = (images + 0.2 * noise(*images.shape) - 0.1).clamp(0, 1)
    inside = holes.expand_as(images) > 0
    expected = [
        peak_signal_noise_ratio(
            images[i][inside[i]].double().numpy(), changed[i][inside[i]].double().numpy(), data_range=1
        )
        for i in range(3)
    ]
    assert min(expected) > 20
    close(psnr_in_hole(changed, images, holes), torch.tensor(expected, dtype=torch.float32), 1e-4)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_pixels_outside_the_hole_have_no_influence(seed):
    images, truth, others = (noise(2, 3, 9, 11, seed=seed + i) for i in range(3))
    hole = (noise(2, 1, 9, 11, seed=seed + 3) > 0.5).float()
    hole[:, :, 4, 5] = 1
    elsewhere = torch.where(hole > 0, images, others)
    assert not torch.equal(elsewhere, images)
    for figure in (l1_in_hole, psnr_in_hole):
        assert torch.equal(figure(elsewhere, truth, hole), figure(images, truth, hole))
        within = torch.where(hole > 0, others, images)
        assert not torch.equal(figure(within, truth, hole), figure(images, truth, hole))


def test_an_exact_fill_has_no_error(images, holes):
    spoiled = torch.where(holes > 0, images, 1 - images)
    assert torch.equal(l1_in_hole(spoiled, images, holes), torch.zeros(3))
    close(psnr_in_hole(spoiled, images, holes), torch.full((3,), PSNR_LIMIT), 1e-4)
    nearly = psnr_in_hole((images * 0.5 + 1e-6).double(), images.double() * 0.5, holes.double())
    close(nearly, torch.full((3,), PSNR_LIMIT), 1e-4)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("figure", [l1_in_hole, psnr_in_hole])
def test_holes_must_fit_and_not_be_empty(figure, images, holes):
    empty = holes.clone()
    empty[1:] = 0
    with pytest.raises(ValueError, match="hole must be not empty, got '2 empty ones'"):
        figure(images, images, empty)
    for hole in (holes[:1], holes[..., :31], holes.expand(-1, 3, -1, -1), holes[:, 0]):
        with pytest.raises(ValueError, match=r"hole must be of shape \(3, 1, 24, 32\), got"):
            figure(images, images, hole)


def test_probability_and_entropy_equal_scipys():
    logits = 4 * torch.randn(40, 7, generator=torch.Generator().manual_seed(0))
    target = torch.arange(40) % 7
    share = scipy.special.softmax(logits.double().numpy(), axis=1)
    close(target_probability(logits, target).double(), torch.tensor(share[np.arange(40), target]))
    close(entropy(logits).double(), torch.tensor(scipy.stats.entropy(share, axis=1)), 2e-6)
    close(entropy(logits), torch.distributions.Categorical(logits=logits).entropy(), 2e-6)
    close(entropy(logits.half()), entropy(logits.half().float()), 0)


@pytest.mark.parametrize("k", [2, 10, 1000])
def test_entropy_is_log_k_of_equal_logits_and_zero_of_a_sure_one(k):
    close(entropy(torch.full((1, k), -3.0)), torch.tensor([float(np.log(k))]), 1e-5)
    sure = torch.zeros(1, k)
    sure[0, 1] = 200
    assert torch.equal(entropy(sure), torch.zeros(1))
    assert torch.equal(target_probability(sure, torch.tensor([1])), torch.ones(1))


@pytest.mark.parametrize(
    ("logits", "shares"),
    [
        ([INFINITY, 0.0, 1e38], [1, 0, 0]),
        ([INFINITY, -INFINITY, INFINITY], [0.5, 0, 0.5]),
        ([0.0, -INFINITY, 0.0], [0.5, 0, 0.5]),
        ([-INFINITY, -INFINITY, 3.0], [0, 0, 1]),
        ([-INFINITY] * 3, [1 / 3] * 3),
    ],
)
def test_infinite_logits_have_their_limit(logits, shares):
    rows = torch.tensor([logits] * 3)
    close(target_probability(rows, torch.arange(3)), torch.tensor(shares, dtype=torch.float32))
    close(entropy(rows), torch.tensor([scipy.stats.entropy(shares)] * 3, dtype=torch.float32))


def test_logits_that_are_no_numbers_stay_none():
    rows = torch.tensor([[torch.nan, 1.0, 2.0]])
    assert target_probability(rows, torch.tensor([0])).isnan().all()
    assert entropy(rows).isnan().all()


@given(st.integers(0, 2**31), st.booleans())
def test_divergence_is_scipys(seed, multi_label):
    before, after = 4 * noise(3, 5, seed=seed) - 2, 4 * noise(3, 5, seed=seed + 1) - 2
    if multi_label:
        pairs = [torch.stack([x.sigmoid(), (-x).sigmoid()], -1) for x in (before, after)]
        expected = scipy.special.rel_entr(*(pair.numpy() for pair in pairs)).sum((1, 2))
    else:
        expected = scipy.special.rel_entr(before.softmax(1).numpy(), after.softmax(1).numpy()).sum(1)
    close(divergence(after, before, multi_label), torch.from_numpy(expected), 1e-5)
    close(divergence(before, before, multi_label), torch.zeros(3))


@pytest.mark.parametrize("multi_label", [False, True])
def test_divergence_is_finite_where_logits_are_not(multi_label):
    sure = torch.tensor([[INFINITY, 0.0, -INFINITY]])
    for pair in ((sure, sure.flip(1)), (sure, torch.zeros(1, 3)), (torch.zeros(1, 3), sure)):
        assert divergence(*pair, multi_label).isfinite().all()
        assert divergence(*pair, multi_label) > 0.5
