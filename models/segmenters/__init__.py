"""Segmenters by name."""

from models.segmenters.semantic import AnySegmenter as AnySegmenter
from models.segmenters.semantic import Segmenter as Segmenter
from models.segmenters.semantic import load_segmenter as load_segmenter
