"""From a model's output to one number an image: boxes, regions, likeness."""

from attribution.targets.boxes import BoxScore as BoxScore
from attribution.targets.boxes import similarity as similarity
from attribution.targets.likeness import LastFeatures as LastFeatures
from attribution.targets.likeness import Likeness as Likeness
from attribution.targets.regions import RegionLogOdds as RegionLogOdds

__all__ = ["BoxScore", "LastFeatures", "Likeness", "RegionLogOdds", "similarity"]
