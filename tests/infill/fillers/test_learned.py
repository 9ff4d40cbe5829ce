"""The adapter of inpainting networks: what a network is shown, and what becomes of its answer."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infill import Learned, composite
from infill.network import PIXELS_AT_ONCE, _intel


class Spy:
    """A network that remembers what it was given and answers by a function of it."""

    def __init__(self, answer: Callable[[Tensor, Tensor], Tensor] = lambda image, hole: image) -> None:
        self.answer = answer
        self.images: list[Tensor] = []
        self.holes: list[Tensor] = []

    def __call__(self, image: Tensor, hole: Tensor) -> Tensor:
        self.images.append(image.clone())
        self.holes.append(hole.clone())
        return self.answer(image, hole)


def constant(value: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda image, hole: torch.full_like(image, value)


def neighbors(image: Tensor, hole: Tensor) -> Tensor:
    """Mean of the observed pixels among the 7 x 7 around each pixel: sees 3 pixels far."""
    seen = F.avg_pool2d(image * (1 - hole), 7, 1, 3, count_include_pad=False)
    share = F.avg_pool2d(1 - hole, 7, 1, 3, count_include_pad=False)
    return seen / share.clamp_min(1e-3)


def box(top: int, left: int, height: int, width: int, size: tuple[int, int] = (64, 80)) -> Tensor:
    hole = torch.zeros(1, 1, *size)
    hole[..., top : top + height, left : left + width] = 1
    return hole


def test_the_network_sees_the_binary_hole_and_a_blank(image, holes):
    spy = Spy()
    Learned(spy)(image, holes)
    assert torch.equal(spy.holes[0], holes)
    assert torch.equal(spy.images[0], image * (1 - holes))


def test_hidden_pixels_can_be_shown_on_demand(image, holes):
    spy = Spy()
    filler = Learned(spy, sees_hidden=True)
    assert filler.sees_hidden
    assert not Learned(spy).sees_hidden
    filler(image, holes)
    assert torch.equal(spy.images[0], image.expand(3, -1, -1, -1))


@pytest.mark.parametrize("threshold", [0.2, 0.5, 1.0])
def test_soft_holes_are_binarized_each_by_itself(threshold, image):
    """The published code took the maximum over the batch: a result depended on its neighbors."""
    spy = Spy()
    hole = torch.linspace(0, 1, 24 * 32).view(1, 1, 24, 32)
    faint = hole * 0.6
    Learned(spy, threshold=threshold)(image, torch.cat([hole, faint]))
    Learned(spy, threshold=threshold)(image, hole)
    assert torch.equal(spy.holes[0][0], (hole >= threshold).float()[0])
    assert torch.equal(spy.holes[1][0], spy.holes[0][0])
    if threshold < 0.6:
        assert torch.equal(spy.holes[0][1], (faint >= threshold).float()[0])
    else:
        assert len(spy.holes[0]) == 1  # nothing of the faint hole is left to be filled


def test_below_the_threshold_the_fill_is_what_the_network_returned(image):
    hole = torch.full((1, 1, 24, 32), 0.3)
    hole[..., 4:8, 4:8] = 1
    fill = Learned(constant(0.75))(image, hole)
    perturbed = composite(image, hole, fill)
    assert torch.allclose(perturbed[..., 0, 0], 0.7 * image[..., 0, 0] + 0.3 * 0.75, atol=1e-6)


def test_without_a_hole_the_network_is_not_asked(images):
    spy = Spy(constant(0.5))
    hole = torch.zeros(3, 1, 24, 32)
    assert torch.equal(Learned(spy)(images, hole), images)
    assert spy.images == []
    hole[1] = 1
    fill = Learned(spy)(images, hole)
    assert [len(asked) for asked in spy.images] == [1]
    assert torch.equal(fill[[0, 2]], images[[0, 2]])
    assert fill[1].unique().tolist() == [0.5]


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 255.0)])
def test_the_value_range_there_and_back(low, high, image, holes):
    spy = Spy()
    fill = Learned(spy, value_range=(low, high), blank=(low + 3 * high) / 4)(image, holes)
    shown = spy.images[0]
    assert shown[:, :, 0, 20].allclose(low + image[:, :, 0, 20] * (high - low))
    assert torch.allclose(fill, torch.where(holes.bool(), 0.75, image), atol=1e-6)


@pytest.mark.parametrize(("answer", "expected"), [(-3.0, 0.0), (7.0, 1.0)])
def test_answers_out_of_range_are_clamped(answer, expected, image, holes):
    assert Learned(constant(answer), value_range=(-1.0, 1.0))(image, holes).unique().tolist() == [expected]


@pytest.mark.parametrize("dilation", [1, 4])
def test_dilation_widens_the_networks_hole(dilation):
    spy, image = Spy(), torch.rand(1, 3, 64, 80)
    hole = torch.cat([box(20, 30, 5, 9), box(0, 77, 2, 3)])
    Learned(spy, dilation=dilation)(image, hole)
    wider = box(20 - dilation, 30 - dilation, 5 + 2 * dilation, 9 + 2 * dilation)
    assert torch.equal(spy.holes[0], torch.cat([wider, box(0, 77 - dilation, 2 + dilation, 3 + dilation)]))


@pytest.mark.parametrize("size", [(96, 120), (32, 40), (17, 23)], ids=str)
def test_native_size_hides_every_touched_pixel(size):
    """White pixels under the hole, black ones around it: no gray may be seen."""
    spy = Spy(constant(0.5))
    hole = box(13, 27, 18, 22)
    fill = Learned(spy, size=size, blank=0.0)(hole.expand(-1, 3, -1, -1), hole)
    assert spy.images[0].shape == (1, 3, *size)
    assert spy.images[0].max() == 0
    assert spy.holes[0].unique().tolist() == [0, 1]
    assert fill.shape == (1, 3, 64, 80)
    for axis, side in ((3, 18 * size[0] / 64), (2, 22 * size[1] / 80)):
        hidden = spy.holes[0].any(axis).sum()
        assert side <= hidden <= side + 3  # a pixel more on either side, and rounding


@pytest.mark.parametrize("coverage", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("size", [(96, 120), (32, 40), (17, 23)], ids=str)
def test_pixels_are_hidden_from_a_share_on_and_never_mixed_with_hidden_ones(size, coverage):
    """Observed pixels are gray: whatever is shown of them is just as gray."""
    spy, generator = Spy(constant(0.5)), torch.Generator().manual_seed(0)
    hole = (torch.rand(1, 1, 64, 80, generator=generator) < 0.4).float()
    Learned(spy, size=size, coverage=coverage, blank=0.0)((0.25 + 0.75 * hole).expand(-1, 3, -1, -1), hole)
    covered = F.interpolate(hole, size, mode="bilinear", antialias=True)
    assert torch.equal(spy.holes[0] > 0, covered > coverage)
    expected = torch.where(covered > coverage, 0.0, 0.25).expand(-1, 3, -1, -1)
    torch.testing.assert_close(spy.images[0], expected, rtol=0, atol=1e-5)


def test_native_size_resizes_bilinearly_there_and_back(smooth_image):
    """Of a smooth image hardly anything is lost on the way 224 -> 256 -> 224 of the paper."""
    image = F.interpolate(smooth_image(8, 8), (224, 224), mode="bilinear")
    fill = Learned(lambda shown, hole: shown, size=256, sees_hidden=True)(image, torch.ones(1, 1, 224, 224))
    assert (fill - image).abs().max() < 0.01


def test_an_image_of_native_size_is_shown_untouched(image, holes):
    spy = Spy()
    Learned(spy, size=(24, 32))(image, holes)
    assert torch.equal(spy.images[0], image * (1 - holes))


@pytest.mark.parametrize("multiple", [5, 32, 50])
def test_multiple_extends_image_and_hole_alike(multiple, image):
    spy, hole = Spy(), box(20, 27, 4, 5, (24, 32))
    fill = Learned(spy, multiple=multiple)(image, hole)
    shown, asked = spy.images[0], spy.holes[0]
    assert all(
        0 <= after - before < multiple for after, before in zip(shown.shape[2:], (24, 32), strict=True)
    )
    assert all(side % multiple == 0 for side in shown.shape[2:])
    assert torch.equal(shown[:, :, :24, :32], image * (1 - hole))
    assert asked[0, 0, -1, -1] == 1
    assert asked[0, 0, -1, 0] == 0
    assert shown[asked.expand(-1, 3, -1, -1) == 1].max() == 0
    assert torch.equal(shown[0, :, 5, -1], image[0, :, 5, -1])
    assert torch.equal(fill, image * (1 - hole))


@pytest.mark.parametrize("batch_size", [1, 2, 5, None])
def test_batch_size_bounds_what_the_network_gets(batch_size, image):
    spy = Spy(neighbors)
    hole = torch.cat([box(3, 4 + 2 * i, 6, 6, (24, 32)) for i in range(5)])
    fill = Learned(spy, batch_size=batch_size)(image, hole)
    assert max(map(len, spy.images)) == (batch_size or 5)
    assert sum(map(len, spy.images)) == 5
    assert torch.allclose(fill, Learned(neighbors)(image, hole), atol=1e-6)


def test_a_context_window_is_all_that_a_local_network_needs(smooth_image):
    """A network that sees 3 pixels far gives the same fill from a window with 3 pixels of context."""
    image = smooth_image(64, 80)
    places = [(0, 0), (30, 33), (55, 71), (0, 40), (57, 0), (21, 70)]
    hole = torch.cat([box(top, left, 7, 9) for top, left in places])
    whole, spy = Learned(neighbors)(image, hole), Spy(neighbors)
    fill = Learned(spy, context=3)(image, hole)
    assert [tuple(shown.shape) for shown in spy.images] == [(6, 3, 16, 16)]
    inside = hole.bool().expand_as(fill)
    assert torch.allclose(fill[inside], whole[inside], atol=1e-5)
    assert not torch.allclose(fill[inside], image.expand_as(fill)[inside], atol=1e-2)


def test_outside_the_window_the_fill_is_the_image(smooth_image):
    image = smooth_image(64, 80)
    fill = Learned(constant(0.5), context=2)(image, box(30, 30, 5, 5))
    changed = (fill != image).any(1)[0].nonzero()
    assert changed.min(0).values.tolist() == [25, 25]
    assert changed.max(0).values.tolist() == [40, 40]


def test_windows_hold_the_context_and_lie_inside(smooth_image):
    """A hole in the middle has at least ``context`` pixels around it on every side."""
    image, spy = smooth_image(64, 80), Spy()
    Learned(spy, context=5, multiple=3)(image, box(20, 30, 10, 20))
    rows, columns = (spy.holes[0][0, 0].any(axis).nonzero() for axis in (1, 0))
    height, width = spy.holes[0].shape[2:]
    assert (height, width) == (48, 48)
    assert rows.min() >= 5
    assert columns.min() >= 5
    assert height - 1 - rows.max() >= 5
    assert width - 1 - columns.max() >= 5


def test_a_window_as_large_as_the_image_is_the_image(smooth_image):
    image, spy = smooth_image(64, 80), Spy()
    Learned(spy, context=30)(image, box(20, 30, 10, 20))
    assert torch.equal(spy.images[0], image * (1 - box(20, 30, 10, 20)))


def test_a_window_depends_on_its_hole_alone(smooth_image):
    """Unlike holes, of unlike images, asked about together, one by one, and in another order."""
    images = torch.cat([smooth_image(64, 80, seed) for seed in range(5)])
    hole = torch.cat(
        [box(3, 3, 20, 5), box(30, 40, 7, 7), box(0, 0, 64, 80), box(31, 41, 7, 7), box(60, 76, 3, 3)]
    )
    filler = Learned(neighbors, context=4)
    together = filler(images, hole)
    order = [3, 1, 4, 0, 2]
    assert torch.allclose(filler(images[order], hole[order]), together[order], atol=1e-6)
    alone = torch.cat([filler(images[i : i + 1], hole[i : i + 1]) for i in range(5)])
    assert torch.allclose(alone, together, atol=1e-6)


def test_sliding_patches_share_one_window_size(smooth_image):
    """All 29-pixel patches of a sliding window are one dense batch."""
    spy = Spy()
    hole = torch.cat(
        [box(top, left, 29, 29, (224, 224)) for top in range(0, 196, 39) for left in (0, 99, 195)]
    )
    Learned(spy, context=16)(smooth_image(224, 224), hole)
    assert [tuple(shown.shape) for shown in spy.images] == [(18, 3, 64, 64)]


class Inpainter(nn.Module):
    """Everything that a careless adapter would disturb: dropout, batch norm, gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(4, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Dropout(0.5))

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        self.seen = image
        return self.layers(torch.cat([image, hole], 1)).sigmoid()


