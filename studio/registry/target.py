"""What is explained, as users write it: a class, one rather than another, a box, a region, a text, ..."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from attribution import Against

if TYPE_CHECKING:
    from torch import Tensor

    from attribution import MaskedScore

TOP, NEXT = "top1", "next"
"""The classifier's first choice, and its first choice apart from the target."""
KINDS: Mapping[str, str] = {
    "class": "class:NAME",
    "against": "against:P,Q with two classes",
    "box": "box:LABEL or box:LABEL@x0,y0,x1,y1",
    "region": "region:LABEL or region:LABEL@x0,y0,x1,y1",
    "text": 'text:"a photo of a dog"',
    "like": "like:IMAGE",
    "output": "output:INDEX",
}
"""How targets are written, by kind."""
INDEX = "index:"
"""What stands before an index that is not to be taken for a name."""


@dataclass(frozen=True)
class TargetText:
    """A target, taken apart.

    Attributes:
        place: What stands behind the kind: of a class its index, its name, or ``top1``; of ``against`` both
            classes.
        against: The class that it is compared with: its index, its name, ``top1`` or ``next``; or the other
            text. ``None`` if it is not compared.
        kind: One of `KINDS`.
    """

    place: str
    against: str | None = None
    kind: str = "class"

    @property
    def of_classes(self) -> bool:
        """Whether it is about classes of a classifier."""
        return self.kind in ("class", "against")

    @property
    def compared(self) -> bool:
        """Whether two are compared."""
        return self.against is not None or self.kind == "against"


def parse_target(target: str, against: str | None = None) -> TargetText:
    """Take ``--target`` and ``--against`` apart; ``against:P,Q`` says both.

    Raises:
        ValueError: If a comparison is given twice, half of it is missing, or there is nothing to compare; or
            if nothing stands behind a kind.
    """
    kind, colon, place = target.partition(":")
    if not colon or kind not in KINDS:
        return TargetText(target, None if against is None else against.removeprefix("class:"))
    place = _unquoted(place)
    if not place:
        raise ValueError(f"--target: expected {KINDS[kind]}, got {target!r}")
    if against is not None and kind == "against":
        raise ValueError(f"--against: {target!r} says already what is compared; give one")
    if against is not None and kind not in ("class", "text"):
        raise ValueError(f"--against: compares classes or texts, and {target!r} is neither")
    if kind == "against" and not all(part.strip() for part in place.partition(",")[::2]):
        raise ValueError(f"--target: expected {KINDS[kind]}, got {target!r}")
    other = None if against is None else against.removeprefix(f"{kind}:")
    return TargetText(place, None if other is None else _unquoted(other), kind)


def parse_box(text: str) -> tuple[str, tuple[float, ...] | None]:
    """Return the label, and left, top, right and bottom in pixels, of ``LABEL@x0,y0,x1,y1`` or ``LABEL``.

    Raises:
        ValueError: If these are not four numbers with x0 < x1 and y0 < y1.
    """
    label, at, numbers = text.rpartition("@")
    if not at:
        return text, None
    try:
        box = tuple(float(number) for number in numbers.split(","))
    except ValueError:
        box = ()
    if len(box) != 4 or not (0 <= box[0] < box[2] and 0 <= box[1] < box[3]) or not label:
        expected = "LABEL@x0,y0,x1,y1 with 0 <= x0 < x1 and 0 <= y0 < y1, in pixels"
        raise ValueError(f"--target: expected {expected}, got {text!r}")
    return label, box


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def check_target(text: TargetText, labels: Sequence[str]) -> None:
    """Find what is wrong with a target before there is an image.

    Raises:
        ValueError: As for `targeted`.
    """
    text = _split(text, labels)
    first = None if text.place == TOP else class_index("--target", text.place, labels)
    if text.against not in (None, TOP, NEXT):
        _distinct(first, class_index("--against", str(text.against), labels), labels)
    elif text.against is not None and len(labels) < 2:
        raise ValueError("--against: the classifier has one class; there is none to compare it with")
    elif text.place == text.against == TOP:
        raise ValueError(f"--against: top1 is what is explained; give another class, or {NEXT}")


