"""``infill.realism``: what ``infill realism`` does, in one call."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infill.validate import require_settings
from studio.door.classifiers import classifiers_of
from studio.door.folder import folder_of, kept, run_folder
from studio.door.settings import sorted_out
from studio.door.show import shrunk
from studio.door.things import NO_THINGS, fillers_of, several
from studio.progress import Progress
from studio.realism.request import RealismRequest
from studio.realism.run import realism as run
from studio.realism.table import rows_of, text_table
from studio.registry.own import Own
from studio.registry.variants import kinds_of

if TYPE_CHECKING:
    from studio.door.classifiers import AnyClassifier
    from studio.door.explain import AnyFiller
    from studio.door.things import Several

FIELDS = (
    "seed", "device", "precision", "batch_size", "weights", "multi_label", "split", "targets", "classes",
    "sample", "limit", "correct_only", "holes", "grow", "side", "hole_area", "labels", "reference",
    "judge", "judge_weights", "segmenter", "segmenter_weights", "segmenter_class", "segmenter_point",
    "lpips", "strips",
)  # fmt: skip
WIDTH = 800
"""Of the picture in a notebook, in pixels."""
FILES = ("realism.csv", "realism.json", "realism.png")


class Realism:
    """What fillers leave of objects, and how real it looks.

    A notebook shows it, ``print`` tells the command's table.

    Attributes:
        report: What ``realism.json`` says.
        folder: Where its files are.
    """

    def __init__(self, report: Mapping[str, Any], folder: Path) -> None:
        self.report, self.folder = report, folder

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Each ``value`` with its ``low`` and ``high``, by ``filler`` and ``metric``; which is ``better``."""
        return rows_of(self.report)

    def save(self, folder: Path | str) -> list[Path]:
        """Write the command's files, without what it keeps to go on; return their paths.

        Raises:
            ValueError: If the folder is no path, or they cannot be written.
        """
        return kept(self.folder, FILES, folder_of(folder))

    def __str__(self) -> str:
        return text_table(self.report)

    def __repr__(self) -> str:
        return f"<Realism of {', '.join(self.report['rows'])}: {self.report['title']}>"

    def _repr_png_(self) -> bytes:
        return shrunk(io.BytesIO((self.folder / "realism.png").read_bytes()), WIDTH)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def realism(
    data: str | Path,
    classifier: AnyClassifier | None = None,
    *,
    filler: AnyFiller | Several = (),
    preprocessing: Any = None,
    out: Path | str | None = None,
    progress: bool = True,
    **settings: Any,
) -> Realism:
    """Fill the same holes in every way, and see what is left of the objects and how real it looks.

    It does what the command ``infill realism`` does.

    Args:
        data: ``"scenes:N"``, or a folder of images, as the command takes it.
        classifier: Whose view it is, and who judges: a name, a module or a function; ``None``: the command's.
        filler: Names or objects, one or several; none are the command's.
        preprocessing: How a module wants its images; it must say its crop. `load_classifier` gives it
            names of classes, too.
        out: The folder in which the results are kept, so that the same call goes on where it was;
            ``None``: a temporary one. Objects are always measured anew.
        progress: Whether a bar shows how it goes.
        settings: The command's options (``holes="background"``, ``sample=100``, ``seed=1``), and fields of a
            filler (``settings={"blur.sigma": 5}``).

    Raises:
        ValueError: If something is unknown, impossible or cannot be read, in the command's words.
    """
    if several(classifier):
        raise ValueError(f"classifier: expected one, got {type(classifier).__name__}")
    if several(settings.get("labels")):
        rule = "expected 'data' or 'top1', whose word counts"
        raise ValueError(
            f"labels: {rule}; names of classes go to load_classifier(network, preprocessing, labels)"
        )
    fillers = NO_THINGS if several(filler) and not filler else fillers_of(filler)
    fields, texts = sorted_out(settings, FIELDS, kinds_of(fillers.named))
    request = RealismRequest(str(data), fillers=fillers.texts, settings=texts, **fields)
    require_settings(request)
    (asked,) = classifiers_of(classifier, preprocessing, (), request)
    own = Own(asked.own, {}, fillers.own)
    with run_folder(request, asked, out) as ready:
        report = run(ready, lambda _: None, own, Progress(quiet=not progress, passing=True))
        return Realism(report, ready.out)