def test_the_callers_module_is_left_as_it_was(image, holes):
    network = Inpainter().train()
    network(image, holes[:1]).sum().backward()
    network.layers[0].bias.requires_grad_(False)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in network.parameters()]
    Learned(network, precision="bfloat16")(image, holes)
    assert network.training
    assert all(module.training for module in network.modules())
    needs = [parameter.requires_grad for parameter in network.parameters()]
    assert needs == [True, False, True, True]
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    kept = [parameter.grad for parameter in network.parameters()]
    assert all(map(torch.equal, gradients, kept))


def test_the_private_copy_runs_in_eval_mode_and_follows_no_changes(image, holes):
    network = Inpainter().train()
    filler = Learned(network)
    fill = filler(image, holes)
    assert torch.equal(fill, filler(image, holes))
    assert torch.allclose(fill, network.eval()(image * (1 - holes), holes).detach(), atol=1e-6)
    nn.init.zeros_(network.layers[1].weight)
    assert torch.equal(fill, filler(image, holes))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_that_is_given_away_is_not_copied(precision, image, holes):
    network = Inpainter().train()
    expected = Learned(network, precision=precision)(image, holes)
    filler = Learned(network, precision=precision, copy=False)
    assert filler._ready is network
    assert not network.training
    assert {parameter.dtype for parameter in network.parameters()} == {getattr(torch, precision)}
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(filler(image, holes), expected)


