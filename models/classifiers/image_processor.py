"""What transformers' image processors do to images, in terms of `ImageClassifier`."""

from collections.abc import Mapping
from typing import Any

import torch

from models.classifiers.image_classifier import ImageClassifier
from models.preprocessing import Preprocessing
from models.weights import transformers as hugging_face
from models.weights.libraries import one_line, quiet

_WARPED = 384  # from this side on, ConvNeXt's image processor does not crop
_LEVIT = 256 / 224
_CLOSE = 0.03


def preprocessing_of(settings: Mapping[str, Any], place: str) -> Preprocessing:
    """Return what an image processor with these settings does.

    Raises:
        ValueError: If that is not understood; the message begins with ``place``.
    """
    try:
        mean, std = hugging_face.normalization(settings)
        resize, crop = _sides(settings)
        return Preprocessing(crop, resize, mean, std, hugging_face.RESAMPLING[settings["resample"]])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{place}: cannot follow its image processor: {error!r}") from error


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
    return resize, int(cropped["height"])


def check(classifier: ImageClassifier, settings: Mapping[str, Any], place: str) -> None:
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
        with quiet("transformers"):
            processor = getattr(transformers, settings["image_processor_type"]).from_dict(dict(settings))
            theirs = torch.as_tensor(processor(images=pixels, return_tensors="pt")["pixel_values"])[0]
    except Exception as error:  # there are some hundred processors, and each fails in its own ways
        raise ValueError(f"{place}: cannot run its image processor ({one_line(error)})") from error
    if settings.get("do_flip_channel_order"):  # which the network does here
        theirs = theirs.flip(0)
    ours = classifier.view(image)
    if theirs.shape != ours.shape or (theirs * classifier.std + classifier.mean - ours).abs().max() > _CLOSE:
        kind = settings["image_processor_type"]
        raise ValueError(f"{place}: cannot follow its image processor: {kind} does more than it says")
