"""The tables of names: methods and fillers, each with its class, source and settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from studio.registry import added
from studio.registry.entry import Entry, Pretrained

RESERVED = ("real", "truth", "reference", "examples", "others")
"""What stands beside fillers where they are judged, and so names none."""
BASELINES = ("center", "random", "object", "background")
"""Heatmaps that look at no classifier, which stand beside methods where these are judged, and so name none.
The last two claim the annotated object, and all but it."""
SettingTexts: TypeAlias = Mapping[str, Mapping[str, str]]
"""For each method and filler the fields that ``--set`` names, with their values as written."""


Preset: TypeAlias = Literal["paper", "quick", "smallest"]
"""Settings to start from: the papers', those for a small machine, or those for the smallest removal."""


# How the shipped inpainter's network is called, see `infill.Learned`.
_SHIPPED_INPAINTER = {
    "value_range": (0.0, 1.0),
    "blank": 0.0,
    "sees_hidden": False,
    "stochastic": False,
    "multiple": 8,
    "copy": False,
}


SAMPLING: Mapping[str, Entry] = {
    "sp": Entry(
        "attribution:SlidingPatch",
        "slide a patch over the image",
        "Zeiler & Fergus 2014",
        quick={"stride": 8},
        signed=True,
    ),
    "lime": Entry(
        "attribution:Lime",
        "switch superpixels off, fit a linear model",
        "Ribeiro et al. 2016",
        quick={"samples": 500},
        signed=True,
    ),
    "rise": Entry(
        "attribution:Rise",
        "keep random soft regions, average them",
        "Petsiuk et al. 2018",
        quick={"masks": 1000, "estimator": "covariance"},
    ),
    "pda": Entry(
        "attribution:PredictionDifference",
        "slide a patch, weigh the evidence in bits",
        "Zintgraf et al. 2017",
        quick={"patch": 29, "stride": 16, "samples": 4},
        signed=True,
    ),
    "blanks": Entry(
        "attribution:FillInBlanks",
        "how the classifier goes on from what random patches leave of the image, in the mean",
        "Deelaka et al. 2024",
        # The paper's patches are for images of 28 x 28.
        quick={"masks": 1000, "correct": 500, "patch": 16, "shown": "returned"},
        signed=True,
        gradients=True,
    ),
}
"""Methods that score holes which are known beforehand."""

UNTIL: Mapping[str, tuple[str, int]] = {
    "rise": ("masks", 8000),
    "lime": ("samples", 4000),
    "pda": ("samples", 100),
    "blanks": ("masks", 20_000),
}
"""Methods that can stop when samples are enough: the field of their number, and the most that is then."""


# A fifth of the paper's steps at five times its rate: logits can go as far.
_QUICK_FIDO = {"steps": 60, "samples": 4, "lr": 0.25}

# Half of the paper's steps at twice its rate, halved as often: weights can go as far.
_QUICK_INVERSION = {"inversion_steps": 6, "steps": 36, "lr": 0.02, "halving": 5}

_INVERSION = {"stages": "inversion"}

# On photographs: few cells with soft edges, for slopes of small ones are noise, weights with which what is
# faint does not pay, and the evidence in the mean.
_QUICK_CEM = {
    "cells": 14,
    "upsampling": "bilinear",
    "sparsity": 10.0,
    "weight": 300.0,
    "searches": 2,
    "steps": 40,
    "shrinkage": "scaled",
    "found": "mean",
}

