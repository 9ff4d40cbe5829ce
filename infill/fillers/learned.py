"""Any inpainting network as a filler: the one place where ``infill`` meets networks."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from infill.filler import Chance, Fill, Hole, Images, check_observed, spawn
from infill.fillers.crops import Windows, dilated, from_frame, to_frame, windows
from infill.fillers.seam import feathered
from infill.network import Network, Precision, at_once, compute_dtype, home, ready
from infill.validate import Count, Length, Level, Range, Reach, require, require_settings


@dataclass(frozen=True, eq=False)
class Learned:
    """A learned inpainter G(hole, x) (Agarwal & Nguyen 2020, sec. 3.2).

    ``network`` is any callable ``(image, hole) -> image``; its hole is ``n 1 h w`` in {0, 1} with
    1 = removed. Soft holes are binarized, each by itself: the network is asked to fill the
    pixels with ``hole >= threshold``; where a softer hole lets some of the fill through, the
    network saw the image, and the fill is what it returned there (outside a context window: the
    image itself). The pixels to be filled are hidden from it. Where nothing is to be filled the
    network is not asked, and the fill is the image.

    An ``nn.Module`` is copied once, on construction, and the copy is used in eval mode: the
    caller's module is never touched, nor are its later changes followed; with ``copy=False`` it
    is given away, which saves its memory. Images travel to the
    module's device and back, and come in channels-last layout; a plain callable gets contiguous
    ones on the image's device.

    Args:
        network: The inpainter, a module or any callable.
        threshold: From which value on a soft hole is one for the network, in (0, 1].
        size: Height and width (or both in one number) that the network works at. Image and hole
            are resized bilinearly, every pixel that the hole touches is hidden (see ``coverage``), and the
            result is resized back. ``None``: any size.
        coverage: When resizing, hide only pixels of which more than this share, in [0, 1), comes from hidden
            ones; the others show what observed pixels contribute to them.
        multiple: What the sides of the network's input must be multiples of. Image and hole are
            extended to it by repeating their last rows and columns.
        value_range: What 0 and 1 of an image become in the network's input and output.
        dilation: By how many pixels the network's hole is wider than the hole on every side.
        batch_size: How many holes the network gets at most at once; ``None``: all that are asked about.
            On a processor a module gets fewer, which is faster (`infill.network.at_once`).
        context: Show the network only a window: the hole's bounding box and at least this many
            pixels on every side, see ``infill.fillers.crops``. ``None``: the whole image.
        feather: So many pixels inside the hole's rim take on some of the colors beside it: half of them
            at the rim, and less further in. No network meets every pixel of the rim.
        blank: What hidden pixels are replaced with, in the network's range.
        precision: The dtype a module is cast to and is fed with; "auto": bfloat16 where the device
            computes faster in it, else float32. A plain callable is fed with it ("auto": float32).
        sees_hidden: Do not hide the pixels under the hole from the network.
        stochastic: Call the network with ``generator=``, a list with one generator per hole.
        copy: Copy a module. If not, the module itself is put into eval mode, frozen and cast: nobody
            else may use or change it.

    Raises:
        ValueError: If a parameter is out of its range.
    """

    network: Network = field(repr=False)
    threshold: Level = 0.5
    size: Length | tuple[int, int] | None = None
    coverage: Annotated[float, Range(0, 1, open_high=True)] = 0.0
    multiple: Length = 1
    value_range: Annotated[tuple[float, float], Range(-(10**6), 10**6)] = (0.0, 1.0)
    dilation: Reach = 0
    batch_size: Count | None = None
    context: Reach | None = None
    feather: Reach = 0
    blank: Annotated[float, Range(-(10**6), 10**6)] = 0.0
    precision: Precision = "float32"
    sees_hidden: bool = False
    stochastic: bool = False
    copy: bool = True
    per_hole: ClassVar[bool] = True
    _ready: Network = field(init=False, repr=False)
    _dtype: torch.dtype = field(init=False, repr=False)

    def __post_init__(self) -> None:
        require(callable(self.network), "network", "callable", self.network)
        require_settings(self)
        pairs = [("value_range", self.value_range), ("size", self._native() or (1, 1))]
        for name, pair in pairs:
            require(len(pair) == 2, name, "two numbers", pair)
        fits = all(side > 0 and side % self.multiple == 0 for side in self._native() or ())
        require(fits, "size", f"positive and a multiple of {self.multiple}", self.size)
        low, high = self.value_range
        require(low < high, "value_range", "(low, high)", self.value_range)
        object.__setattr__(self, "_dtype", compute_dtype(self.network, self.precision))
        object.__setattr__(self, "_ready", ready(self.network, self._dtype, self.copy))

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Ask the network to fill each hole.

        Raises:
            ValueError: If the holes do not fit, if the image leaves [0, 1], if a stochastic network has no
                generator, or if the network returns something other than finite images of the
                shape it was given.
        """
        check_observed(image, hole)
        chance = spawn(generator, len(hole)) if self.stochastic else None
        with torch.no_grad():
            hidden = dilated(hole >= self.threshold, self.dilation)
            fill = _one_per_hole(image.clamp(0, 1), len(hole))
            for group in windows(hidden, self.context, self.multiple):
                for part in group.split(self._at_once(group, image.device)):
                    generators = None if chance is None else [chance[index] for index in part.index]
                    content = self._fill(part, image, hidden, generators)
                    part.paste(content.to(fill.device, fill.dtype), fill)
        return fill

    def _at_once(self, group: Windows, device: torch.device) -> int:
        most = self.batch_size or len(group.index)
        return at_once(self._ready, home(self._ready) or device, self._native() or group.size, most)

    def _native(self) -> tuple[int, int] | None:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def _fill(
        self, part: Windows, image: Images, hidden: Bool[Tensor, "n 1 h w"], chance: list[Generator] | None
    ) -> Float[Tensor, "k c y x"]:
        """What the network puts in the windows, in [0, 1] and float32."""
        device = home(self._ready) or image.device
        shown = part.cut(image).to(device, torch.float32)
        hole = part.cut(hidden).to(device)
        visible, gone = to_frame(shown, hole, self._native(), self.multiple, self.coverage)
        low, high = self.value_range
        network_input = self._network_input((visible * (high - low) + low).to(self._dtype), gone)
        options = {} if chance is None else {"generator": chance}
        content = self._ready(network_input, gone.to(self._dtype), **options)
        _check_output(content, network_input.shape, part.index)
        content = (content.float() - low).div_(high - low).clamp_(0, 1)
        # Once more, for resizing rounds: of nothing but ones it may make a little more.
        content = from_frame(content, part.size, self._native()).clamp_(0, 1)
        return feathered(content, shown, hole, self.feather)

    def _network_input(
        self, visible: Float[Tensor, "#k c y x"], gone: Bool[Tensor, "k 1 y x"]
    ) -> Float[Tensor, "k c y x"]:
        """The network's own copy of the image, one per hole, with hidden pixels blanked."""
        module = isinstance(self._ready, nn.Module)
        layout = torch.channels_last if module else torch.contiguous_format
        shape = (len(gone), *visible.shape[1:])
        network_input = torch.empty(shape, dtype=visible.dtype, device=visible.device, memory_format=layout)
        if self.sees_hidden:
            return network_input.copy_(visible)
        return torch.where(gone, visible.new_tensor(self.blank), visible, out=network_input)


def _one_per_hole(image: Images, count: int) -> Fill:
    """Copies of the image, laid out in memory as it is."""
    last = image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    return image.expand(count, -1, -1, -1).clone(memory_format=layout)


def _check_output(content: object, shape: torch.Size, index: list[int]) -> None:
    if not (isinstance(content, Tensor) and content.is_floating_point()):
        raise ValueError(f"the inpainter must return a floating point tensor, got {_described(content)}")
    if content.shape != shape:
        raise ValueError(f"the inpainter must return shape {tuple(shape)}, got {_described(content)}")
    if not torch.stack(torch.aminmax(content)).isfinite().all():
        first = int(content.isfinite().flatten(1).all(1).long().argmin())
        raise ValueError(f"the inpainter returned NaN or infinity for hole {index[first]}")


def _described(content: object) -> str:
    if isinstance(content, Tensor):
        return f"{content.dtype} of shape {tuple(content.shape)}"
    return type(content).__name__
