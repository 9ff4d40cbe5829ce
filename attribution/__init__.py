"""Where the evidence is: methods of attribution that see nothing but the score of a hole."""

from attribution.explainer import Explainer as Explainer
from attribution.explainer import Heatmap as Heatmap
from attribution.lime import Lime as Lime
from attribution.link import log_odds as log_odds
from attribution.link import logit as logit
from attribution.link import probability as probability
from attribution.link import sigmoid as sigmoid
from attribution.rise import Rise as Rise
from attribution.score import MaskedScore as MaskedScore
from attribution.sliding_patch import SlidingPatch as SlidingPatch

__all__ = [
    "Explainer",
    "Heatmap",
    "Lime",
    "MaskedScore",
    "Rise",
    "SlidingPatch",
    "log_odds",
    "logit",
    "probability",
    "sigmoid",
]
