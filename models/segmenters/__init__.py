"""Segmenters by name."""

from models.segmenters.load import AnySegmenter as AnySegmenter
from models.segmenters.load import load_segmenter as load_segmenter
from models.segmenters.semantic import Segmenter as Segmenter