OPTIMIZING: Mapping[str, Entry] = {
    "mp": Entry(
        "attribution:MeaningfulPerturbation",
        "learn a smooth hole that takes the class away",
        "Fong & Vedaldi 2017",
        quick={"steps": 100},
    ),
    "mp-code": Entry(
        "attribution:MeaningfulPerturbation",
        "mp as published in code: the image moves under its hole",
        "Agarwal & Nguyen 2020",
        {"jittered": "image"},
        quick={"steps": 100},
    ),
    "mp2": Entry(
        "attribution:MP2",
        "remove the cells that the score depends on most, two by two, until the class is gone",
        "Agarwal & Nguyen 2020",
        quick={"graded": True},
        smallest={"prune": True},
    ),
    "mp2-descent": Entry(
        "attribution:MP2",
        "mp2 by the sign of the derivative, too: the cells that lower the score most",
        "Papernot et al. 2016",
        {"rank": "descent"},
        quick={"graded": True},
        smallest={"prune": True, "slope": "logit", "blend": 0.25},
    ),
    "fido": Entry(
        "attribution:Fido",
        "learn from random holes what may be dropped",
        "Chang et al. 2019",
        quick={**_QUICK_FIDO, "patience": 20},
        smallest={"region": "sdr"},
        keeping={"region": "ssr"},
    ),
    "fido-cells": Entry(
        "attribution:Fido",
        "fido with coins and penalty on the coarse cells, as a probability",
        "Chang et al. 2019",
        {"drawn": "coarse", "penalized": "coarse", "odds": False},
        quick=_QUICK_FIDO,
        smallest={"region": "sdr"},
        keeping={"region": "ssr"},
    ),
    "extremal": Entry(
        "attribution:ExtremalPerturbation",
        "find the best smooth region of a given area",
        "Fong et al. 2019",
        quick={"steps": 150, "lr": 0.05},
        smallest={"variant": "delete"},
        keeping={"variant": "preserve"},
    ),
    "extremal-code": Entry(
        "attribution:ExtremalPerturbation",
        "extremal as published in code: the activation, a margin, every second composite mirrored",
        "Fong et al. 2019",
        {"followed": "activation", "border": "margin", "mirrored": True},
        quick={"steps": 150, "lr": 0.05},
        smallest={"variant": "delete"},
        keeping={"variant": "preserve"},
    ),
    "gfi": Entry(
        "attribution:FeatureInversion",
        "weigh a layer's maps until what they show alone is seen as the class",
        "Du et al. 2018",
        quick=_QUICK_INVERSION,
        keeping=_INVERSION,
    ),
    "gfi-inversion": Entry(
        "attribution:FeatureInversion",
        "gfi's first stage: what the network's last maps keep of the image, whatever the class",
        "Du et al. 2018",
        _INVERSION,
        quick={"inversion_steps": 6, "lr": 0.02},
        keeping=_INVERSION,
    ),
    "gfi-code": Entry(
        "attribution:FeatureInversion",
        "gfi as published in code: a relative error, squared weights, one layer for both",
        "Du et al. 2018",
        {"error": "relative", "norm": "squared", "normalized": "pixels", "restarted": False},
        quick=_QUICK_INVERSION,
        given={"layer": "inverted", "inversion_penalty": 5.0, "penalty": 2.0, "steps": 69},
        keeping=_INVERSION,
    ),
    "ssr": Entry(
        "attribution:SSR",
        "find the pixels that suffice for the class",
        "Gu 2020",
        quick={"steps": 100},
        keeping={},
    ),
    "sdr": Entry(
        "attribution:SDR",
        "find the pixels whose removal destroys the class",
        "Gu 2020",
        quick={"steps": 100, "lr": 0.3},
    ),
    "dssr": Entry("attribution:DSSR", "ssr and sdr at once", "Gu 2020", quick={"steps": 100}),
    "dssr-plus": Entry(
        "attribution:DSSRPlus", "dssr with compact and robust regions", "Gu 2020", quick={"steps": 100}
    ),
    "cem-positive": Entry(
        "attribution:PertinentPositive",
        "find the least that is still seen as the class when all else is filled",
        "Dhurandhar et al. 2018",
        quick={**_QUICK_CEM, "start": "everything", "reserve": 10.0},
        keeping={},
    ),
    "cem-negative": Entry(
        "attribution:PertinentNegative",
        "find the least change towards the fill after which another class is seen",
        "Dhurandhar et al. 2018",
        quick=_QUICK_CEM,
        changes=True,
    ),
}
"""Methods that look for their hole step by step."""

REMOVING: Mapping[str, Entry] = {name: row for name, row in OPTIMIZING.items() if not row.keeps}
"""Those of them that can ask what is left without the evidence."""


def _gradient(summary: str, source: str, target: str, kind: str = "", **more: Any) -> Entry:
    place, fixed = f"attribution.integrations.{target}", {"kind": kind} if kind else {}
    return Entry(place, summary, source, fixed, gradients=True, **{"fills": False, **more})


