"""Image classifiers by name."""

from models.classifiers.image_classifier import ImageClassifier as ImageClassifier
from models.classifiers.load import load_classifier as load_classifier