def test_module_input_is_channels_last_and_a_callables_is_contiguous(image, holes):
    filler, spy = Learned(Inpainter()), Spy()
    filler(image, holes)
    assert filler._ready.seen.is_contiguous(memory_format=torch.channels_last)
    Learned(spy)(image.to(memory_format=torch.channels_last), holes)
    assert spy.images[0].is_contiguous()


def test_bfloat16_computes_in_bfloat16_and_stays_near(image, holes):
    network = Inpainter()
    exact, filler = Learned(network)(image, holes), Learned(network, precision="bfloat16")
    fill = filler(image, holes)
    assert filler._ready.seen.dtype == torch.bfloat16
    assert fill.dtype == torch.float32
    assert 0 < (fill - exact).abs().max() < 0.02


@pytest.mark.parametrize(
    ("maker", "avx512", "amx", "dtype"),
    [
        ("AuthenticAMD", True, False, torch.bfloat16),
        ("GenuineIntel", True, False, torch.float32),
        ("GenuineIntel", True, True, torch.bfloat16),
        ("AuthenticAMD", False, False, torch.float32),
        (None, True, False, torch.bfloat16),
    ],
)
def test_auto_is_bfloat16_where_that_is_faster(
    maker, avx512, amx, dtype, image, holes, monkeypatch, tmp_path
):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr("infill.network._PROCESSOR", tmp_path / "cpuinfo")
    if maker is not None:
        (tmp_path / "cpuinfo").write_text(f"vendor_id\t: {maker}\n")
    monkeypatch.setattr("infill.network._intel", _intel.__wrapped__)
    filler, spy = Learned(Inpainter(), precision="auto"), Spy()
    filler(image, holes)
    assert filler._ready.seen.dtype == dtype
    Learned(spy, precision="auto")(image, holes)
    assert spy.images[0].dtype == torch.float32


