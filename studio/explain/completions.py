"""A hole as each filler completes it, and what is then seen in it: for the command, Python and the page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from attribution import MaskedScore
from infill import Filler
from studio.explain.inputs import InputImage
from studio.explain.session import Session


@dataclass(frozen=True, eq=False)
class Completion:
    """A hole as one filler completes it.

    Attributes:
        filler: Its name.
        image: RGB in [0, 1], in the classifier's view; ``None`` if the filler cannot fill this hole.
        probabilities: What the classifier sees in it; of what are no classes, the numbers as they are.
        score: That of the target.
        seconds: What the fill took.
        by: The filler itself.
        error: Why there is no image.
    """

    filler: str
    image: Float[Tensor, "3 h w"] | None = None
    probabilities: Float[Tensor, " k"] | None = None
    score: float = float("nan")
    seconds: float = 0.0
    by: Filler | None = None
    error: str = ""


def completions(session: Session, image: InputImage, hole: Float[Tensor, "h w"]) -> Iterator[Completion]:
    """Yield what each filler of a session makes of the hole, as soon as it is there.

    One fill each, the first that the seed gives, of fillers that draw.

    Args:
        session: Has the fillers and the classifier.
        image: The picture.
        hole: 1 where it is removed, in the classifier's view.

    Raises:
        ValueError: If the hole does not have the size of the view.
    """
    score = session.score(image).with_sampling(samples=1)
    view = score.image[0]
    if hole.shape != view.shape[1:]:
        raise ValueError(f"hole: expected {tuple(view.shape[1:])} as the view, got {tuple(hole.shape)}")
    for name in session.selection.fillers:
        try:
            yield _completed(session, image, hole, name, score)
        except ValueError as error:
            yield Completion(name, error=str(error))


def _completed(
    session: Session, image: InputImage, hole: Tensor, name: str, score: MaskedScore
) -> Completion:
    begun = time.perf_counter()
    filler = session.filler(name, image, score.image[0])
    filled = replace(score, filler=filler).perturbed(hole[None, None].to(score.image))
    seconds = time.perf_counter() - begun
    looked = replace(score, image=filled, around=None)
    probabilities = session.probabilities(looked.clean_logits)[0].cpu()
    return Completion(name, filled[0].cpu(), probabilities, looked.clean.item(), seconds, filler)