GRADIENT: Mapping[str, Entry] = {
    "gradient": _gradient(
        "the derivative by each pixel", "Simonyan et al. 2014", "gradients:Gradient", "plain"
    ),
    "deconvnet": _gradient(
        "gradient, ReLUs let through what is positive",
        "Zeiler & Fergus 2014",
        "gradients:Gradient",
        "deconvnet",
    ),
    "guided": _gradient(
        "gradient, ReLUs let through what is positive both ways",
        "Springenberg et al. 2015",
        "gradients:Gradient",
        "guided",
    ),
    "smoothgrad": _gradient(
        "mean gradient of noisy copies", "Smilkov et al. 2017", "gradients:NoisyGradient", "mean"
    ),
    "vargrad": _gradient(
        "variance of gradients of noisy copies",
        "Adebayo et al. 2018",
        "gradients:NoisyGradient",
        "variance",
    ),
    "integrated": _gradient(
        "gradients from a baseline to the image, which the filler makes; several fills: expected gradients",
        "Sundararajan et al. 2017",
        "compared:IntegratedGradients",
        fills=True,
        signed=True,
    ),
    "deeplift": _gradient(
        "differences from a baseline, which the filler makes, layer by layer",
        "Shrikumar et al. 2017",
        "compared:DeepLift",
        fills=True,
        signed=True,
    ),
    "cam": _gradient("maps by the last layer's weights", "Zhou et al. 2016", "cam:ClassActivationMap", "cam"),
    "gradcam": _gradient(
        "maps by their mean gradient", "Selvaraju et al. 2017", "cam:ClassActivationMap", "gradcam"
    ),
    "contrastive-gradcam": _gradient(
        "Grad-CAM of the loss of the class that is seen against another one; needs --against",
        "Prabhushankar et al. 2020",
        "contrast:ContrastiveGradCam",
        compares=True,
    ),
    "gradcam-plus": _gradient(
        "Grad-CAM++: maps by their positive gradients",
        "Chattopadhay et al. 2018",
        "cam:ClassActivationMap",
        "gradcam++",
    ),
    "layercam": _gradient(
        "maps by the positive gradient of each position",
        "Jiang et al. 2021",
        "cam:ClassActivationMap",
        "layercam",
    ),
    "ablationcam": _gradient(
        "maps by what is lost without them", "Desai & Ramaswamy 2020", "cam:ClassActivationMap", "ablation"
    ),
    "scorecam": _gradient(
        "maps by the score of what is seen through them; the filler makes the rest",
        "Wang et al. 2020",
        "score_cam:ScoreCam",
        fills=True,
    ),
    "fullgrad": _gradient("gradient times image and biases", "Srinivas & Fleuret 2019", "cam:FullGradient"),
    "guided-gradcam": _gradient("guided times gradcam", "Selvaraju et al. 2017", "gradients:GuidedGradCam"),
}
"""Methods that look into the classifier, through captum and pytorch-grad-cam. Where their maps are 0, they
say nothing; those that are not negative anywhere say nothing against the target."""

NO_FILLER = "none"
"""Stands for the filler of a method to which it does not matter."""
NOTHING = "filler"
"""Stands for the method where only the filler is looked at."""
NO_METHODS = (*BASELINES, *RESERVED, NO_FILLER, NOTHING)
"""Names that no method can have: they stand for something else beside methods."""

