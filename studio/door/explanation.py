"""One explanation: a heatmap, and all that is to be known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from studio.door.folder import folder_of
from studio.door.show import figure_of, figure_png, html_of, said_of, table_of
from studio.explain.explain import TRACES, files_of
from studio.explain.page import seen_in
from studio.explain.report import heatmaps
from studio.output import output_folder

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8
    from matplotlib.figure import Figure
    from numpy import ndarray

    from studio.explain.panel import Composite
    from studio.explain.result import Explanation as Result
    from studio.explain.result import MethodResult


@dataclass(frozen=True)
class Target:
    """A class.

    Attributes:
        index: Its number.
        label: Its name.
    """

    index: int
    label: str


class Explanation:
    """What one method with one filler finds in one image, for one classifier and class.

    A notebook shows it, ``print`` tells it in a short table.

    Attributes:
        image: What the image is called.
        classifier: What the classifier is called.
        method: The method's name.
        filler: The filler's name.
        notes: What must be said of it, as that settings are quicker than the paper's.
    """

    def __init__(self, result: Result, method: str, filler: str, notes: Sequence[str] = ()) -> None:
        self.image, self.classifier = result.image.folder, result.name
        self.method, self.filler, self.notes = method, filler, tuple(notes)
        self._whole = result
        self._run: MethodResult = result.results[filler, method]

    @property
    def heatmap(self) -> Float[ndarray, "h w"]:
        """The evidence for the target, as float32 in the image's own pixels.

        It is 0 where the classifier's crop cut the image away, and what ``heatmaps.npz`` holds. Of methods
        that are signed, evidence against the target is negative.
        """
        return self._maps[f"{self.method}/{self.filler}"]

    @property
    def error(self) -> Float[ndarray, "h w"] | None:
        """The standard error of each pixel of the heatmap; ``None`` where the method does not know it."""
        return self._maps.get(f"{self.method}/{self.filler}/error")

    @property
    def hole(self) -> UInt8[ndarray, "h w"] | None:
        """What an optimizing method removes: 1 there, 0 elsewhere; ``None`` of other methods."""
        return self._maps.get(f"{self.method}/{self.filler}/hole")

    @property
    def target(self) -> Target:
        """What is explained: a class, unless something else was asked for; then its ``label`` says what."""
        result = self._whole
        return Target(result.target, result.asked.title or result.label(result.target))

    @property
    def probability(self) -> float:
        """How probable the classifier finds the target in the untouched image; else its score."""
        result = self._whole
        return float(result.probabilities[result.target]) if result.asked.probable else result.clean

    @property
    def score(self) -> float:
        """The score of the untouched image, whose changes the method follows: usually the probability."""
        return self._whole.clean

    @property
    def top(self) -> list[tuple[str, float]]:
        """What the classifier sees in the untouched image: the most probable classes, best first."""
        return list(seen_in(self._whole))

    @property
    def reliability(self) -> float | None:
        """The rank correlation with a map of as many new samples; ``None``: not known."""
        return float(self._run.estimate.reliability) if self._run.estimate else None

    @property
    def composites(self) -> int:
        """How many composites the method looked at."""
        return self._run.composites

    @property
    def seconds(self) -> float:
        """How long the method took."""
        return self._run.seconds

    @property
    def whole(self) -> Result:
        """What was found by all methods with all fillers beside this one."""
        return self._whole

    @property
    def result(self) -> Result:
        """All that is known of it: what the figure and the files are made of."""
        return self._whole.part([(self.filler, self.method)])

    def shown(self) -> Sequence[Composite]:
        """Return some of the images that the classifier was shown, with what was removed and what it said.

        Of an optimizing method it is the counterfactual. Each has an ``image`` "h w 3" and a ``hole``
        "h w" in the classifier's view, the target's ``score`` (its probability, unless it is compared with
        another class) and the ``label`` of the classifier's first choice.
        """
        return [replace(each, image=each.image.copy(), hole=each.hole.copy()) for each in self._run.samples]

    def figure(self) -> Figure:
        """Return ``explain.png`` as a figure of matplotlib."""
        return figure_of(self.result)

    def save(self, folder: Path | str) -> list[Path]:
        """Write explain.png, heatmaps.npz and explain.json, as the command does; return their paths.

        Raises:
            ValueError: If the folder is no path, or they cannot be written.
        """
        read = {"image": [self.result.image.origin.get("file")]}
        with output_folder(folder_of(folder)) as output:
            return output.publish(files_of(self.result), former=TRACES, read=read)

    @cached_property
    def _maps(self) -> dict[str, ndarray]:
        # Copies, for of a classifier that is shown whole images they are the result's own memory.
        return {name: array.copy() for name, array in heatmaps(self.result)}

    def __str__(self) -> str:
        return table_of(self.result, self.notes)

    def __repr__(self) -> str:
        what = f"{self.image}, {self.classifier}: {said_of(self._whole)}"
        return f"<Explanation of {what} by {self.method}/{self.filler}>"

    def _repr_png_(self) -> bytes:
        return figure_png(self.result)

    def _repr_html_(self) -> str:
        return html_of(self.result, self.notes)
