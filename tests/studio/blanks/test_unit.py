"""What a unit says of images that cannot be filled in."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from attribution.optimize import updates
from models.classifiers import digits
from models.weights.checkpoint import save_safetensors
from studio.blanks import classifier
from studio.blanks import setup as setups
from studio.blanks.data import opened
from studio.blanks.pictures import Drawing
from studio.blanks.request import BlanksRequest
from studio.blanks.results import collect
from studio.blanks.setup import RANDOM, SECOND, Setup
from studio.blanks.unit import Worker
from studio.registry.build import build_method
from studio.runs.folder import RunFolder

NAMES = [str(digit) for digit in range(10)]


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """Digits, and a network that sees a zero in everything."""
    network = digits.DigitClassifier()
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([9.0] + [0.0] * 9))
    save_safetensors(tmp_path / "zero.safetensors", network, {"arch": "digits", "labels": json.dumps(NAMES)})
    request = BlanksRequest(
        "digits",
        limit=2,
        ablations=0,
        classifier=f"digits:{tmp_path / 'zero.safetensors'}",
        settings=("blanks.correct=3", "blanks.steps=1"),
        out=tmp_path,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("studio.blanks.data.LOADERS", {"digits": _few})
        return setups.set_up(request)


def _few(*_: object) -> setups.Labelled:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 1, 28, 28, generator=generator)
    return setups.Labelled("digits", NAMES, images, torch.tensor([0, 1]), (images, torch.arange(2)))


def test_a_class_that_no_mask_leaves_is_the_images_error(setup: Setup, tmp_path: Path) -> None:
    worker, folder = Worker(setup), RunFolder(tmp_path / "run", setup.settings)
    seen, unseen = worker((0, RANDOM))[0], worker((1, RANDOM))[0]
    assert seen.error == ""
    assert seen.values["answer"][0][1] == 0
    assert unseen.error.startswith("target must be a class that the classifier still sees")
    assert not unseen.values
    for name in setup.variants:
        for number in (0, 1):
            folder.save((number, name), *worker((number, name)))
    results = collect(folder, setup)
    row = results.row(RANDOM)
    assert row is not None
    assert (row.images, row.left_out, row.accuracy) == (1, 1, 1)
    assert list(results.as_json(setup)["left_out"][RANDOM]) == ["1"]
    assert [row.name for row in Drawing(results, folder, worker).prototypes()[0]] == ["0"]
    nothing = replace(results.parts[RANDOM][1])
    folder.save((0, RANDOM), nothing)
    with pytest.raises(
        ValueError, match="DATA: the classifier sees none of 2 images right once there are blanks"
    ):
        collect(folder, setup)


def test_divergence_is_the_images_error_and_leaves_a_gap(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(loss: updates.Asked, image: torch.Tensor, steps: int) -> tuple[torch.Tensor, float]:
        return image, float("inf")

    monkeypatch.setattr(updates, "_l_bfgs", diverging)
    worker, folder = Worker(setup), RunFolder(tmp_path / "run", setup.settings)
    assert "l-bfgs diverges: the loss goes from" in worker((0, SECOND))[0].error
    for name in setup.variants:
        for number in (0, 1):
            folder.save((number, name), *worker((number, name)))
    results = collect(folder, setup)
    assert SECOND not in [row.name for row in results.rows]
    rows = Drawing(results, folder, worker).progressive()[0]
    assert rows[0].pictures[-1] is None
    assert rows[0].pictures[-2] is not None


def test_a_filler_of_an_images_own_segments_is_built_for_each(tmp_path: Path) -> None:
    request = BlanksRequest(
        "scenes:2", fillers=("mean-segment",), ablations=0, settings=("blanks.correct=3",), out=tmp_path
    )
    setup = setups.set_up(request)
    segments = [Worker(setup).score(number).filler.segments for number in (0, 1)]  # type: ignore[attr-defined]
    lime = build_method("lime", {})
    for number, found in enumerate(segments):
        assert torch.equal(found, lime.segment(setup.data.images[number]))  # type: ignore[attr-defined]
    assert not torch.equal(*segments)


def test_what_fills_is_computed_in_the_precision_that_is_kept(tmp_path: Path) -> None:
    request = BlanksRequest("scenes:1", fillers=("inpaint",), ablations=0, out=tmp_path)
    setup = setups.set_up(request)
    assert (setup.settings["precision"], Worker(setup).score(0).filler.precision) == ("float32",) * 2  # type: ignore[attr-defined]


def test_the_classifiers_dropout_is_seeded_wherever_it_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    monkeypatch.setattr(classifier, "STEPS", 2)
    before = torch.get_rng_state()
    classifier.trained(opened("digits", 1, 7), 7, tmp_path, torch.device("cpu"))
    assert seeds == [7]
    assert torch.equal(before, torch.get_rng_state())
