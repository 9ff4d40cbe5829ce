"""Any explainer in the shape of captum's ``attr`` classes."""

from collections.abc import Sequence
from typing import TypeVar, Unpack

import torch
from jaxtyping import Float
from torch import Tensor

from attribution.engine.link import Value
from attribution.engine.precision import Classifier
from attribution.explainer import Explainer
from attribution.integrations.arguments import (
    INSTEAD,
    Target,
    further_arguments,
    has_rows,
    of_part,
    single_output,
    with_arguments,
)
from attribution.integrations.inputs import Inputs, MeanStd, ScoreOptions, build_score
from attribution.score import MaskedScore
from infill.validate import require

Given = TypeVar("Given", Tensor, tuple[Tensor])


class Attributor:
    """An explainer that is called like ``captum.attr.Occlusion`` and its kin.

    ``Attributor(model, SlidingPatch(), filler=Blur()).attribute(inputs, target=3)`` works where captum's
    ``attribute`` does, its metrics and its visualization included. Scores are softmax probabilities unless
    another ``link`` is given; ``link=logit`` explains what ``forward_func`` returns, as captum does.

    What captum's ``attribute`` takes, and what becomes of it here:

    ==========================  ======================================================================
    ``inputs``                  one tensor, or a tuple of one; several are refused
    ``baselines``               refused: what takes the pixels' place is the ``filler``
    ``target``                  whole numbers; tuples (outputs of more than two axes) are refused; ``None``
                                where ``forward_func`` returns one number for each image; the link is then
                                `attribution.Value`, unless another is given
    ``additional_forward_args``  handed on to ``forward_func``; tensors with a row for each image are repeated
                                for its composites, and then images are explained one at a time
    ``feature_mask``            refused: ``Lime(segmentation=feature_mask)``
    ``sliding_window_shapes``,  refused: ``SlidingPatch(patch, stride)``
    ``strides``
    ``n_samples``               refused: a field of the method
    ``perturbations_per_eval``  the batch size
    ``show_progress``           taken
    ==========================  ======================================================================

    Args:
        forward_func: Maps inputs "b c h w" to logits "b k"; a module or any callable.
        explainer: The method.
        denormalize: (mean, std) per channel, if inputs come normalized by them, as ``forward_func``
            expects them. If not given, inputs must be in [0, 1].
        clip: Cut images off at 0 and 1 instead of refusing them; needed for metrics that add noise to
            the inputs, like ``captum.metrics.sensitivity_max``.
        options: Filler, link, batch size, precision, seed and progress, as for `MaskedScore`.

    Raises:
        ValueError: If ``denormalize`` is not (mean, std).
    """

    def __init__(
        self,
        forward_func: Classifier,
        explainer: Explainer,
        *,
        denormalize: MeanStd | None = None,
        clip: bool = False,
        **options: Unpack[ScoreOptions],
    ) -> None:
        self.forward_func = forward_func
        self.explainer = explainer
        self.options = options
        self._inputs = Inputs(denormalize, clip)

    def attribute(
        self,
        inputs: Given,
        target: Target | None = None,
        perturbations_per_eval: int | None = None,
        show_progress: bool = False,
        additional_forward_args: object = None,
        **refused: object,
    ) -> Given:
        """Return the heatmaps "b 1 h w" of the inputs "b c h w", in a tuple if these come in one.

        Args:
            inputs: Images, see ``denormalize``.
            target: The class of each image, or one for all; ``None`` if ``forward_func`` returns one number
                for each image, which is then explained as it is.
            perturbations_per_eval: The batch size, instead of the one in the options.
            show_progress: Show a progress bar.
            additional_forward_args: What ``forward_func`` gets beside the images: one thing, or a tuple.
            refused: What else captum's ``attribute`` takes; the error says what to give instead.

        Raises:
            ValueError: If ``target`` is left out although there are classes, there are several input tensors,
                something is given that is not taken, or as for `MaskedScore`.
        """
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        require(len(given) == 1, "inputs", "one tensor", f"{len(given)} tensors")
        for name, value in refused.items():
            require(
                value is None, name, f"left out ({INSTEAD.get(name, 'captum has no such argument')})", value
            )
        images = self._inputs.images(given[0])
        further = further_arguments(additional_forward_args)
        rows = [has_rows(each, len(images)) for each in further]
        parts = [slice(i, i + 1) for i in range(len(images))] if any(rows) else [slice(None)]
        heatmaps = []
        for part in parts:
            some = tuple(each[part] if own else each for each, own in zip(further, rows, strict=True))
            score = self._score(images[part], of_part(target, part, len(images)), some, rows)
            if perturbations_per_eval is not None:
                score = score.with_execution(batch_size=perturbations_per_eval)
            heatmaps.append((self._shown(score) if show_progress else self.explainer(score))[:, None])
        heatmap = torch.cat(heatmaps)
        return (heatmap,) if isinstance(inputs, tuple) else heatmap

    def _score(
        self, images: Tensor, target: Target | None, further: tuple[object, ...], rows: Sequence[bool]
    ) -> MaskedScore:
        options, model = self.options, with_arguments(self.forward_func, further, rows)
        classifier = self._inputs.classifier(model, images)
        if target is None:
            options = {**options, "link": options.get("link", Value())}
            return build_score(images, 0, single_output(classifier), options)
        return build_score(images, target, classifier, options)

    def _shown(self, score: MaskedScore) -> Float[Tensor, "b h w"]:
        from tqdm.auto import tqdm

        with tqdm(desc=type(self.explainer).__name__) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)
                score.execution.progress(done, total)

            return self.explainer(score.with_execution(progress=progress))
