"""Several explanations: images, classifiers, methods and fillers as a grid."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from studio.columns import aligned
from studio.door.folder import folder_of
from studio.door.show import figure_of, figure_png, grid_html, said_of
from studio.explain.explain import TRACES, files_of
from studio.explain.inputs import folders, numbered
from studio.output import output_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from studio.door.explanation import Explanation
    from studio.explain.result import Explanation as Result


@dataclass(frozen=True)
class Group:
    """What one call explained of one image and classifier.

    Attributes:
        image: What the image is called, numbered where other calls have called theirs the same.
    """

    classifier: str
    image: str
    cells: Sequence[Explanation]

    @property
    def result(self) -> Result:
        """The result that holds all of its explanations."""
        return self.cells[0].whole.part({(each.filler, each.method) for each in self.cells})


class Explanations(Sequence["Explanation"]):
    """A list of explanations, by classifier, image, filler and method, in the order they were asked for.

    ``grid.only(method="lime", filler="gray")`` is the one that is meant, ``grid.where(method="lime")`` the
    smaller grid. A notebook shows the heatmaps side by side, ``print`` a line for each.

    Explanations of several calls may be put together: what each call explained stays apart, though images are
    called the same.
    """

    def __init__(self, explanations: Sequence[Explanation]) -> None:
        self._all = tuple(explanations)

    @overload
    def __getitem__(self, index: int) -> Explanation: ...
    @overload
    def __getitem__(self, index: slice) -> Explanations: ...
    def __getitem__(self, index: int | slice) -> Explanation | Explanations:
        found = self._all[index]
        return Explanations(found) if isinstance(found, tuple) else found

    def __len__(self) -> int:
        return len(self._all)

    @property
    def images(self) -> list[str]:
        """The names of the images."""
        return _names(self, lambda each: each.image)

    @property
    def classifiers(self) -> list[str]:
        """The names of the classifiers."""
        return _names(self, lambda each: each.classifier)

    @property
    def methods(self) -> list[str]:
        """The names of the methods."""
        return _names(self, lambda each: each.method)

    @property
    def fillers(self) -> list[str]:
        """The names of the fillers."""
        return _names(self, lambda each: each.filler)

    def where(self, **names: str) -> Explanations:
        """Return the explanations of this ``image``, ``classifier``, ``method`` or ``filler``.

        Raises:
            ValueError: If there is none.
        """
        axes = ("image", "classifier", "method", "filler")
        for axis in names:
            if axis not in axes:
                raise ValueError(f"where: expected {', '.join(axes)}, got {axis!r}")
        found = [each for each in self if all(getattr(each, axis) == name for axis, name in names.items())]
        if not found:
            asked = ", ".join(f"{axis} {name!r}" for axis, name in names.items())
            known = "; ".join(f"{axis}: {', '.join(getattr(self, axis + 's'))}" for axis in axes)
            raise ValueError(f"where: there is no {asked}; {known}")
        return Explanations(found)

    def only(self, **names: str) -> Explanation:
        """Return the one explanation that is meant, as `where` has it.

        Raises:
            ValueError: If there is none, or more than one.
        """
        found = self.where(**names)
        if len(found) > 1:
            raise ValueError(f"only: expected names that mean one explanation, got {len(found)}")
        return found[0]

    def figure(self) -> Figure:
        """Return all methods and fillers of the one image and classifier, as ``explain.png`` shows them.

        Raises:
            ValueError: If there are several images or classifiers, or several calls explained them.
        """
        return figure_of(self._result())

    def save(self, folder: Path | str) -> list[Path]:
        """Write the command's files; several images, or classifiers, get a folder each.

        Raises:
            ValueError: If the folder is no path, or they cannot be written.
        """
        groups = self._groups()
        several, apart = len(self.classifiers) > 1, len({group.image for group in groups}) > 1
        homes = dict(zip(self.classifiers, folders(map(_plain, self.classifiers)), strict=True))
        with output_folder(folder_of(folder)) as output:
            paths: list[Path] = []
            for group in groups:
                place = Path(*[homes[group.classifier]] * several, *[group.image] * apart)
                read = {"image": [group.result.image.origin.get("file")]}
                paths += output.publish(files_of(group.result), str(place), TRACES, read)
            return paths

    def _groups(self) -> list[Group]:
        """Return what belongs together: names alone do not tell, for every array is called the same."""
        found: dict[tuple[str, int], list[Explanation]] = {}
        for each in self:
            found.setdefault((each.classifier, id(each.whole)), []).append(each)
        images: dict[str, list[str]] = {}
        for (classifier, _), cells in found.items():
            images.setdefault(classifier, []).append(cells[0].image)
        names = {classifier: iter(numbered(stems)) for classifier, stems in images.items()}
        return [Group(classifier, next(names[classifier]), cells) for (classifier, _), cells in found.items()]

    def _result(self) -> Result:
        groups = self._groups()
        if len(groups) > 1:
            raise ValueError(
                "figure: expected one image and classifier, explained by one call, got "
                f"{len(groups)}; where(image=...) has less"
            )
        return groups[0].result

    def __str__(self) -> str:
        rows = [
            (
                each.image,
                each.classifier,
                said_of(each.result),
                each.method,
                each.filler,
            )
            for each in self
        ]
        lines = [("image", "classifier", "target", "method", "filler"), *rows]
        notes = dict.fromkeys(note for each in self for note in each.notes)
        return "\n".join([*aligned(lines), *notes])

    def __repr__(self) -> str:
        sizes = f"{len(self.images)} images, {len(self.classifiers)} classifiers"
        return f"<Explanations: {sizes}, {len(self.methods)} methods, {len(self.fillers)} fillers>"

    def _repr_html_(self) -> str:
        columns = list(dict.fromkeys((each.method, each.filler) for each in self))
        several = len(self.classifiers) > 1
        rows = []
        for group in self._groups():
            placed = {(each.method, each.filler): each.result for each in group.cells}
            name = f"{group.image}, {group.classifier}" if several else group.image
            rows.append((name, [placed.get(column) for column in columns]))
        return grid_html(rows, [f"{method} / {filler}" for method, filler in columns])

    def _repr_png_(self) -> bytes | None:
        return figure_png(self._result()) if len(self._groups()) == 1 else None


def _plain(classifier: str) -> str:
    """Return a classifier's name, such as ``hf:models/net``, without what has a meaning in paths."""
    return re.sub(r"[^\w.@,=+-]", "_", classifier)


def _names(explanations: Explanations, name: Callable[[Explanation], str]) -> list[str]:
    return list(dict.fromkeys(map(name, explanations)))
