"""The library transformers' classifiers, and its CLIP models as classifiers of whatever a list names."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models import preprocessing as eyes
from models.weights import hub as hub_cache
from models.weights import transformers as hugging_face
from models.weights.libraries import hushed, line

if TYPE_CHECKING:
    from models.classifiers.image_classifier import ImageClassifier

KIND = hugging_face.Kind("AutoModelForImageClassification", "image classifier", "classifier", "hf:")
CLIP = hugging_face.Kind("AutoModel", "CLIP model", "classifier", "clip:")
TEMPLATE = "a photo of a {}"
_WARPED = 384  # from this side on, ConvNeXt's image processor does not crop
_LEVIT = 256 / 224
_TEXTS = 64
_WORDS = ("tokenizer*", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json")
_CLOSE = 0.03


class ZeroShot(nn.Module):
    """The cosine between CLIP's embeddings of images and those of texts, times the scale it was trained to.

    Args:
        network: A ``CLIPModel``, of which only the part for images is kept.
        texts: The normalized embeddings.
    """

    def __init__(self, network: Any, texts: Float[Tensor, "k d"]) -> None:
        super().__init__()
        self.vision, self.projection = network.vision_model, network.visual_projection
        self.register_buffer("texts", texts)
        self.register_buffer("scale", network.logit_scale.detach().exp())
        self.texts: Tensor
        self.scale: Tensor

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits of normalized images."""
        embeddings = self.projection(self.vision(pixel_values=images).pooler_output)
        logits: Tensor = self.scale * F.normalize(embeddings, dim=-1) @ self.texts.T
        return logits


def load(place: str, weights: Path | None = None) -> "ImageClassifier":
    """Return the image classifier in a folder, or of this id on the Hugging Face hub.

    Its image processor says what it sees, its config what the classes are called, and whether an image may
    be of several (``multi_label``).

    Raises:
        ValueError: If it cannot be had, or what its image processor does cannot be followed.
    """
    from models.classifiers.image_classifier import ImageClassifier

    eyes.refuse_weights(weights, KIND.named(place))
    network, settings = hugging_face.pretrained(place, KIND)
    config = network.config
    labels = tuple(str(config.id2label.get(index, f"class {index}")) for index in range(config.num_labels))
    logits = hugging_face.Logits(network, reverse=bool(settings.get("do_flip_channel_order")))
    several = getattr(config, "problem_type", None) == "multi_label_classification"
    classifier = ImageClassifier(
        logits, **_eye(settings, KIND.named(place)), labels=labels, multi_label=several
    )
    _compare(classifier, settings, KIND.named(place))
    return classifier


def load_zero_shot(place: str, weights: Path | None = None) -> "ImageClassifier":
    """Return a CLIP model as a classifier of what a list names: ``FOLDER@labels=FILE,template=a {}``.

    The file has one label a line. Each is put into the template (`TEMPLATE`); texts are embedded once.

    Raises:
        ValueError: If there is no list, or the model or what its image processor does is not understood.
    """
    from models.classifiers.image_classifier import ImageClassifier

    eyes.refuse_weights(weights, CLIP.named(place))
    place, labels, template = _asked(place)
    network, settings = hugging_face.pretrained(place, CLIP)
    kind = network.config.model_type
    if kind != "clip":  # relatives of CLIP have other logits
        raise ValueError(f"{CLIP.named(place)}: expected a CLIP model, got {kind!r}")
    eye = _eye(settings, CLIP.named(place))
    texts = _embedded(network, [template.replace("{}", label) for label in labels], place)
    classifier = ImageClassifier(ZeroShot(network, texts), **eye, labels=labels)
    _compare(classifier, settings, CLIP.named(place))
    return classifier


def _asked(text: str) -> tuple[str, tuple[str, ...], str]:
    """Return the model, the labels and the template of ``PLACE@labels=FILE,template=TEXT``."""
    place, _, rest = text.partition("@")
    fields = dict(part.partition("=")[::2] for part in re.split(r",(?=\w+=)", rest)) if rest else {}
    if not place or not fields.get("labels") or fields.keys() - {"labels", "template"}:
        form = "clip:PLACE@labels=FILE (one label a line), and ,template=TEXT behind it at will"
        raise ValueError(f"classifier: expected {form}, got {'clip:' + text!r}")
    template = fields.get("template", TEMPLATE)
    if "{}" not in template:
        raise ValueError(f"classifier: template: expected a text with {{}} for the label, got {template!r}")
    path = Path(fields["labels"]).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"classifier: labels: cannot read {path} ({line(error)})") from error
    labels = tuple(line.strip() for line in lines if line.strip())
    if not labels:
        raise ValueError(f"classifier: labels: expected one a line, got none in {path}")
    return place, labels, template


