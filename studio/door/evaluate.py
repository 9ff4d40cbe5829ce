"""``infill.evaluate``: what ``infill evaluate`` does, in one call."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infill.validate import require_settings
from studio.door.classifiers import classifiers_of
from studio.door.folder import folder_of, run_folder
from studio.door.plain import with_derivatives
from studio.door.settings import sorted_out
from studio.door.things import NO_THINGS, Things, fillers_of, listed, methods_of, several
from studio.evaluate.request import EvaluateRequest
from studio.evaluate.run import evaluate as run
from studio.progress import Progress
from studio.registry.own import Own
from studio.registry.variants import kinds_of
from studio.report.results import Results, read
from studio.report.run import report, tell
from studio.report.tables import Table, below, headed, named, number, tables

if TYPE_CHECKING:
    from studio.door.classifiers import AnyClassifier
    from studio.door.explain import AnyFiller, AnyMethod
    from studio.door.things import Several

FIELDS = (
    "seed", "device", "precision", "runtime", "batch_size", "weights", "multi_label", "split", "targets",
    "classes", "sample", "limit", "correct_only", "preset", "paper", "baselines", "samples", "largest_box",
    "target", "against", "attack", "fill_cache", "fill_cache_size",
)  # fmt: skip
STRIPS = 40


class Evaluation:
    """How good heatmaps are, by every metric.

    A notebook shows its first table, ``print`` tells all that the command tells.

    Attributes:
        results: What was found, image by image.
        tables: The table of all images, and those of subsets that the data knows.
        folder: Where the run is kept.
        notes: What must be said of it, as that a module got the pixels as they are.
    """

    def __init__(self, folder: Path, notes: Sequence[str] = ()) -> None:
        self.folder, self.notes = folder, tuple(notes)
        self.results: Results = read(folder)
        self.tables: Sequence[Table] = tables(self.results)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Each ``value`` with its ``low`` and ``high``, by ``method``, ``filler`` and ``metric``."""
        table = self.tables[0]
        return [
            {
                "method": row[0],
                "filler": row[1],
                "metric": figure.title,
                "value": value.value,
                "low": value.low,
                "high": value.high,
            }
            for figure in table.figures
            for row, value in table.cells[figure.key].items()
        ]

    def save(self, folder: Path | str, strips: int = STRIPS) -> list[Path]:
        """Write what ``infill report`` does, with the heatmaps of so many images; return the paths.

        Raises:
            ValueError: If the folder is no path, or they cannot be written.
        """
        said: list[str] = []
        return list(report([self.folder], folder_of(folder), strips, said.append))

    def __str__(self) -> str:
        lines: list[str] = []
        tell(self.results, self.tables, lambda text: lines.append(str(text)))
        return "\n".join([*lines, *self.notes])

    def __repr__(self) -> str:
        return f"<Evaluation of {len(self.tables[0].rows)} rows on {self.tables[0].images} images>"

    def _repr_html_(self) -> str:
        table = self.tables[0]
        heads = "".join(f"<th>{html.escape(headed(figure))}</th>" for figure in table.figures)
        lines = []
        for row in table.rows:
            cells = ""
            for figure in table.figures:
                value = table.cells[figure.key].get(row)
                text = (
                    f"{number(figure, value.value)}<br>{below(figure, value, table.images)}" if value else ""
                )
                cells += f"<td>{text}</td>"
            lines.append(f"<tr><th>{html.escape(named(row))}</th>{cells}</tr>")
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return (
            f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>{notes}"
        )


@with_derivatives
def evaluate(
    data: str | Path,
    classifier: AnyClassifier | None = None,
    *,
    method: AnyMethod | Several = (),
    filler: AnyFiller | Several = (),
    metric: str | Several = (),
    preprocessing: Any = None,
    labels: Sequence[str] | None = (),
    out: Path | str | None = None,
    progress: bool = True,
    **settings: Any,
) -> Evaluation:
    """Run every method with every filler on every image of a data set, and judge the heatmaps.

    It does what the command ``infill evaluate`` does.

    Args:
        data: ``"scenes:N"``, or a folder of images, as the command takes it.
        classifier: A name, a module or a function; ``None``: the command's.
        method: Names (also ``"mp/blur"``) or objects, one or several; none are the command's.
        filler: Names or objects, one or several; none are the command's.
        metric: Names, as in ``"deletion:inpaint"``; none are all that the data has the truth for.
        preprocessing: How a module wants its images.
        labels: The names of its classes.
        out: The folder in which the run is kept, so that the same call goes on where it was; ``None``: a
            temporary one. A run with objects is never the same.
        progress: Whether a bar shows how it goes.
        settings: The command's options (``sample=100``, ``correct_only=True``, ``seed=1``), and fields of
            methods and fillers (``settings={"sp.stride": 16}``).

    Raises:
        ValueError: If something is unknown, impossible or cannot be read, in the command's words.
    """
    if several(classifier):
        raise ValueError(f"classifier: expected one, got {type(classifier).__name__}")
    methods, fillers = _methods(method), NO_THINGS if _none(filler) else fillers_of(filler)
    names = [text.partition("/")[0] for text in methods.named]
    fields, texts = sorted_out(settings, FIELDS, [*names, *kinds_of(fillers.named)])
    methods = methods.told(fields)
    metrics = () if _none(metric) else tuple(str(thing) for _, thing in listed(metric, "metric"))
    request = EvaluateRequest(
        str(data), methods=methods.texts, fillers=fillers.texts, metrics=metrics, settings=texts, **fields
    )
    require_settings(request)
    (asked,) = classifiers_of(classifier, preprocessing, labels, request)
    own = Own(asked.own, methods.own, fillers.own)
    with run_folder(request, asked, out) as ready:
        run(ready, lambda _: None, own, Progress(quiet=not progress, passing=True))
        return Evaluation(ready.out, asked.notes)


def _none(given: Any) -> bool:
    return several(given) and not given


def _methods(given: Any) -> Things:
    """Return the methods; some name their fillers, which are checked elsewhere."""
    if _none(given):
        return NO_THINGS
    plain = [
        thing.partition("/")[0] if isinstance(thing, str) else thing for _, thing in listed(given, "method")
    ]
    methods_of(plain)
    if not any(isinstance(thing, str) and "/" in thing for _, thing in listed(given, "method")):
        return methods_of(given)
    if any(not isinstance(thing, str) for _, thing in listed(given, "method")):
        raise ValueError("method: expected either objects, or names with fillers of their own, got both")
    return Things(tuple(thing for _, thing in listed(given, "method")), {})
