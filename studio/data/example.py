"""What is known about one image, and sets of such images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from studio.data.annotation import Label

Case: TypeAlias = "tuple[int, Label | None]"
"""The number of an example, and one of its classes; ``None``: that which is taken unless one asks."""


@dataclass(frozen=True, eq=False)
class Example:
    """One image, and what is known about it.

    Attributes:
        name: Unique in its data set: ``scene-12``, or the file's path in the folder of images.
        label: The class's index, or its name where the data has names only.
        silhouette: The pixels of the labelled objects: some, and not all.
        boxes: Around the labelled objects, inside of the image: xmin, ymin, xmax, ymax in pixels, maxima
            exclusive.
        background: The same image without the objects.
        others: By class the boxes of all other objects; ``None`` where they are not known.
    """

    name: str
    image: Float[Tensor, "3 h w"]
    label: Label | None = None
    silhouette: Bool[Tensor, "h w"] | None = None
    boxes: Int[Tensor, "o 4"] | None = None
    background: Float[Tensor, "3 h w"] | None = None
    others: Mapping[Label, Int[Tensor, "o 4"]] | None = None

    @property
    def difficult(self) -> bool | None:
        """Whether it is of the pointing game's difficult cases; ``None`` where not all objects are known."""
        from attribution.evaluation.pointing import difficult

        if self.others is None or self.boxes is None:
            return None
        height, width = self.image.shape[1:]
        return difficult({self.label: self.boxes, **self.others}, self.label, (height, width))


class Dataset(Protocol):
    """Examples, read one at a time; making one opens no image."""

    @property
    def title(self) -> str:
        """What a person calls it: ``scenes:500``, or the folder's name."""

    @property
    def kind(self) -> str:
        """One of ``scenes``, ``silhouettes``, ``boxes``, ``ilsvrc``, ``voc``, ``places``, ``images``."""

    @property
    def offers(self) -> frozenset[str]:
        """Which of ``labels``, ``silhouettes``, ``boxes``, ``others``, ``background`` its examples have."""

    @property
    def home(self) -> Path | None:
        """The folder of the images; ``None`` if they are drawn."""

    @property
    def notes(self) -> Sequence[str]:
        """What the user must know."""

    @property
    def names(self) -> Sequence[str]:
        """The names of all examples, in order."""

    @property
    def photographs(self) -> Sequence[str]:
        """Of which image each example is: several, one for each of its classes, may be of one."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Example:
        """Read one example.

        Raises:
            ValueError: If a file of it is missing, bad, or does not fit the image; it is named.
        """

    def classes(self, index: int) -> Sequence[Label]:
        """Return the classes that an example is known to show, first that of its label; opens no image.

        Raises:
            ValueError: If a file that says so is missing or bad.
        """

    def only(self, cases: Sequence[Case]) -> Dataset:
        """Return the data set of these examples alone, each for one of its classes if the case says which."""

    def fingerprint(self) -> str:
        """Return a digest that is different after files came, went, or changed, but for their times."""


def first_readable(data: Dataset) -> Example:
    """Return the first example that can be read.

    Raises:
        ValueError: If none can.
    """
    first = ""
    for number in range(len(data)):
        try:
            return data.read(number)
        except ValueError as error:
            first = first or str(error)
    raise ValueError(f"DATA: none of {len(data)} images can be used; {first}")