def _embedded(network: Any, texts: Sequence[str], place: str) -> Float[Tensor, "k d"]:
    """Return the normalized embeddings of the texts."""
    try:
        with hushed("transformers"):
            import transformers

            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(_words(place)), local_files_only=True, trust_remote_code=False
            )
            # Without its files, transformers makes one that knows no words.
            words, known = len(tokenizer), network.config.text_config.vocab_size
            if not known / 2 < words <= known:
                raise ValueError(f"it knows {words} tokens of {known}")
            cut = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
    except Exception as error:  # damaged files, missing ones, missing packages: each has a kind of its own
        raise ValueError(f"{CLIP.named(place)} has no usable tokenizer ({line(error)})") from error
    network.eval()
    found = []
    with torch.no_grad():
        for ids, seen in zip(
            cut["input_ids"].split(_TEXTS), cut["attention_mask"].split(_TEXTS), strict=True
        ):
            pooled = network.text_model(input_ids=ids, attention_mask=seen).pooler_output
            found.append(F.normalize(network.text_projection(pooled), dim=-1))
    return torch.cat(found)


def _words(place: str) -> Path:
    """Return the folder of the tokenizer's files, which for a model of the hub are fetched."""
    from huggingface_hub import snapshot_download

    folder = Path(place).expanduser()
    if folder.is_dir():
        return folder
    return hub_cache.obtained(
        place,
        lambda local: Path(snapshot_download(place, allow_patterns=list(_WORDS), local_files_only=local)),
    )


def _eye(settings: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return what `ImageClassifier` takes for what an image processor does."""
    try:
        mean, std = hugging_face.normalization(settings)
        resize, crop = _sides(settings)
        interpolation = hugging_face.RESAMPLING[settings["resample"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{place}: cannot follow its image processor: {error!r}") from error
    return {"crop": crop, "resize": resize, "mean": mean, "std": std, "interpolation": interpolation}


def _sides(settings: Mapping[str, Any]) -> tuple[int | tuple[int, int], int]:
    """Return to what images are resized, and the side of the square that is cropped."""
    size = {side: int(pixels) for side, pixels in settings["size"].items() if pixels}
    if not settings.get("do_resize") or size.keys() not in ({"height", "width"}, {"shortest_edge"}):
        raise ValueError(f"expected a resize to a height and width, or a shortest edge, got {size}")
    resize: int | tuple[int, int] = size.get("shortest_edge") or (size["height"], size["width"])
    kind = settings.get("image_processor_type", "")
    if isinstance(resize, int) and kind.startswith("ConvNext"):
        warped = resize >= _WARPED
        return ((resize, resize), resize) if warped else (int(resize / settings["crop_pct"]), resize)
    if isinstance(resize, int) and kind.startswith("Levit"):
        resize = int(_LEVIT * resize)
    cropped = settings["crop_size"] if settings.get("do_center_crop") else size
    if not cropped.get("height") or cropped["height"] != cropped["width"]:
        raise ValueError(f"expected a view that is square, got {cropped}")
    crop = int(cropped["height"])
    if crop > (resize if isinstance(resize, int) else min(resize)):
        raise ValueError(f"expected a crop that fits into the resized image, got {crop} of {resize}")
    return resize, crop


def _compare(classifier: "ImageClassifier", settings: Mapping[str, Any], place: str) -> None:
    """Refuse an image processor that does something else than was read off its settings.

    It is shown an image without detail, because it rounds pixels and the place of the crop its own way.
    """
    import transformers

    resize = classifier.resize
    short = resize if isinstance(resize, int) else min(resize)
    down, across = (
        torch.linspace(0.1, 0.9, short)[:, None],
        torch.linspace(0.1, 0.9, short + 2 * (short // 4)),
    )
    image = torch.stack([(down + 0 * across), (across + 0 * down), (down + across) / 2])
    pixels = (image * 255).round().to(torch.uint8)
    try:
        with hushed("transformers"):
            processor = getattr(transformers, settings["image_processor_type"]).from_dict(dict(settings))
            theirs = torch.as_tensor(processor(images=pixels, return_tensors="pt")["pixel_values"])[0]
    except Exception as error:  # there are some hundred processors, and each fails in its own ways
        raise ValueError(f"{place}: cannot run its image processor ({line(error)})") from error
    if settings.get("do_flip_channel_order"):  # which the network does here
        theirs = theirs.flip(0)
    ours = classifier.view(image)
    if theirs.shape != ours.shape or (theirs * classifier.std + classifier.mean - ours).abs().max() > _CLOSE:
        kind = settings["image_processor_type"]
        raise ValueError(f"{place}: cannot follow its image processor: {kind} does more than it says")
