"""The private copy of a classifier: folded, cast, laid out, and never different from the original."""

import copy
import threading

import pytest
import torch
import torchvision
from planted import Linear, Network, liven
from torch import Tensor, nn

from attribution.engine.folding import fold_batch_norm
from attribution.engine.precision import PreparedClassifier, prepare

IMAGES = torch.rand(3, 3, 24, 32, generator=torch.Generator().manual_seed(0))


def prepared(network, precision="float32", images=IMAGES):
    """The prepared classifier, its logits and those of the network as it is."""
    result = prepare(network, precision, images[:1])
    with torch.no_grad():
        return result, result(images), network.eval()(images)


class Sized(nn.Module):
    """Cannot be traced as a whole: looks at the size of the image."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3])[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-1] > 1000:
            images = images[..., :1000]
        if float(images.max()) > 1:
            raise ValueError("too bright")
        return self.network(images - self.mean)


@pytest.mark.parametrize("build", [Network, lambda: Sized(Network())])
def test_folding_keeps_the_function(build):
    result, logits, expected = prepared(build())
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    assert result.mode == "float32, channels_last, 2 batch norms folded"


def test_folding_removes_the_pass():
    network = Network().eval()
    assert fold_batch_norm(network) == 2
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert fold_batch_norm(network) == 0


class Shared(nn.Module):
    """One convolution, normalized in two ways."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.one, self.two = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        return (self.one(self.conv(images)) - self.two(self.conv(images))).mean(dim=(2, 3))


class Skip(Shared):
    """The convolution's output is used without normalization as well."""

    def forward(self, images: Tensor) -> Tensor:
        raw = self.conv(images)
        return (self.one(raw) + raw).mean(dim=(2, 3))


class Peeking(Shared):
    """The normalization's weights are read by others."""

    def forward(self, images: Tensor) -> Tensor:
        return self.one(self.conv(images)).mean(dim=(2, 3)) * self.one.weight + self.conv.bias


class TwoNames(Shared):
    """The normalization is also owned, and used, by a part that cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.path = nn.Sequential(self.conv, self.one)
        self.two = self.one

    def forward(self, images: Tensor) -> Tensor:
        extra = self.two(self.conv(images)) if len(images) else images
        return (self.path(images) + extra.relu()).mean(dim=(2, 3))


class Hooked(Shared):
    """A hook changes what the convolution returns."""

    def __init__(self) -> None:
        super().__init__()
        self.conv.register_forward_hook(lambda module, inputs, output: output.abs())

    def forward(self, images: Tensor) -> Tensor:
        return self.one(self.conv(images)).mean(dim=(2, 3))


class Stateless(Shared):
    """Normalizes by the statistics of the batch, always."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.one(self.conv(images)).amax(dim=(2, 3))


class Stubborn(Stateless):
    """Its normalization stays in training mode whatever is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.BatchNorm2d(4, momentum=0.0)

    def train(self, mode: bool = True) -> "Stubborn":
        super().train(mode)
        self.one.train(True)
        return self


@pytest.mark.parametrize("build", [Shared, Skip, Peeking, TwoNames, Hooked, Stateless, Stubborn])
def test_what_cannot_be_folded_is_left_alone(build):
    torch.manual_seed(0)
    network = build()
    liven(network)
    result, logits, expected = prepared(network)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    assert result.mode == "float32, channels_last, 0 batch norms folded", "by insight, not by trial"


def test_dropout_and_batch_statistics_of_training_mode_are_not_used():
    network = Network().train()
    result = prepare(network, "float32", IMAGES[:1])
    assert torch.equal(result(IMAGES), result(IMAGES))
    assert network.training
    torch.testing.assert_close(result(IMAGES), network.eval()(IMAGES).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "size"), [("resnet18", 32), ("mobilenet_v2", 32), ("squeezenet1_0", 48)])
def test_torchvision_networks_agree_in_both_precisions(name, size):
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(weights=None, num_classes=20)
    liven(network)
    images = torch.rand(2, 3, size, size)
    for precision, tolerance in (("float32", 1e-4), ("bfloat16", 0.05)):
        result, logits, expected = prepared(network, precision, images)
        assert result.mode.startswith(f"{precision}, channels_last")
        assert float((logits - expected).abs().max() / expected.abs().max()) < tolerance


def test_logits_are_not_rounded_in_bfloat16():
    result, logits, expected = prepared(Network(), "bfloat16")
    assert result.network.features[0].weight.dtype is torch.bfloat16
    assert result.network.head.weight.dtype is torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())
    assert not torch.equal(logits, expected), "it must really compute in bfloat16"
    torch.testing.assert_close(logits, expected, rtol=0, atol=0.02 * float(expected.abs().max()))


class Positions(nn.Module):
    """Holds numbers that bfloat16 cannot tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Network()
        self.register_buffer("position", torch.arange(1000.0, 1005.0))
        self.register_buffer("order", torch.tensor([4, 3, 2, 1, 0]))

    def forward(self, images: Tensor) -> Tensor:
        return (self.network(images) + 10 * (self.position - 1000))[:, self.order]


