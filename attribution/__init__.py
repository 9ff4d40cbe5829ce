"""Where the evidence is: methods of attribution that see nothing but the score of a hole."""

from attribution.engine.execution import Execution as Execution
from attribution.engine.link import Against as Against
from attribution.engine.link import Value as Value
from attribution.engine.link import log_odds as log_odds
from attribution.engine.link import logit as logit
from attribution.engine.link import probability as probability
from attribution.engine.link import sigmoid as sigmoid
from attribution.engine.sampling import Sampling as Sampling
from attribution.explainer import Explainer as Explainer
from attribution.explainer import Heatmap as Heatmap
from attribution.integrations.cam import ClassActivationMap as ClassActivationMap
from attribution.integrations.cam import FullGradient as FullGradient
from attribution.integrations.compared import DeepLift as DeepLift
from attribution.integrations.compared import IntegratedGradients as IntegratedGradients
from attribution.integrations.contrast import ContrastiveGradCam as ContrastiveGradCam
from attribution.integrations.gradients import Gradient as Gradient
from attribution.integrations.gradients import GuidedGradCam as GuidedGradCam
from attribution.integrations.gradients import NoisyGradient as NoisyGradient
from attribution.integrations.score_cam import ScoreCam as ScoreCam
from attribution.methods.cem import PertinentNegative as PertinentNegative
from attribution.methods.cem import PertinentPositive as PertinentPositive
from attribution.methods.dssr import DSSR as DSSR
from attribution.methods.dssr import SDR as SDR
from attribution.methods.dssr import SSR as SSR
from attribution.methods.dssr import DSSRPlus as DSSRPlus
from attribution.methods.extremal import ExtremalPerturbation as ExtremalPerturbation
from attribution.methods.feature_inversion import FeatureInversion as FeatureInversion
from attribution.methods.fido import Fido as Fido
from attribution.methods.fill_in_blanks import FillInBlanks as FillInBlanks
from attribution.methods.lime import Lime as Lime
from attribution.methods.mp import MeaningfulPerturbation as MeaningfulPerturbation
from attribution.methods.mp2 import MP2 as MP2
from attribution.methods.prediction_difference import PredictionDifference as PredictionDifference
from attribution.methods.progressive_blanks import ProgressiveBlanks as ProgressiveBlanks
from attribution.methods.rise import Rise as Rise
from attribution.methods.sliding_patch import SlidingPatch as SlidingPatch
from attribution.optimize.result import Outcome as Outcome
from attribution.optimize.result import refilled as refilled
from attribution.score import MaskedScore as MaskedScore

__all__ = [
    "DSSR",
    "MP2",
    "SDR",
    "SSR",
    "Against",
    "ClassActivationMap",
    "ContrastiveGradCam",
    "DSSRPlus",
    "DeepLift",
    "Execution",
    "Explainer",
    "ExtremalPerturbation",
    "FeatureInversion",
    "Fido",
    "FillInBlanks",
    "FullGradient",
    "Gradient",
    "GuidedGradCam",
    "Heatmap",
    "IntegratedGradients",
    "Lime",
    "MaskedScore",
    "MeaningfulPerturbation",
    "NoisyGradient",
    "Outcome",
    "PertinentNegative",
    "PertinentPositive",
    "PredictionDifference",
    "ProgressiveBlanks",
    "Rise",
    "Sampling",
    "ScoreCam",
    "SlidingPatch",
    "Value",
    "log_odds",
    "logit",
    "probability",
    "refilled",
    "sigmoid",
]
