"""What the classifier says of all prototypes: how consistent it is (Deelaka et al. 2024, sec. 4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from infill.extras import optional
from studio.blanks.setup import LEVELS, NAMES, RANDOM, Setup
from studio.runs.folder import RunFolder
from studio.runs.part import Part


@dataclass(frozen=True)
class Consistency:
    """How often the classifier takes prototypes for what they were made of.

    Attributes:
        name: How they were made.
        images: How many there are.
        left_out: How many images have none: no mask leaves their class to be seen, or BFGS diverges.
        accuracy, macro_f1, weighted_f1: As scikit-learn has them, in [0, 1].
        correct: How many masks were averaged for each in the mean; 0 for progressive ones.
        masks: How many were tried.
    """

    name: str
    images: int
    left_out: int
    accuracy: float
    macro_f1: float
    weighted_f1: float
    correct: float = 0.0
    masks: float = 0.0


@dataclass(frozen=True, eq=False)
class Results:
    """All that was found.

    Attributes:
        parts: By variant and number of the image.
        rows: The consistency of every variant.
        levels: By masking, the consistency at each level of the threshold, the last without one.
    """

    parts: dict[str, dict[int, Part]]
    rows: Sequence[Consistency]
    levels: Mapping[str, Sequence[Consistency]]

    def row(self, name: str) -> Consistency | None:
        """Return the consistency of a variant; ``None`` if no image has a prototype."""
        return next((each for each in self.rows if each.name == name), None)

    def as_json(self, setup: Setup) -> dict[str, Any]:
        """Return everything in values that JSON has."""
        return {
            "settings": dict(setup.settings),
            "consistency": [asdict(each) for each in self.rows],
            "levels": {name: [asdict(each) for each in rows] for name, rows in self.levels.items()},
            "left_out": {
                name: {str(number): part.error for number, part in parts.items() if part.error}
                for name, parts in self.parts.items()
            },
        }


def collect(folder: RunFolder, setup: Setup) -> Results:
    """Read what all units have found.

    Raises:
        ValueError: If no image has a prototype.
        OSError: If a part is no longer there.
    """
    parts = {
        name: {number: _loaded(folder, number, setup.unit(name)) for number in setup.numbers(name)}
        for name in (*setup.variants, *(each for each in setup.ablations if each not in setup.variants))
    }
    if _all_failed(parts[RANDOM]):
        raise ValueError(
            f"DATA: the classifier sees none of {len(parts[RANDOM])} images right once there are blanks; "
            f"{parts[RANDOM][0].error}"
        )
    rows = list(_rows(parts))
    levels = {name: _levels(parts[name]) for name in NAMES if not _all_failed(parts[name])}
    return Results(parts, rows, levels)


def _all_failed(parts: dict[int, Part]) -> bool:
    return all(part.error for part in parts.values())


def _levels(parts: dict[int, Part]) -> list[Consistency]:
    known = [_measured(f"{level:g}", parts, "answer.level", place) for place, level in enumerate(LEVELS)]
    return [*known, _measured("none", parts, "answer.plain")]


def _loaded(folder: RunFolder, number: int, name: str) -> Part:
    part = folder.load((number, name))
    if part is None:
        raise OSError(f"what {name} found of image {number} is no longer in the output folder")
    return part


def _rows(parts: dict[str, dict[int, Part]]) -> Iterator[Consistency]:
    for name, found in parts.items():
        if not _all_failed(found):
            yield _measured(name, found, "answer")
            if name == RANDOM:
                yield _measured(f"{RANDOM}-everywhere", found, "answer.everywhere")


def _measured(name: str, parts: dict[int, Part], value: str, place: int = 0) -> Consistency:
    metrics = optional("sklearn.metrics", "infill fill-blanks")
    used = [part for part in parts.values() if not part.error]
    truth = [part.about["label"] for part in used]
    answers = [int(part.values[value][place][1]) for part in used]
    f1 = {
        average: float(metrics.f1_score(truth, answers, average=average, zero_division=0.0))
        for average in ("macro", "weighted")
    }
    means = {
        key: sum(part.values[key][0][1] for part in used) / len(used) if key in used[0].values else 0.0
        for key in ("correct", "masks")
    }
    return Consistency(
        name=name,
        images=len(used),
        left_out=len(parts) - len(used),
        accuracy=float(metrics.accuracy_score(truth, answers)),
        macro_f1=f1["macro"],
        weighted_f1=f1["weighted"],
        **means,
    )