def test_a_processor_gets_few_large_images_at_once(image, monkeypatch):
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.counts: list[int] = []

        def forward(self, image: Tensor, hole: Tensor) -> Tensor:
            self.counts.append(len(image))
            return neighbors(image, hole)

    monkeypatch.setattr("infill.network.PIXELS_AT_ONCE", 3 * image.shape[2] * image.shape[3])
    hole = torch.cat([box(row, 10, 9, 12, image.shape[2:]) for row in range(8)])
    filler = Learned(Counting())
    fill = filler(image, hole)
    assert filler._ready.counts == [3, 3, 2]
    assert torch.equal(fill, Learned(neighbors)(image, hole))
    monkeypatch.setattr("infill.network.PIXELS_AT_ONCE", 1)
    filler(image, hole[:2])
    assert filler._ready.counts[3:] == [1, 1], "an image at least"
    assert PIXELS_AT_ONCE >= 5 * 224 * 224


def test_a_stochastic_network_gets_one_generator_per_hole(image, holes):
    """Also when a hole is skipped and the others are asked about in several batches."""
    hole = torch.cat([holes, torch.zeros_like(holes[:1]), holes])

    def network(shown: Tensor, asked: Tensor, generator: list[torch.Generator]) -> Tensor:
        assert len(generator) == len(shown)
        return torch.stack([torch.rand(shown.shape[1:], generator=one) for one in generator])

    fills = [
        Learned(network, stochastic=True, batch_size=size)(image, hole, torch.Generator().manual_seed(4))
        for size in (None, 1, 4)
    ]
    assert torch.equal(fills[0], fills[1])
    assert torch.equal(fills[0], fills[2])
    assert not torch.equal(fills[0][0], fills[0][4])


