"""The kinds of holes in which fillers are judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

HoleKind: TypeAlias = Literal[
    "silhouettes", "boxes", "object", "surroundings", "background", "segments", "squares", "all"
]
HOLE_KINDS: Mapping[str, str] = {
    "silhouettes": "the object's annotated silhouette",
    "boxes": "the object's annotated boxes",
    "object": "what the segmenter finds, else the annotated silhouette",
    "surroundings": "all but the object, which is found as for object",
    "background": "the shape of another image's object, put where no object is",
    "segments": "a random half of the superpixels",
    "squares": "one square at a random place",
    "all": "the whole image",
}
TAKES_THE_OBJECT = ("silhouettes", "boxes", "object")
"""Holes behind which the true background is, where it is known; behind others it is the image itself."""
SEGMENTED = ("object", "surroundings", "background")
"""Holes that a segmenter can find."""
