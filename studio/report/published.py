"""The papers' own figures: of other data and other classifiers, to be laid beside ours."""

from __future__ import annotations

from collections.abc import Mapping

A, B, C = "Agarwal & Nguyen 2020", "Gu 2020", "Du et al. 2018"
NOTE = "other data, other classifier"

PUBLISHED: Mapping[str, Mapping[tuple[str, str], tuple[float, str]]] = {
    "localization error": {
        ("sp", "gray"): (0.419, A), ("sp", "inpaint"): (0.3895, A), ("lime", "gray"): (0.2805, A),
        ("lime", "inpaint"): (0.2655, A), ("mp", "blur"): (0.2935, A), ("mp2", "blur"): (0.244, A),
        ("mp2", "inpaint"): (0.2403, A), ("fido", "inpaint"): (0.279, A),
    },
    "localization error, alpha * mean": {("mp", "blur"): (0.432, C), ("gfi", "blur"): (0.382, C)},
    "deletion, gray": {
        ("random", ""): (0.2083, A), ("sp", "gray"): (0.1996, A), ("sp", "inpaint"): (0.1769, A),
        ("lime", "gray"): (0.1355, A), ("lime", "inpaint"): (0.1171, A), ("mp", "blur"): (0.1654, A),
        ("mp2", "blur"): (0.1530, A), ("mp2", "inpaint"): (0.1311, A), ("fido", "inpaint"): (0.1638, A),
    },
    "saliency metric": {
        ("random", ""): (0.3294, A), ("sp", "gray"): (0.3774, A), ("sp", "inpaint"): (0.3122, A),
        ("lime", "gray"): (0.1191, A), ("lime", "inpaint"): (0.1159, A), ("mp", "blur"): (0.1182, A),
        ("mp2", "blur"): (0.0890, A), ("mp2", "inpaint"): (0.0540, A), ("fido", "inpaint"): (0.1071, A),
    },
    "agreement, SSIM": {
        ("sp", "gray"): (0.698, A), ("sp", "inpaint"): (0.781, A), ("lime", "gray"): (0.553, A),
        ("lime", "inpaint"): (0.647, A), ("mp2", "blur"): (0.476, A), ("mp2", "inpaint"): (0.479, A),
    },
    "agreement, HOG": {
        ("sp", "gray"): (0.604, A), ("sp", "inpaint"): (0.691, A), ("lime", "gray"): (0.848, A),
        ("lime", "inpaint"): (0.896, A), ("mp2", "blur"): (0.453, A), ("mp2", "inpaint"): (0.569, A),
    },
    "agreement, Spearman": {
        ("sp", "gray"): (0.404, A), ("sp", "inpaint"): (0.317, A), ("lime", "gray"): (0.573, A),
        ("lime", "inpaint"): (0.667, A), ("mp2", "blur"): (0.522, A), ("mp2", "inpaint"): (0.698, A),
    },
    "agreement 150, SSIM": {("lime", "gray"): (0.163, A), ("lime", "inpaint"): (0.371, A)},
    "agreement 150, HOG": {("lime", "gray"): (0.708, A), ("lime", "inpaint"): (0.776, A)},
    "agreement 150, Spearman": {("lime", "gray"): (0.155, A), ("lime", "inpaint"): (0.379, A)},
    "change outside": {("sp", "gray"): (0.09, f"{A}, patch 53"), ("sp", "inpaint"): (0.04, f"{A}, patch 53")},
    "score, all filled": {("filler", "blur"): (0.3198, A)},
    "pointing, by class": {("gfi", "blur"): (0.547, C)},
    "pointing, by class, 15 px": {
        ("rise", "gray"): (0.864, B), ("extremal", "blur-pyramid"): (0.889, B),
        ("dssr-plus", "noise-once"): (0.853, B),
    },
}  # fmt: skip
"""By a figure's title and the row; from tables 2, 3, 4 and S1, section 5.1 and figure 4 of Agarwal & Nguyen
(2020), table 3 of Gu (2020) and tables 1 and 3 of Du et al. (2018)."""