class Typed(Network):
    """Insists on float32 between its layers."""

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images.float() + torch.ones(1)))


@pytest.mark.parametrize("build", [Positions, Typed])
def test_autocast_is_used_where_weights_cannot_be_cast(build):
    result, logits, expected = prepared(build(), "bfloat16")
    assert result.mode == "autocast, channels_last, 2 batch norms folded"
    assert not torch.equal(logits, expected)
    assert not torch.equal(logits, logits.bfloat16().float()), "the head stays in float32 under autocast too"
    torch.testing.assert_close(logits, expected, rtol=0, atol=0.02 * float(expected.abs().max()))


class Flat(Network):
    """Needs contiguous features."""

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features[:6](images).view(len(images), -1)[:, :64])


class Product(Network):
    """Its logits are a bare product, as in classifiers that compare with embeddings of text."""

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images) @ self.head.weight.T


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_contiguous_layout_is_used_where_channels_last_fails(precision):
    result, logits, expected = prepared(Flat(), precision)
    assert result.mode == f"{precision}, contiguous, 2 batch norms folded"
    torch.testing.assert_close(logits, expected, rtol=0, atol=0.02 * float(expected.abs().max()))


def test_auto_takes_no_rounded_logits(monkeypatch):
    monkeypatch.setattr("attribution.engine.precision._native_bfloat16", lambda device: True)
    assert prepare(Network(), "auto", IMAGES[:1]).mode.startswith("bfloat16")
    assert prepare(Product(), "auto", IMAGES[:1]).mode.startswith("float32")
    assert prepare(Product(), "bfloat16", IMAGES[:1]).mode.startswith("autocast"), "who asks for it gets it"
    assert prepare(lambda images: images.mean((2, 3)), "auto", IMAGES[:1]).mode.startswith("float32")
    monkeypatch.setattr("attribution.engine.precision._native_bfloat16", lambda device: False)
    assert prepare(Network(), "auto", IMAGES[:1]).mode.startswith("float32")


def test_native_bfloat16_is_asked_of_the_processor(monkeypatch):
    for answer in (True, False):
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)
        assert prepare(Network(), "auto", IMAGES[:1]).exact is not answer


@pytest.mark.parametrize("gradient", [False, True])
def test_a_processor_gets_few_large_images_at_once(monkeypatch, gradient):
    pixels = IMAGES.shape[2] * IMAGES.shape[3]
    monkeypatch.setattr("infill.network.PIXELS_AT_ONCE", 3 * pixels - 1)
    classifier, counts = prepare(Network(), "float32", IMAGES[:1]), []
    classifier.network.register_forward_hook(lambda network, given, answer: counts.append(len(answer)))
    images = IMAGES[:1].expand(5, -1, -1, -1).clone().requires_grad_(gradient)
    logits = classifier(images)
    assert counts == ([5] if gradient else [2, 2, 1])
    assert logits.shape[0] == 5
    torch.testing.assert_close(logits, logits[:1].expand_as(logits), rtol=1e-5, atol=1e-6)
    counts.clear()
    PreparedClassifier(len, lambda given: counts.append(len(given)) or given.mean((2, 3)), "float32")(images)
    assert counts == [5], "nobody knows what a plain callable does"


def test_a_network_that_bfloat16_ruins_is_refused_in_it():
    class Fragile(Network):
        def forward(self, images: Tensor) -> Tensor:
            # Everything hangs on digits that bfloat16 does not have.
            return self.head(1e6 * (self.features(images) - self.features(images).bfloat16().float()))

    assert prepare(Fragile(), "float32", IMAGES[:1]).exact
    with pytest.raises(
        ValueError, match='does not give the same logits in bfloat16: use precision="float32"'
    ):
        prepare(Fragile(), "bfloat16", IMAGES[:1])


