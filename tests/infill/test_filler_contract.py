"""What every filler promises, checked on all of them."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import infill
from infill import (
    Adaptive,
    Biharmonic,
    Blur,
    Exemplar,
    Filler,
    Given,
    Gray,
    Learned,
    Marginal,
    Mean,
    NavierStokes,
    Noise,
    PatchMatch,
    Remembered,
    Telea,
    composite,
)


class TinyInpainter(nn.Module):
    """Two convolutions over image and hole: sees all that it is given, hidden pixels included."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Conv2d(4, 6, 5, padding=2)
        self.second = nn.Conv2d(6, 3, 5, padding=2)
        for weight in self.parameters():
            nn.init.uniform_(weight, -0.3, 0.3, generator=generator)

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        return torch.sigmoid(self.second(F.relu(self.first(torch.cat([image, hole], 1)))))


def noisy_inpainter(image: Tensor, hole: Tensor, generator: list[torch.Generator]) -> Tensor:
    """Averages what it sees and adds noise: one generator per hole, as in diffusers."""
    noise = torch.stack([torch.rand(image.shape[1:], generator=one) for one in generator])
    return (image.mean((2, 3), keepdim=True) + noise) / 2


class Kept(dict[str, bytes]):
    """A store in memory."""

    def set(self, name: str, content: bytes) -> None:
        self[name] = content