def targeted(score: MaskedScore, text: TargetText, labels: Sequence[str]) -> MaskedScore:
    """Return the score of the target that is meant, for the one image of a score.

    Raises:
        ValueError: If there is no such class, several have its name, or it is compared with itself.
    """
    text = _split(text, labels)
    order: list[int] = score.clean_logits[0].argsort(descending=True, stable=True).tolist()
    first = order[0] if text.place == TOP else class_index("--target", text.place, labels)
    return compared(replace(score, target=first), text.against, labels)


def compared(score: MaskedScore, against: str | None, labels: Sequence[str]) -> MaskedScore:
    """Return the score of the one image's target rather than the class that is named.

    Raises:
        ValueError: As for `targeted`.
    """
    if against is None:
        return score
    first, order = int(_target(score)), score.clean_logits[0].argsort(descending=True, stable=True).tolist()
    if against == NEXT:
        others = [index for index in order if index != first]
        if not others:
            raise ValueError("--against: the classifier has one class; there is none to compare it with")
        return replace(score, link=Against(others[0]))
    other = order[0] if against == TOP else class_index("--against", against, labels)
    _distinct(first, other, labels)
    return replace(score, link=Against(other))


def class_index(option: str, text: str, labels: Sequence[str]) -> int:
    """Return the class that an option means by an index or a label; ``index:N`` is never a label.

    Raises:
        ValueError: If it is neither, or several classes have the label.
    """
    if re.fullmatch(rf"{INDEX}-?\d+", text) and text not in labels:
        index = int(text.removeprefix(INDEX))
        if 0 <= index < len(labels):
            return index
        raise ValueError(f"{option}: expected 0 to {len(labels) - 1}, got {index}")
    if re.fullmatch(r"-?\d+", text):
        index = int(text)
        inside = 0 <= index < len(labels)
        if inside and text in labels and labels[index] != text:
            raise ValueError(
                f"{option}: {text} is the index of {labels[index]!r} and the name of class "
                f"{labels.index(text)}; give {INDEX}{text} or {INDEX}{labels.index(text)}"
            )
        if inside or text in labels:
            return index if inside else labels.index(text)
        raise ValueError(f"{option}: expected 0 to {len(labels) - 1}, got {text}")
    folded = [label.casefold() for label in labels]
    matches = [index for index, label in enumerate(folded) if label == text.casefold()]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ValueError(
            f"{option}: {text!r} is the name of classes {' and '.join(map(str, matches))}; give one"
        )
    near = difflib.get_close_matches(text.casefold(), folded, n=1)
    words = "give an index, a class name or top1" + (f" or {NEXT}" if option == "--against" else "")
    hint = f"did you mean {labels[folded.index(near[0])]!r}?" if near else words
    raise ValueError(f"{option}: the classifier has no class {text!r}; {hint}")


def _split(text: TargetText, labels: Sequence[str]) -> TargetText:
    """Split the two classes of ``against:P,Q``, whose names may have commas, where both are known."""
    if text.kind != "against":
        return text
    parts = text.place.split(",")
    halves = [(",".join(parts[:i]).strip(), ",".join(parts[i:]).strip()) for i in range(1, len(parts))]
    for first, other in halves:
        if _known(first, labels) and _known(other, labels):
            return TargetText(first, other)
    return TargetText(*halves[0])


def _known(text: str, labels: Sequence[str]) -> bool:
    try:
        return text in (TOP, NEXT) or class_index("", text, labels) >= 0
    except ValueError:
        return False


def _distinct(first: int | None, other: int, labels: Sequence[str]) -> None:
    if first == other:
        raise ValueError(f"--against: {labels[other]!r} is what is explained; give another class")


def _target(score: MaskedScore) -> Tensor:
    target: Tensor = score.target  # type: ignore[assignment]
    return target