FILLERS: Mapping[str, Entry] = {
    "gray": Entry("infill:Gray", "ImageNet's mean color", "Agarwal & Nguyen 2020"),
    "mean": Entry("infill:Mean", "mean color of the image", "", {"kind": "image"}),
    "mean-segment": Entry(
        "infill:Mean",
        "mean color of each of LIME's superpixels",
        "Ribeiro et al. 2016",
        {"kind": "segment"},
        of_image=True,
    ),
    "mean-local": Entry(
        "infill:Mean", "mean color around each pixel", "Chang et al. 2019", {"kind": "local"}
    ),
    "noise": Entry("infill:Noise", "uniform noise", "Agarwal & Nguyen 2020", {"kind": "uniform"}),
    "noise-once": Entry(
        "infill:Noise",
        "one uniform noise image for all holes",
        "Gu 2020",
        {"kind": "uniform"},
        given={"seed": 0},
    ),
    "noise-gaussian": Entry(
        "infill:Noise", "white noise around gray", "Du et al. 2018", {"kind": "gaussian"}
    ),
    "noise-color": Entry("infill:Noise", "a random color and noise", "Chang et al. 2019", {"kind": "color"}),
    "blur": Entry(
        "infill:Blur",
        "the image, blurred; where=photograph: before the classifier's view is cut out of it",
        "Fong & Vedaldi 2017",
        options={"where": Literal["view", "photograph"]},
    ),
    "blur-pyramid": Entry(
        "infill:Blur",
        "the image, the more blurred the more of a pixel is removed",
        "Fong et al. 2019",
        given={"sigma": 20.0, "levels": 8, "beyond": "gray"},
    ),
    "marginal": Entry(
        "infill:Marginal", "sampled from what surroundings make likely", "Zintgraf et al. 2017"
    ),
    "telea": Entry("infill:Telea", "fast marching from the hole's rim", "Telea 2004"),
    "ns": Entry("infill:NavierStokes", "continue lines of equal brightness", "Bertalmio et al. 2001"),
    "biharmonic": Entry("infill:Biharmonic", "the smoothest surface through the rim", "Damelin & Hoang 2018"),
    "exemplar": Entry(
        "infill:Exemplar", "patches from elsewhere in the image that fit together", "Wexler et al. 2007"
    ),
    "patchmatch": Entry(
        "infill:PatchMatch", "patches from elsewhere in the image, by the library", "Barnes et al. 2009"
    ),
    "inpaint": Entry(
        "infill:Adaptive",
        "the learned inpainter that ships with infill; by=auto leaves thick holes to exemplar",
        "Agarwal & Nguyen 2020",
        _SHIPPED_INPAINTER,
    ),
    "inpaint-even": Entry(
        "infill:Adaptive",
        "the same, trained less, with a decoder that makes no screen by itself",
        "Odena et al. 2016",
        _SHIPPED_INPAINTER,
    ),
}

SHIPPED_WEIGHTS: Mapping[str, str] = {
    "inpaint": "small_inpainter.safetensors",
    "inpaint-even": "small_inpainter_even.safetensors",
}
"""Fillers whose networks ship, with their files in `models/checkpoints`."""

_DIFFUSION_BATCH = 4


def _learned(summary: str, source: str, loader: str, **more: Any) -> Pretrained:
    return Pretrained("infill:Learned", summary, source, {"sees_hidden": False}, loader=loader, **more)


PRETRAINED: Mapping[str, Pretrained] = {
    "deepfill-v1": _learned(
        "contextual attention",
        "Yu et al. 2018",
        "models.inpainters.deepfill:load",
        loading={"version": "v1"},
        sought="the authors' (https://github.com/JiahuiYu/generative_inpainting, tag v1.0.0), "
        "as --filler deepfill-v1:FILE",
    ),
    "deepfill-v2": _learned(
        "gated convolutions",
        "Yu et al. 2019",
        "models.inpainters.deepfill:load",
        loading={"version": "v2"},
        weights="deepfill",
    ),
    "lama": _learned(
        "Fourier convolutions, for large holes",
        "Suvorov et al. 2022",
        "models.inpainters.lama:load",
        weights="lama",
    ),
    "mae": _learned("a masked autoencoder", "He et al. 2022", "models.inpainters.mae:load", weights="mae"),
    "sd": _learned(
        "any inpainting pipeline of diffusers",
        "Rombach et al. 2022",
        "models.inpainters.diffusion:load",
        weights="sd",
        at_once=_DIFFUSION_BATCH,
        draws=True,
    ),
    "repaint": _learned(
        "an unconditional diffusion model",
        "Lugmayr et al. 2022",
        "models.inpainters.repaint:load",
        sought="an unconditional model of diffusers such as google/ddpm-celebahq-256, "
        "as --filler repaint:FOLDER or repaint:ID",
        at_once=_DIFFUSION_BATCH,
        draws=True,
    ),
}

# What other packages add comes last, and takes no name of ours, in whichever table: a setting says it alone.
_TAKEN = {*FILLERS, *PRETRAINED, *SAMPLING, *OPTIMIZING, *GRADIENT, *RESERVED, *BASELINES, NO_FILLER}
FILLERS = {**FILLERS, **added.fillers(_TAKEN)}
ALL_FILLERS: Mapping[str, Entry] = {**FILLERS, **PRETRAINED}

_ADDED = added.methods({*_TAKEN, *FILLERS})
SAMPLING, OPTIMIZING = {**SAMPLING, **_ADDED[0]}, {**OPTIMIZING, **_ADDED[1]}
METHODS: Mapping[str, Entry] = {**SAMPLING, **OPTIMIZING, **GRADIENT}
