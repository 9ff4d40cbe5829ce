"""Any explainer as an ``explain_func`` of Quantus."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

import torch
from torch import nn

from attribution.explainer import Explainer
from attribution.integrations.inputs import Inputs, MeanStd, ScoreOptions, build_score

if TYPE_CHECKING:
    import numpy as np

ExplainFunc: TypeAlias = Callable[..., "np.ndarray[Any, np.dtype[np.float32]]"]
"""``(model, inputs, targets, device=None) -> attributions``, arrays of numpy."""


def quantus_explain(
    explainer: Explainer,
    *,
    denormalize: MeanStd | None = None,
    clip: bool = False,
    **options: Unpack[ScoreOptions],
) -> ExplainFunc:
    """Return an ``explain_func`` for the metrics of Quantus.

    It maps a model, inputs "b c h w" and targets "b" (arrays or tensors) to attributions "b 1 h w".

    Args:
        explainer: The method.
        denormalize: (mean, std) per channel, if inputs come normalized by them, as the model expects
            them. If not given, inputs must be in [0, 1].
        clip: Cut images off at 0 and 1 instead of refusing them; needed for metrics that add noise to
            the inputs, like ``quantus.MaxSensitivity``.
        options: Filler, link, batch size, precision, seed and progress, as for `MaskedScore`.

    Raises:
        ValueError: If ``denormalize`` is not (mean, std).
    """
    convert = Inputs(denormalize, clip)

    def explain(
        model: nn.Module, inputs: Any, targets: Any, device: str | None = None
    ) -> "np.ndarray[Any, np.dtype[np.float32]]":
        given = torch.as_tensor(inputs, device=device or _device(model))
        images = convert.images(given.float())
        target = torch.as_tensor(targets).flatten()
        score = build_score(images, target, convert.classifier(model, images), options)
        heatmap: np.ndarray[Any, np.dtype[np.float32]] = explainer(score)[:, None].cpu().numpy()
        return heatmap

    return explain


def _device(model: nn.Module) -> torch.device:
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device
