"""CLIP models as classifiers of whatever a list names (Radford et al. 2021)."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.classifiers.image_classifier import ImageClassifier
from models.classifiers.image_processor import check, preprocessing_of
from models.weights import hub as hub_cache
from models.weights import transformers as hugging_face
from models.weights.checkpoint import refuse_weights
from models.weights.environment import expanded
from models.weights.libraries import one_line, quiet

CLIP = hugging_face.ModelFamily("AutoModel", "CLIP model", "classifier", "clip:")
TEMPLATE = "a photo of a {}"
_TEXTS = 64
_TOKENIZER_FILES = ("tokenizer*", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json")


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
        logits: Tensor = self.scale * F.normalize(self.embedded(images), dim=-1) @ self.texts.T
        return logits

    def embedded(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Return the embeddings of normalized images."""
        embeddings: Tensor = self.projection(self.vision(pixel_values=images).pooler_output)
        return embeddings


class Embedded(nn.Module):
    """The embeddings of images alone."""

    def __init__(self, network: ZeroShot) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Return the embeddings of normalized images."""
        return self.network.embedded(images)


def load(place: str, weights: Path | None = None) -> ImageClassifier:
    """Return a CLIP model as a classifier of what a list names: ``FOLDER@labels=FILE,template=a {}``.

    The file has one label a line. Each is put into the template (`TEMPLATE`); texts are embedded once.

    Raises:
        ValueError: If there is no list, or the model or what its image processor does is not understood.
    """
    place, labels, template = _parsed(place)
    return load_texts(place, [template.replace("{}", label) for label in labels], weights, labels)


def load_texts(
    place: str, texts: Sequence[str], weights: Path | None = None, labels: Sequence[str] = ()
) -> ImageClassifier:
    """Return a CLIP model as a classifier of texts, which are the labels unless there are others.

    Raises:
        ValueError: If the model or what its image processor does is not understood.
    """
    refuse_weights(weights, CLIP.named(place))
    network, settings = hugging_face.pretrained(place, CLIP)
    kind = network.config.model_type
    if kind != "clip":  # relatives of CLIP have other logits
        raise ValueError(f"{CLIP.named(place)}: expected a CLIP model, got {kind!r}")
    preprocessing = preprocessing_of(settings, CLIP.named(place))
    embedded = _embedded(network, texts, place)
    classifier = ImageClassifier(ZeroShot(network, embedded), preprocessing, tuple(labels) or tuple(texts))
    check(classifier, settings, CLIP.named(place))
    return classifier


def _parsed(text: str) -> tuple[str, tuple[str, ...], str]:
    """Return the model, the labels and the template of ``PLACE@labels=FILE,template=TEXT``."""
    place, _, rest = text.partition("@")
    fields = dict(part.partition("=")[::2] for part in re.split(r",(?=\w+=)", rest)) if rest else {}
    if not place or not fields.get("labels") or fields.keys() - {"labels", "template"}:
        form = "clip:PLACE@labels=FILE (one label a line), and ,template=TEXT behind it at will"
        raise ValueError(f"classifier: expected {form}, got {'clip:' + text!r}")
    template = fields.get("template", TEMPLATE)
    if "{}" not in template:
        raise ValueError(f"classifier: template: expected a text with {{}} for the label, got {template!r}")
    path = expanded(fields["labels"])
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"classifier: labels: cannot read {path} ({one_line(error)})") from error
    labels = tuple(text.strip() for text in lines if text.strip())
    if not labels:
        raise ValueError(f"classifier: labels: expected one a line, got none in {path}")
    return place, labels, template


def _embedded(network: Any, texts: Sequence[str], place: str) -> Float[Tensor, "k d"]:
    """Return the normalized embeddings of the texts."""
    try:
        with quiet("transformers"):
            import transformers

            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(_tokenizer_folder(place)), local_files_only=True, trust_remote_code=False
            )
            # Without its files, transformers makes one that knows no words.
            words, known = len(tokenizer), network.config.text_config.vocab_size
            if not known / 2 < words <= known:
                raise ValueError(f"it knows {words} tokens of {known}")
            tokens = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
    except Exception as error:  # damaged files, missing ones, missing packages: each has a kind of its own
        raise ValueError(f"{CLIP.named(place)} has no usable tokenizer ({one_line(error)})") from error
    network.eval()
    embeddings = []
    with torch.no_grad():
        for ids, attended in zip(
            tokens["input_ids"].split(_TEXTS), tokens["attention_mask"].split(_TEXTS), strict=True
        ):
            pooled = network.text_model(input_ids=ids, attention_mask=attended).pooler_output
            embeddings.append(F.normalize(network.text_projection(pooled), dim=-1))
    return torch.cat(embeddings)


def _tokenizer_folder(place: str) -> Path:
    """Return the folder of the tokenizer's files, which for a model of the hub are fetched."""
    from huggingface_hub import snapshot_download

    folder = expanded(place)
    if folder.is_dir():
        return folder
    return hub_cache.obtained(
        place,
        lambda local: Path(
            snapshot_download(place, allow_patterns=list(_TOKENIZER_FILES), local_files_only=local)
        ),
    )
