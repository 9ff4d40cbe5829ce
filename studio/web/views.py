"""Results as pieces of the page; whatever a person or a file has named is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from studio.explain.inputs import InputImage
from studio.web.pictures import LAST_SCENE, thumbnail
from studio.web.removal import Seen
from studio.web.shown import reduced, uri

if TYPE_CHECKING:
    from jaxtyping import Float
    from jinja2 import Environment
    from torch import Tensor

_STAMP = 256


@dataclass(frozen=True)
class Copies:
    """What can be taken along of a result.

    Attributes:
        copies: Titles with texts to copy.
        download: Where its archive is; empty if there is none.
        files: What is in it.
        notes: What else is to be said.
    """

    copies: Sequence[tuple[str, str]]
    download: str = ""
    files: str = ""
    notes: Sequence[str] = ()
    title: str = ""


@dataclass(frozen=True, eq=False)
class Card:
    """A picture with what is seen in it.

    Attributes:
        image: ``None``: a filler could not fill the hole.
        error: Why not.
        score: What is to be said of the score beside the bars.
    """

    name: str
    summary: str
    image: Float[Tensor, "3 h w"] | None
    seen: Seen | None
    error: str = ""
    score: str = ""


def rendered(template: str, **values: Any) -> str:
    """Return a piece of the page."""
    return _environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("studio.web").joinpath("templates")

    def load(name: str) -> str:
        return folder.joinpath(f"{name}.html.jinja").read_text("utf-8")

    return Environment(
        loader=FunctionLoader(load), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip


def notice(text: str, kind: Literal["wrong", "note"] = "wrong") -> str:
    """Return what must be told; ``wrong`` is read out at once by who reads screens aloud."""
    return rendered("notice", text=text, kind=kind)


def picker(keys: Sequence[str], chosen: str) -> str:
    """Return the pictures that stand ready, the chosen one marked; the Tab key comes to it, or the first."""
    pictures = []
    for key in keys:
        title, image = thumbnail(key)
        pictures.append({"key": key, "title": title, "uri": uri(image)})
    kind, _, number = chosen.partition(":")
    return rendered(
        "picker",
        pictures=pictures,
        chosen=chosen,
        first=chosen if chosen in keys else keys[0],
        last=LAST_SCENE,
        number=number if kind == "scene" else "",
    )


def looked_at(image: InputImage, classifier: str, seen: Seen, cropped: bool, explained: bool) -> str:
    """Return what the classifier sees in the picture."""
    return rendered(
        "seen",
        title=image.title,
        classifier=classifier,
        seen=seen,
        cropped=cropped,
        explained=explained,
    )


def completed(
    done: Sequence[Card], waiting: Sequence[str], notices: Sequence[str], copies: Copies | None
) -> str:
    """Return a hole as the fillers complete it, and who is still at it."""
    cards = [
        {
            "name": each.name,
            "summary": each.summary.partition(";")[0],
            "uri": None if each.image is None else uri(reduced(each.image, _STAMP)),
            "seen": each.seen,
            "error": each.error,
            "score": each.score,
        }
        for each in done
    ]
    return rendered("completions", cards=cards, waiting=waiting, notices=notices, commands=copies)
