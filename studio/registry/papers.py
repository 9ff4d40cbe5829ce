"""What the papers say of how their methods were run, beyond the methods' own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

INPAINTER = "deepfill-v1"
"""The learned inpainter of Agarwal & Nguyen (2020) and of Chang et al. (2019)."""
STAND_IN = "inpaint"
"""What fills where the inpainter's weights are not here."""
_BLUR = "blur@where=photograph"  # as in the code; the text does not say what is blurred


@dataclass(frozen=True)
class Published:
    """How a paper runs a method.

    Attributes:
        paper: Author and year.
        fillers: What fills the holes: names, with the settings that are not the names' own.
        classifiers: Whose decisions are explained; the first where none is asked for. None of them may be
            at hand.
        squashed: Whether images are squashed to a square before their center is cropped.
        departures: What is done otherwise, or what the paper leaves open and is chosen here; each with the
            settings of the method that it holds for.
    """

    paper: str
    fillers: Sequence[str]
    classifiers: Sequence[str]
    squashed: bool = False
    departures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _core(*fillers: str, departures: Mapping[str, Mapping[str, Any]] | None = None) -> Published:
    paper = "Agarwal & Nguyen 2020"
    return Published(paper, fillers, ("resnet50@v1", "places365"), squashed=True, departures=departures or {})


def _regions(departures: Mapping[str, Mapping[str, Any]] | None = None) -> Published:
    return Published("Gu 2020", ("noise-once",), ("resnet34@v1",), departures=departures or {})


def _pertinent(*departures: str) -> Published:
    texts = (
        "evidence has 28 x 28 cells, as many as the paper's images have pixels, each of one cost",
        "settings are the code's own (its examples: confidence 10, and an autoencoder, which is left out)",
        *departures,
    )
    paper = "Dhurandhar et al. 2018"
    return Published(paper, ("gray@color=0,0,0",), (), departures={text: {} for text in texts})


_START: Mapping[str, Mapping[str, Any]] = {
    "the evidence starts with everything kept (eq. 2: with nothing, ssr.start=nothing)": {
        "start": "everything"
    },
}
_STAGES: Mapping[str, Mapping[str, Any]] = {
    "the first stage's weight and the threshold after it are ours (the paper gives no number)": {},
}
_ORDER: Mapping[str, Mapping[str, Any]] = {
    "the two score terms stand as in eq. 4 (as eq. 5 is printed, its optimum removes nothing)": {},
}
_PREVIEW: Mapping[str, Mapping[str, Any]] = {
    "where nothing is removed yet, slopes with an inpainter come from fills of a chessboard "
    "(the composite's own slope is 0 there)": {"outlook": "chessboard"},
}
_INVERTED = ("vgg19@v1", "alexnet@v1", "resnet18@v1")
_RESTS: Mapping[str, Mapping[str, Any]] = {
    "a step that would leave no mask, all weights being 0, is not taken (the paper: 0 / 0)": {},
}
_CROPPED: Mapping[str, Mapping[str, Any]] = {
    "the view is cropped from the center, as in the code (the text: all of the image, squashed)": {},
}

PUBLISHED: Mapping[str, Published] = {
    "sp": _core("gray", INPAINTER),
    "lime": _core(
        "gray",
        INPAINTER,
        departures={
            "distances are cosines, as in the code (the text: L2 distances of the images)": {
                "distance": "cosine"
            },
            "the regression is a ridge on all segments, as in the code (the text: LASSO)": {"features": None},
        },
    ),
    "mp": _core(_BLUR),
    "mp-code": _core(_BLUR),
    "mp2": _core(_BLUR, INPAINTER, departures=_PREVIEW),
    "mp2-descent": _core(
        _BLUR,
        INPAINTER,
        departures={"cells are ordered by the signed derivative (the text: by its size)": {}, **_PREVIEW},
    ),
    "fido": _core(INPAINTER, departures=_PREVIEW),
    "rise": Published(
        "Petsiuk et al. 2018",
        ("gray",),
        ("resnet50@v1", "vgg16@v1"),
        departures={
            "4000 masks (the paper: 8000 with ResNet-50)": {"masks": 4000},
            "the view is cropped from the center (the code: all of the image, squashed)": {},
        },
    ),
    "blanks": Published(
        "Deelaka et al. 2024",
        ("gray@color=0,0,0",),
        (),
        departures={
            "patches of 2 px are the paper's for images of 28 x 28; it wants others for larger ones": {
                "patch": 2
            }
        },
    ),
    "pda": Published("Zintgraf et al. 2017", ("marginal",), ("vgg16@v1", "alexnet@v1", "googlenet@v1")),
    "extremal": Published(
        "Fong et al. 2019",
        ("blur-pyramid",),
        ("vgg16@v1", "resnet50@v1"),
        departures={
            "log-odds are followed (the paper: the activation, extremal.followed=activation)": {
                "followed": "odds"
            },
            "bumps go on beyond the border (the code: they end in a margin, extremal-code)": {
                "border": "continued"
            },
            "no composite is mirrored (the code: every second, extremal-code)": {"mirrored": False},
        },
    ),
    "extremal-code": Published("Fong et al. 2019", ("blur-pyramid",), ("vgg16@v1", "resnet50@v1")),
    "gfi": Published("Du et al. 2018", ("blur@sigma=11",), _INVERTED, departures={**_RESTS, **_CROPPED}),
    "gfi-inversion": Published(
        "Du et al. 2018", ("blur@sigma=11",), _INVERTED, departures={**_RESTS, **_CROPPED}
    ),
    "gfi-code": Published(
        "Du et al. 2018", ("blur@sigma=11,where=photograph",), _INVERTED, departures=_RESTS
    ),
    "ssr": _regions(_START),
    "sdr": _regions(),
    "dssr": _regions(_STAGES),
    "dssr-plus": _regions({**_STAGES, **_ORDER}),
    "cem-positive": _pertinent(),
    "cem-negative": _pertinent(
        "the image moves towards the fill (the paper: it becomes brighter)",
    ),
}
"""By the name of the method."""