def test_a_plain_callable_is_called_as_it_is():
    calls = []

    def classifier(images: Tensor) -> Tensor:
        calls.append((torch.is_autocast_enabled("cpu"), images.dtype, images.is_contiguous()))
        return images.mean(dim=(2, 3))

    for precision in ("float32", "bfloat16"):
        result = prepare(classifier, precision, IMAGES[:1])
        assert result.network is classifier
        torch.testing.assert_close(result(IMAGES), IMAGES.mean(dim=(2, 3)))
    plain, fast = (False, torch.float32, True), (True, torch.float32, True)
    asked = [plain] * 3  # to see what it answers
    assert calls == [*asked, plain, *asked, fast]
    assert prepare(classifier, "bfloat16", IMAGES[:1]).mode == "autocast, contiguous, as it is"


def test_float32_means_float32_even_inside_autocast():
    result = prepare(Network(), "float32", IMAGES[:1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = result(IMAGES)
    assert torch.equal(inside, result(IMAGES))


def test_a_network_in_half_precision_is_run_in_float32():
    result, logits, _ = prepared(Network())
    half = prepare(Network().bfloat16(), "float32", IMAGES[:1])
    assert half.mode == result.mode
    torch.testing.assert_close(half(IMAGES), logits, rtol=0, atol=0.02 * float(logits.abs().max()))


def test_preparing_twice_does_nothing():
    once = prepare(Network(), "float32", IMAGES[:1])
    assert prepare(once, "float32", IMAGES[:1]) is once
    other = prepare(once, "bfloat16", IMAGES[:1])
    assert other.source is once.source
    assert other.mode.startswith("bfloat16")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_source_is_left_alone(precision):
    network = Sized(Network()).train()
    network.network.head.weight.grad = torch.ones_like(network.network.head.weight)
    network.network.features[1].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    parts = [type(module) for module in network.modules()]
    prepare(network, precision, IMAGES[:1])(IMAGES)
    assert all(module.training for module in network.modules())
    assert [type(module) for module in network.modules()] == parts
    assert all(
        torch.equal(value, state[name]) and value.dtype == state[name].dtype
        for name, value in network.state_dict().items()
    )
    assert all(value.is_contiguous() for value in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())
    assert [name for name, value in network.named_parameters() if not value.requires_grad] == [
        "network.features.1.weight"
    ]
    assert [name for name, value in network.named_parameters() if value.grad is not None] == [
        "network.head.weight"
    ]


class Broken(Linear):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * torch.nan


class Locked(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def test_what_cannot_be_used_is_refused():
    with pytest.raises(ValueError, match="got NaN logits for the first image"):
        prepare(Broken(), "float32", IMAGES[:1])
    with pytest.raises(ValueError, match="classifier must be on the image's device cpu, got meta"):
        prepare(Linear().to("meta"), "float32", IMAGES[:1])
    normalized = Linear()
    normalized.register_buffer("mean", torch.zeros(3, device="meta"))
    with pytest.raises(ValueError, match="classifier must be on the image's device cpu, got meta"):
        prepare(normalized, "float32", IMAGES[:1])
    elsewhere = nn.Linear(3, 2, device="meta")
    with pytest.raises(ValueError, match=r"fails for the first: .*device.* give lambda x: model") as caught:
        prepare(lambda images: elsewhere(images.mean((2, 3))), "float32", IMAGES[:1])
    assert "\n" not in str(caught.value)


def test_a_copy_that_says_something_else_is_not_used(monkeypatch):
    def spoil(network: nn.Module) -> int:
        network.head.bias.data.add_(1)
        return 1

    monkeypatch.setattr("attribution.engine.precision.fold_batch_norm", spoil)
    result, logits, expected = prepared(Network())
    assert result.mode == "float32, contiguous, 0 batch norms folded"
    torch.testing.assert_close(logits, expected)


def test_other_threads_go_on_while_a_network_is_traced():
    """A tracer stands in for the calls of all modules of the process."""
    deep = nn.Sequential(*[nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(150)]).eval()
    plain = Network().eval()
    with torch.no_grad():
        expected = plain(IMAGES)
    wrong: list[BaseException] = []
    done = threading.Event()

    def looking() -> None:
        try:
            while not done.is_set():
                with torch.no_grad():
                    assert torch.equal(plain(IMAGES), expected)
        except BaseException as error:
            wrong.append(error)

    def folding(counts: list[int]) -> None:
        counts.append(fold_batch_norm(copy.deepcopy(deep)))

    counts: list[int] = []
    call = nn.Module.__call__
    watcher = threading.Thread(target=looking)
    folders = [threading.Thread(target=folding, args=(counts,)) for _ in range(3)]
    watcher.start()
    for each in folders:
        each.start()
    for each in folders:
        each.join()
    done.set()
    watcher.join()
    assert not wrong
    assert counts == [150] * 3
    assert nn.Module.__call__ is call