def test_no_graph_is_built(image, holes):
    network = Inpainter()
    filler = Learned(lambda shown, hole: network(shown, hole))
    assert not filler(image.clone().requires_grad_(), holes).requires_grad


def test_a_network_may_scribble_on_its_input(image, holes):
    def scribbler(shown: Tensor, hole: Tensor) -> Tensor:
        hole.zero_()
        return shown.fill_(0.5)

    before = image.clone(), holes.clone()
    for sees_hidden in (False, True):
        Learned(scribbler, sees_hidden=sees_hidden)(image, holes)
    assert torch.equal(image, before[0])
    assert torch.equal(holes, before[1])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda image, hole: image[:, :1],
            r"must return shape \(3, 3, 24, 32\), got .* of shape \(3, 1",
        ),
        (lambda image, hole: (image, hole), "must return a floating point tensor, got tuple"),
        (lambda image, hole: image.byte(), r"must return a floating point tensor, got torch.uint8 of shape"),
    ],
)
def test_wrong_answers_are_described(answer, message, image, holes):
    with pytest.raises(ValueError, match=f"the inpainter {message}"):
        Learned(answer)(image, holes)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_an_answer_that_is_not_finite_names_the_hole(value, image, holes):
    hole = torch.cat([torch.zeros_like(holes[:1]), holes])

    def network(shown: Tensor, asked: Tensor) -> Tensor:
        answer = shown.clone()
        answer[asked[:, 0, 23, 31] == 1, 1, 2, 3] = value
        return answer

    for batch_size in (None, 1):
        with pytest.raises(ValueError, match=r"the inpainter returned NaN or infinity for hole 2$"):
            Learned(network, batch_size=batch_size)(image, hole)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("threshold", 0.0),
        ("threshold", 1.1),
        ("size", 0),
        ("size", (16, -8)),
        ("coverage", -0.1),
        ("coverage", 1.0),
        ("multiple", 0),
        ("value_range", (1.0, 1.0)),
        ("value_range", (0.0, float("inf"))),
        ("dilation", -1),
        ("batch_size", 0),
        ("context", -1),
        ("feather", -1),
        ("blank", float("nan")),
        ("precision", "float16"),
        ("network", "lama"),
    ],
)
def test_parameters_out_of_range_are_named(parameter, value, unchecked_shapes):
    arguments = {"network": neighbors, parameter: value}
    with pytest.raises(ValueError, match=f"^{parameter} must be"):
        Learned(**arguments)


def test_a_size_must_suit_the_multiple():
    with pytest.raises(ValueError, match=r"size must be positive and a multiple of 8, got \(64, 60\)"):
        Learned(neighbors, size=(64, 60), multiple=8)


def test_the_first_pixels_inside_the_rim_take_on_colors_from_beside_it():
    image, hole = torch.ones(1, 3, 12, 12), torch.zeros(1, 1, 12, 12)
    hole[..., 4:] = 1
    black = Learned(lambda image, hole: torch.zeros_like(image), feather=2)
    fill = black(image, hole)
    # at the rim half of what is beside it, 1; then a quarter of what that has become, 0.5
    torch.testing.assert_close(fill[0, 1, 5, 4:], torch.tensor([0.5, 0.125, 0, 0, 0, 0, 0, 0]))
    everything = torch.ones_like(hole)
    assert black(image, everything).eq(0).all()


def test_a_feather_meets_an_even_color_without_a_seam():
    image, hole = torch.full((1, 3, 16, 16), 0.3), torch.zeros(1, 1, 16, 16)
    hole[..., 3:9, 4:13] = 1
    same = Learned(lambda image, hole: torch.full_like(image, 0.3), feather=3)
    torch.testing.assert_close(same(image, hole), image)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"value_range": (0.0, 0.5, 1.0)}, "value_range must be two numbers, got"),
        ({"size": (8, 8, 8)}, "size must be two numbers, got"),
    ],
)
def test_pairs_are_of_two(settings, message):
    with pytest.raises(ValueError, match=message):
        Learned(lambda image, hole: image, **settings)


@pytest.mark.parametrize("size", [8, 16, 24, 40])
def test_what_is_hidden_may_be_nan_whatever_the_network_is_shown(size):
    spy, hole = Spy(), box(16, 16, 16, 16, (48, 48))
    image = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    expected = Learned(spy, size=size)(image, hole)
    found = Learned(spy, size=size)(image.where(hole == 0, torch.nan), hole)
    assert spy.images[1].isfinite().all()
    assert torch.equal(composite(image, hole, found), composite(image, hole, expected))
