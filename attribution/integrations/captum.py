"""Any explainer in the shape of captum's ``attr`` classes."""

from collections.abc import Sequence
from typing import TypeVar, Unpack

from jaxtyping import Float, Int
from torch import Tensor

from attribution.engine.precision import Classifier
from attribution.explainer import Explainer
from attribution.integrations.inputs import Inputs, MeanStd, ScoreOptions, build_score
from attribution.score import MaskedScore
from infill.validate import require

Given = TypeVar("Given", Tensor, tuple[Tensor])


class Attributor:
    """An explainer that is called like ``captum.attr.Occlusion`` and its kin.

    ``Attributor(model, SlidingPatch(), filler=Blur()).attribute(inputs, target=3)`` works where captum's
    ``attribute`` does, its metrics and its visualization included. What captum calls baselines is
    the filler. Scores are softmax probabilities unless another ``link`` is given; ``link=logit`` explains
    what ``forward_func`` returns, as captum does.

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
        target: int | Sequence[int] | Int[Tensor, "..."] | None = None,
        perturbations_per_eval: int | None = None,
        show_progress: bool = False,
    ) -> Given:
        """Return the heatmaps "b 1 h w" of the inputs "b c h w", in a tuple if these come in one.

        Args:
            inputs: Images, see ``denormalize``.
            target: The class of each image, or one for all.
            perturbations_per_eval: The batch size, instead of the one in the options.
            show_progress: Show a progress bar.

        Raises:
            ValueError: If ``target`` is left out, there are several input tensors, or as for
                `MaskedScore`.
        """
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        require(len(given) == 1, "inputs", "one tensor", f"{len(given)} tensors")
        if target is None:
            raise ValueError("target must be given, got None")
        images = self._inputs.images(given[0])
        classifier = self._inputs.classifier(self.forward_func, images)
        score = build_score(images, target, classifier, self.options)
        if perturbations_per_eval is not None:
            score = score.with_execution(batch_size=perturbations_per_eval)
        heatmap = (self._shown(score) if show_progress else self.explainer(score))[:, None]
        return (heatmap,) if isinstance(inputs, tuple) else heatmap

    def _shown(self, score: MaskedScore) -> Float[Tensor, "b h w"]:
        from tqdm.auto import tqdm

        with tqdm(desc=type(self.explainer).__name__) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)
                score.execution.progress(done, total)

            return self.explainer(score.with_execution(progress=progress))
