"""The library transformers' classifiers."""

from pathlib import Path

from models.classifiers.image_classifier import ImageClassifier
from models.classifiers.image_processor import check, preprocessing_of
from models.weights import transformers as hugging_face
from models.weights.checkpoint import refuse_weights

FAMILY = hugging_face.ModelFamily("AutoModelForImageClassification", "image classifier", "classifier", "hf:")


def load(place: str, weights: Path | None = None) -> ImageClassifier:
    """Return the image classifier in a folder, or of this id on the Hugging Face hub.

    Its image processor says what it sees, its config what the classes are called, and whether an image may
    be of several (``multi_label``).

    Raises:
        ValueError: If it cannot be had, or what its image processor does cannot be followed.
    """
    refuse_weights(weights, FAMILY.named(place))
    network, settings = hugging_face.pretrained(place, FAMILY)
    config = network.config
    labels = tuple(str(config.id2label.get(index, f"class {index}")) for index in range(config.num_labels))
    logits = hugging_face.Logits(network, reverse=bool(settings.get("do_flip_channel_order")))
    several = getattr(config, "problem_type", None) == "multi_label_classification"
    preprocessing = preprocessing_of(settings, FAMILY.named(place))
    classifier = ImageClassifier(logits, preprocessing, labels, several)
    check(classifier, settings, FAMILY.named(place))
    return classifier
