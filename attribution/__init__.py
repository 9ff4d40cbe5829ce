"""Where the evidence is: methods of attribution that see nothing but the score of a hole."""

from attribution.dssr import DSSR as DSSR
from attribution.dssr import SDR as SDR
from attribution.dssr import SSR as SSR
from attribution.dssr import DSSRPlus as DSSRPlus
from attribution.explainer import Explainer as Explainer
from attribution.explainer import Heatmap as Heatmap
from attribution.extremal import ExtremalPerturbation as ExtremalPerturbation
from attribution.fido import Fido as Fido
from attribution.lime import Lime as Lime
from attribution.link import log_odds as log_odds
from attribution.link import logit as logit
from attribution.link import probability as probability
from attribution.link import sigmoid as sigmoid
from attribution.mp import MeaningfulPerturbation as MeaningfulPerturbation
from attribution.mp2 import MP2 as MP2
from attribution.outcome import Outcome as Outcome
from attribution.prediction_difference import PredictionDifference as PredictionDifference
from attribution.rise import Rise as Rise
from attribution.score import MaskedScore as MaskedScore
from attribution.sliding_patch import SlidingPatch as SlidingPatch

__all__ = [
    "DSSR",
    "MP2",
    "SDR",
    "SSR",
    "DSSRPlus",
    "Explainer",
    "ExtremalPerturbation",
    "Fido",
    "Heatmap",
    "Lime",
    "MaskedScore",
    "MeaningfulPerturbation",
    "Outcome",
    "PredictionDifference",
    "Rise",
    "SlidingPatch",
    "log_odds",
    "logit",
    "probability",
    "sigmoid",
]
