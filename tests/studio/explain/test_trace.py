"""The steps of an optimizing method as an animation."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from attribution import MP2, MaskedScore, MeaningfulPerturbation
from attribution.optimize.loop import Step
from infill import Gray
from studio.explain.trace import CAPTION, FRAMES, HOLD, MARGIN, Trace, save_trace


@pytest.fixture
def score(image: Tensor) -> MaskedScore:
    """Scores how red the image is."""

    def classifier(images: Tensor) -> Tensor:
        red = 20 * images[:, 0].mean(dim=(1, 2)) - 4
        return torch.stack([red, -red], dim=1)

    return MaskedScore(image[0], 0, classifier, Gray((0.0, 0.0, 0.0)))


def step(number: int, score: MaskedScore) -> Step:
    fill = torch.full_like(score.image, number / 1000)
    return Step(number, torch.tensor([0]), torch.ones_like(fill[:, :1]), fill, torch.tensor([0.5]))


@pytest.mark.parametrize("steps", [1, 2, 59, 60, 61, 121, 500])
def test_steps_are_kept_evenly_and_few_at_any_time(steps: int, score: MaskedScore) -> None:
    trace = Trace(score)
    for number in range(steps):
        trace(step(number, score))
        assert len(trace.shots) <= FRAMES
    shots = trace.all()
    numbers = [shot.number for shot in shots]
    assert numbers[0] == 0
    assert numbers[-1] == steps - 1
    assert min(steps, FRAMES // 2) <= len(numbers) <= FRAMES + 1
    gaps = {after - before for before, after in pairwise(numbers[:-1])}
    assert len(gaps) <= 1
    assert [int(shot.composite[0, 0, 0]) for shot in shots] == [round(number * 0.255) for number in numbers]


def test_the_gif_shows_every_step_and_holds_the_result(score: MaskedScore, tmp_path: Path) -> None:
    trace = Trace(score)
    outcome = MP2(cells=4).optimize(score, trace)
    path = tmp_path / "a.unfinished"
    save_trace(trace, outcome, path)
    steps = int(outcome.steps)
    assert 2 <= steps <= 9
    with Image.open(path) as gif:
        assert gif.format == "GIF"
        assert gif.size == (
            2 * 7 * 32 + 3 * MARGIN,
            7 * 24 + CAPTION + 2 * MARGIN,
        )  # 32 px are too few to read
        assert gif.n_frames == steps + 1
        assert gif.info["loop"] == 0
        pauses = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            pauses.append(gif.info["duration"])
        last = gif.convert("RGB")
    assert pauses[-1] == HOLD
    assert max(pauses[:-1]) <= 400
    top = MARGIN + CAPTION
    read = np.asarray(last)[top : top + 7 * 24 : 7].astype(float)
    shown = read[:, MARGIN : MARGIN + 7 * 32 : 7]
    expected = outcome.counterfactual[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(shown - expected).mean() < 12  # 256 colors
    beside = read[:, 2 * MARGIN + 7 * 32 : 2 * MARGIN + 2 * 7 * 32 : 7]
    redness = torch.from_numpy(beside[..., 0] - beside[..., 2])
    hole = outcome.hole[0, 0] > 0
    assert float(redness[hole].min()) > 40
    assert float(redness[~hole].max()) < 20


def test_a_larger_canvas_is_cut_to_the_view(score: MaskedScore) -> None:
    trace = Trace(score)
    MeaningfulPerturbation(cells=4, steps=2, jitter=4).optimize(score, trace)
    assert [shot.number for shot in trace.all()] == [0, 1]
    assert all(shot.composite.shape == shot.hole.shape == (24, 32, 3) for shot in trace.all())
    assert all(0 < shot.area < 1 for shot in trace.all())
