"""FIDO: the odds with which each pixel may be removed, learned from random holes (Chang et al. 2019)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.optim.lr_scheduler import LinearLR

from attribution.explainer import Heatmap
from attribution.holes import Upsampling, require_cells, upsampled
from attribution.optimize.cached_score import CachedScore, Outlook
from attribution.optimize.loop import Watch, optimize
from attribution.optimize.objectives import area, sdr, ssr
from attribution.optimize.problem import Problem, as_log_odds, as_probability, in_log_odds
from attribution.optimize.result import Outcome
from attribution.score import MaskedScore
from infill.validate import Count, Length, Patience, Positive, Range, Seed, Weight, require_settings

Region = Literal["ssr", "sdr"]
Grid = Literal["coarse", "full"]


@dataclass(frozen=True)
class Fido:
    """Fill-in of the drop-out (Chang et al. 2019), with the parameters of Agarwal & Nguyen (2020, A1).

    Learns for every cell the probability that it is dropped. Each step draws random holes by the Concrete
    relaxation of these probabilities and follows the derivative of the mean score. With a learned
    inpainter and ``region="ssr"`` this is FIDO-CA.

    Attributes:
        region: ``"ssr"``: the smallest region whose preservation keeps the score; ``"sdr"``: the smallest
            whose removal destroys it.
        cells: Cells of the grid of logits along each side.
        steps: Steps of Adam, whose learning rate falls linearly to 0.
        lr: The learning rate at the start.
        samples: Holes a step.
        temperature: Of the Concrete relaxation; towards 0 a hole becomes a draw of coins.
        penalty: Weight of the sum of what is kept (ssr) or dropped (sdr).
        warmup: Over how many steps that weight rises, linearly from 0 (the published code: 30); 0: it has
            its full value from the start.
        penalized: Where that sum is taken: on the ``"full"`` image's pixels (the published code) or on the
            ``"coarse"`` cells.
        drawn: Where coins are thrown: for each pixel, on the ``"full"`` grid of the upsampled
            probabilities, or for each cell, on the ``"coarse"`` one, after which the holes are upsampled.
        upsampling: How the cells become pixels.
        odds: Whether a probability is followed as log-odds (the paper), or as it is.
        patience: An image is done when its loss rests for so many steps (`attribution.optimize.plateau`); 0:
            all steps are taken.
        seed: Seed of the holes, which are drawn alike for every image.
        outlook: Where slopes of pixels come from that are not removed, see `CachedScore`: with a filler that
            depends on the hole, from its fills of a ``"chessboard"``. Published code has ``"none"``: such a
            pixel then has the slope of what the filler proposes there, which for many is 0.

    Raises:
        ValueError: If a number is out of its range or a choice is unknown.
    """

    region: Region = "ssr"
    cells: Length = 56
    steps: Count = 300
    lr: Positive = 0.05
    samples: Count = 8
    temperature: Positive = 0.1
    penalty: Weight = 1e-3
    warmup: Annotated[int, Range(0, 10**6)] = 30
    penalized: Grid = "full"
    drawn: Grid = "full"
    upsampling: Upsampling = "bilinear"
    odds: bool = True
    seed: Seed = 0
    outlook: Outlook = "chessboard"
    patience: Patience = 0

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the probability that a pixel is evidence, in [0, 1], at the image's size."""
        return self.optimize(score).heatmap

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return the heatmap and all other results; ``watch`` is called after every step.

        Raises:
            ValueError: If there are more cells than pixels, or as for `attribution.optimize.optimize`.
        """
        return optimize(score, self._problem, self.samples, 1, watch)

    @property
    def composites(self) -> int:
        """How many composites of an image its steps score, at most."""
        return self.steps * self.samples

    def _problem(self, score: MaskedScore) -> Problem:
        size = score.size
        require_cells(self.cells, size)
        generator = Generator().manual_seed(self.seed)
        followed, inverse_link = in_log_odds(score, self.odds)

        def evidence(logits: Tensor) -> Tensor:
            dropped = upsampled(logits.sigmoid(), size, self.upsampling)
            return 1 - dropped if self.region == "ssr" else dropped

        return Problem(
            start=score.image.new_zeros(len(score), 1, self.cells, self.cells),
            loss=partial(self._loss, size, generator, self._penalties()),
            evidence=lambda logits: (evidence(logits) >= 0.5).float(),
            heatmap=lambda logits: evidence(logits)[:, 0],
            optimizer=lambda logits: torch.optim.Adam([logits], lr=self.lr),
            steps=self.steps,
            curves=("kept",) if self.region == "ssr" else ("removed",),
            limits=None,
            scheduler=lambda adam: LinearLR(adam, 1.0, 0.0, self.steps),
            score=followed,
            inverse_link=inverse_link,
            scale=as_log_odds(score) if self.odds else as_probability(score),
            outlook=self.outlook,
            patience=self.patience,
        )

    def _penalties(self) -> Iterator[float]:
        """Yield the weight of what is paid for in every step."""
        for step in range(self.steps):
            yield self.penalty * min(1.0, step / self.warmup) if self.warmup else self.penalty

    def _loss(
        self,
        size: tuple[int, int],
        generator: Generator,
        penalties: Iterator[float],
        logits: Float[Tensor, "n 1 y x"],
        score: CachedScore,
    ) -> Float[Tensor, " n"]:
        holes = self._holes(logits, size, generator)
        evidence = 1 - holes if self.region == "ssr" else holes
        objective = ssr if self.region == "ssr" else sdr
        scores = objective(score, evidence).view(len(logits), self.samples).mean(dim=1)
        dropped = logits.sigmoid()
        if self.penalized == "full":
            dropped = upsampled(dropped, size, self.upsampling)
        return scores + next(penalties) * area(1 - dropped if self.region == "ssr" else dropped)

    def _holes(self, logits: Tensor, size: tuple[int, int], generator: Generator) -> Float[Tensor, "m 1 h w"]:
        """Return random holes: all of the first image, then of the second, ..., from the same draws."""
        if self.drawn == "full":
            dropped = upsampled(logits.sigmoid(), size, self.upsampling)
            logits = dropped.clamp(1e-6, 1 - 1e-6).logit()
        noise = torch.rand(
            self.samples, 1, *logits.shape[2:], generator=generator, device="cpu", dtype=torch.float32
        ).to(logits)
        holes = concrete(logits[:, None], noise, self.temperature).flatten(0, 1)
        return holes if self.drawn == "full" else upsampled(holes, size, self.upsampling)


def concrete(
    logits: Float[Tensor, "*n 1 h w"], uniform: Float[Tensor, "*m 1 h w"], temperature: float
) -> Float[Tensor, "*k 1 h w"]:
    """Return relaxed coins with these logits (Maddison et al. 2017; Gal et al. 2017, eq. 5), in [0, 1].

    ``uniform`` are numbers in [0, 1). As the temperature falls to 0, coins become 0 or 1, and 1 with the
    probability of the logit.
    """
    noise = uniform.clamp(1e-6, 1 - 1e-6).logit()
    return ((logits + noise) / temperature).sigmoid()
