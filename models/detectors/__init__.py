"""Object detectors by name."""

from models.detectors.load import AnyDetector as AnyDetector
from models.detectors.load import load_detector as load_detector