def stripes(height: int, width: int) -> Tensor:
    """Segments: columns in threes, with labels that are neither dense nor positive."""
    return (torch.arange(width) // 3 * 7 - 5).expand(height, -1)


FILLERS: dict[str, Callable[[int, int], Filler]] = {
    "gray": lambda h, w: Gray(),
    "mean image": lambda h, w: Mean(),
    "mean segment": lambda h, w: Mean("segment", segments=stripes(h, w)),
    "mean local": lambda h, w: Mean("local", window=5),
    "noise uniform": lambda h, w: Noise(),
    "noise gaussian": lambda h, w: Noise("gaussian"),
    "noise color": lambda h, w: Noise("color", std=0.1),
    "noise once": lambda h, w: Noise(seed=0),
    "blur": lambda h, w: Blur(sigma=3.0),
    "blur by degrees": lambda h, w: Blur(sigma=3.0, levels=4, beyond="gray"),
    "given": lambda h, w: Given(torch.full((3, h, w), 0.25)),
    "telea": lambda h, w: Telea(),
    "navier-stokes": lambda h, w: NavierStokes(),
    "biharmonic": lambda h, w: Biharmonic(),
    "biharmonic reduced": lambda h, w: Biharmonic(side=8),
    "exemplar": lambda h, w: Exemplar(),
    "exemplar small": lambda h, w: Exemplar(patch=3, depth=1, exhaustive=20),
    "patchmatch": lambda h, w: PatchMatch(),
    "patchmatch context": lambda h, w: PatchMatch(radius=1, context=2),
    "patchmatch stochastic": lambda h, w: PatchMatch(stochastic=True),
    "marginal": lambda h, w: Marginal(),
    "marginal near": lambda h, w: Marginal(context=1),
    "learned": lambda h, w: Learned(TinyInpainter()),
    "learned multiple": lambda h, w: Learned(TinyInpainter(), multiple=8, value_range=(-1.0, 1.0)),
    "learned size": lambda h, w: Learned(TinyInpainter(), size=(20, 36), blank=0.5),
    "learned coverage": lambda h, w: Learned(TinyInpainter(), size=(20, 36), coverage=0.5),
    "learned context": lambda h, w: Learned(TinyInpainter(), context=3, multiple=4),
    "learned feather": lambda h, w: Learned(TinyInpainter(), feather=2, context=4),
    "learned dilation": lambda h, w: Learned(TinyInpainter(), dilation=2, batch_size=2),
    "learned bfloat16": lambda h, w: Learned(TinyInpainter(), precision="bfloat16"),
    "adaptive": lambda h, w: Adaptive(TinyInpainter(), by="auto", thick=2),
    "adaptive context": lambda h, w: Adaptive(TinyInpainter(), by="auto", thick=3, context=3, multiple=4),
    "remembered": lambda h, w: Remembered(Telea(), Kept(), "telea"),
    "remembered network": lambda h, w: Remembered(Learned(TinyInpainter()), Kept(), "tiny"),
    "learned stochastic": lambda h, w: Learned(noisy_inpainter, stochastic=True),
    "learned everything": lambda h, w: Learned(
        TinyInpainter(), size=16, context=2, dilation=1, value_range=(-1.0, 1.0), batch_size=2
    ),
}
SIZES = [(1, 1), (1, 9), (5, 7), (33, 64)]
every_filler = pytest.mark.parametrize("make", FILLERS.values(), ids=FILLERS.keys())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_holes(count: int, height: int, width: int, seed: int) -> Tensor:
    """Holes of all kinds: rectangles anywhere, scattered pixels, nothing, everything."""
    generator = seeded(seed)
    hole = torch.zeros(count, 1, height, width)
    for index, one in enumerate(hole[:, 0]):
        top, left = (int(torch.randint(side, (), generator=generator)) for side in (height, width))
        tall, wide = (int(torch.randint(1, side + 1, (), generator=generator)) for side in (height, width))
        if index % 4 == 0:
            one[top : top + tall, left : left + wide] = 1
        elif index % 4 == 1:
            one.copy_((torch.rand(height, width, generator=generator) < 0.5).float())
        else:
            one.fill_(float(index % 4 == 2))
    return hole


def at_the_borders(height: int, width: int) -> Tensor:
    """Holes at a corner, as a frame, and all but the middle."""
    hole = torch.zeros(3, 1, height, width)
    hole[0, :, : height // 2, : width // 3] = 1
    hole[1, :, [0, -1]] = hole[1, :, :, [0, -1]] = 1
    hole[2] = 1
    hole[2, :, height // 3 : -height // 3, width // 3 : -width // 3] = 0
    return hole


def test_no_filler_is_left_out():
    public = {getattr(infill, name) for name in infill.__all__} - {Filler}
    classes = {each for each in public if isinstance(each, type) and "fillers" in each.__module__}
    assert {type(make(8, 8)) for make in FILLERS.values()} == classes


@every_filler
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("count", [1, 4], ids=["one image", "one image per hole"])
def test_fill_is_finite_in_range_and_of_the_right_shape(make, size, count, smooth_image):
    filler = make(*size)
    image = torch.cat([smooth_image(*size, seed) for seed in range(count)])
    hole = random_holes(4, *size, seed=1)
    fill = filler(image, hole, seeded())
    assert isinstance(filler, Filler)
    assert fill.shape == ((4 if filler.per_hole else count), 3, *size)
    assert fill.dtype == image.dtype
    assert fill.device == image.device
    assert fill.isfinite().all()
    assert fill.min() >= 0
    assert fill.max() <= 1


@every_filler
def test_observed_pixels_come_through_bit_by_bit(make, image, holes):
    fill = make(24, 32)(image, holes, seeded())
    perturbed = composite(image, holes, fill)
    observed = (holes == 0).expand_as(perturbed)
    assert torch.equal(perturbed[observed], image.expand_as(perturbed)[observed])
    assert torch.equal(perturbed[~observed], fill.expand_as(perturbed)[~observed])
    assert not torch.equal(perturbed[~observed], image.expand_as(perturbed)[~observed])


@every_filler
@settings(max_examples=6)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_hidden_pixels_stay_hidden(make, height, width, seed, smooth_image):
    """Only a filler that says so may look under the hole."""
    filler = make(height, width)
    image = smooth_image(height, width, seed)
    hole = random_holes(3, height, width, seed)
    secret = torch.rand(image.shape, generator=seeded(seed))
    lies = torch.where(hole.bool(), secret, image)
    truth = filler(image.expand(3, -1, -1, -1), hole, seeded())
    fooled = filler(lies, hole, seeded())
    hidden = hole.bool().expand_as(fooled)
    assert torch.equal(truth[hidden], fooled[hidden]) == (not filler.sees_hidden)


@every_filler
def test_not_even_nan_gets_through_from_under_the_hole(make, smooth_image):
    filler = make(33, 64)
    if filler.sees_hidden:
        return
    hole = torch.cat([random_holes(3, 33, 64, 0), at_the_borders(33, 64)])
    image = smooth_image(33, 64, 0).expand(len(hole), -1, -1, -1)
    unknown = torch.where(hole.bool(), torch.nan, image)
    hidden = hole.bool().expand_as(image)
    assert torch.equal(filler(unknown, hole, seeded())[hidden], filler(image, hole, seeded())[hidden])


@every_filler
@pytest.mark.parametrize("chunk", [1, 3, 7])
@pytest.mark.parametrize("count", [1, 8], ids=["one image", "one image per hole"])
def test_batches_do_not_matter(make, chunk, count, smooth_image):
    filler, hole = make(12, 18), random_holes(8, 12, 18, seed=2)
    image = torch.cat([smooth_image(12, 18, seed) for seed in range(count)])
    generator = seeded()
    parts = [
        filler(image if count == 1 else image[start : start + chunk], hole[start : start + chunk], generator)
        for start in range(0, len(hole), chunk)
    ]
    whole = filler(image, hole, seeded())
    if filler.per_hole or count > 1:
        assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
    else:
        assert all(torch.equal(part, whole) for part in parts)


@every_filler
def test_same_generator_same_fill(make, image, holes):
    filler = make(24, 32)
    assert torch.equal(filler(image, holes, seeded(3)), filler(image, holes, seeded(3)))


@every_filler
def test_per_hole_says_whether_holes_matter(make, image, holes):
    filler, generator = make(24, 32), seeded()
    first, second = filler(image, holes[:1], generator), filler(image, holes[1:2], generator)
    assert torch.equal(first, second) == (not filler.per_hole)


@every_filler
def test_stochastic_says_whether_chance_matters(make, image, holes):
    filler = make(24, 32)
    one, other = (filler(image, holes[:1], seeded(seed)) for seed in (1, 2))
    assert torch.equal(one, other) == (not filler.stochastic)
    if not filler.stochastic:
        assert torch.equal(one, filler(image, holes[:1]))  # no generator is needed


@every_filler
def test_each_image_is_filled_from_itself(make, images, holes):
    """Three images with a hole each are three times one image with one hole."""
    filler, generator = make(24, 32), seeded()
    alone = [filler(images[i : i + 1], holes[i : i + 1], generator) for i in range(3)]
    assert torch.allclose(torch.cat(alone), filler(images, holes, seeded()), atol=1e-6)


@every_filler
def test_inputs_are_left_alone(make, image, holes):
    before = image.clone(), holes.clone()
    make(24, 32)(image, holes, seeded())
    assert torch.equal(image, before[0])
    assert torch.equal(holes, before[1])


@every_filler
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_the_images_dtype_comes_back(make, dtype, image, holes):
    filler = make(24, 32)
    fill = filler(image.to(dtype), holes, seeded())
    precise = filler(image.to(dtype).float(), holes, seeded())
    assert fill.dtype == dtype
    assert torch.allclose(fill.float(), precise, atol=4 * torch.finfo(torch.bfloat16).eps)
    assert composite(image.to(dtype), holes, fill).dtype == dtype


@every_filler
def test_memory_format_does_not_matter(make, images, holes):
    filler = make(24, 32)
    last = filler(images.to(memory_format=torch.channels_last), holes, seeded())
    assert torch.allclose(last, filler(images, holes, seeded()), atol=1e-6)


@every_filler
def test_a_hole_that_asks_for_gradients_is_no_obstacle(make, image, holes):
    """Gradients reach the hole through the composite, and take the fill as a constant."""
    hole = holes.clone().requires_grad_()
    fill = make(24, 32)(image, hole, seeded())
    assert not fill.requires_grad
    composite(image, hole, fill).sum().backward()
    expected = (fill - image).sum(1, keepdim=True).expand_as(hole)
    assert torch.allclose(hole.grad, expected, atol=1e-5)


@every_filler
def test_no_holes_no_fills(make, image):
    filler = make(24, 32)
    for _ in range(2):  # the second time it may be remembered
        fill = filler(image, torch.zeros(0, 1, 24, 32), seeded())
        assert fill.shape == ((0 if filler.per_hole else 1), 3, 24, 32)


@every_filler
def test_shapes_that_do_not_fit_are_refused(make, image, images, holes, unchecked_shapes):
    filler = make(24, 32)
    with pytest.raises(ValueError, match=r"image must be of shape n c h w, got \(3, 24, 32\)"):
        filler(image[0], holes, seeded())
    with pytest.raises(ValueError, match="hole must be of shape n 1 h w"):
        filler(image, holes[..., 1:], seeded())
    with pytest.raises(ValueError, match="hole must be of shape n 1 h w"):
        filler(image, holes.expand(-1, 3, -1, -1), seeded())
    with pytest.raises(ValueError, match=r"image must be one image, or one per hole \(3\), got '2 images'"):
        filler(images[:2], holes, seeded())


DRAWING = ("noise uniform", "noise gaussian", "noise color", "marginal")
STOCHASTIC = [name for name in FILLERS if name.startswith(DRAWING) or "stochastic" in name]


@pytest.mark.parametrize("name", STOCHASTIC)
def test_chance_needs_a_generator(name, image, holes):
    with pytest.raises(ValueError, match=r"generator must be a torch\.Generator"):
        FILLERS[name](24, 32)(image, holes)


def test_composite_is_equation_1(images, holes):
    soft = holes * 0.25
    fill = Noise()(images, holes, seeded())
    assert torch.allclose(composite(images, soft, fill), (1 - soft) * images + soft * fill, atol=1e-6)
    assert torch.equal(composite(images, torch.ones_like(holes), fill), fill)
    assert torch.equal(composite(images, torch.zeros_like(holes), fill), images)


@every_filler
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 255.0, -1.0])
def test_observed_pixels_that_are_no_colors_are_refused(make, value) -> None:
    filler = make(20, 24)
    if isinstance(filler, (Gray, Noise, Given)):  # which do not look at the image
        return
    image, hole = torch.full((1, 3, 20, 24), 0.5), torch.zeros(1, 1, 20, 24)
    hole[..., 5:9, 6:12] = 1
    image[0, 1, 15, 3] = value
    with pytest.raises(ValueError, match=r"image must be in \[0, 1\], without NaN, "):
        filler(image, hole, seeded())


@every_filler
def test_pixels_under_half_a_hole_are_observed(make) -> None:
    filler = make(20, 24)
    if isinstance(filler, (Gray, Noise, Given)):  # which do not look at the image
        return
    image, hole = torch.full((1, 3, 20, 24), 0.5), torch.zeros(1, 1, 20, 24)
    hole[..., 5:9, 6:12] = 0.3
    image[0, 1, 6, 7] = torch.nan
    with pytest.raises(ValueError, match=r"image must be in \[0, 1\], without NaN, "):
        filler(image, hole, seeded())


@every_filler
@pytest.mark.parametrize("value", [float("nan"), 255.0, -1.0])
def test_holes_beyond_their_range_are_refused(make, value, image) -> None:
    hole = torch.zeros(1, 1, 24, 32)
    hole[..., 5:9, 6:12] = value
    with pytest.raises(ValueError, match=r"hole must be in \[0, 1\], 1 where pixels are removed, got "):
        make(24, 32)(image, hole, seeded())
