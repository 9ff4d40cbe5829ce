"""What the benchmarks measure with: holes, distances, folds."""

import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from attribution import MP2
from benchmarks import (
    heatmap_shares,
    holes,
    literature,
    lockstep,
    optimization,
    outlook,
    own_evidence,
    pretrained,
    sampling,
    sheet,
)
from benchmarks.fillers import built
from benchmarks.holes import Case
from benchmarks.inpainting import compared, frechet, near_truth, removed
from benchmarks.localization import errors, hits, off_center
from infill import Gray
from infill.realism.artifacts import TRACES
from models.classifiers import load_classifier
from models.scenes import draw


def test_frechet_distance_of_known_sets():
    a = torch.randn(40, 12, generator=torch.Generator().manual_seed(0)).double()
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, a + 2) == pytest.approx(12 * 4)
    wider = 3 * (a - a.mean(0)) + a.mean(0)
    assert frechet(a, wider) == pytest.approx(4 * float(a.var(0).sum()))


@pytest.mark.parametrize("width", [5, 60])  # fewer and more features than images
def test_frechet_distance_is_that_of_torchmetrics(width):
    from torchmetrics.image.fid import _compute_fid

    rng = torch.Generator().manual_seed(1)
    a = torch.randn(30, width, generator=rng).double()
    b = torch.randn(25, width, generator=rng).double() @ torch.randn(width, width, generator=rng).double()
    theirs = _compute_fid(a.mean(0), a.T.cov(), b.mean(0), b.T.cov())
    assert frechet(a, b) == pytest.approx(float(theirs), rel=1e-4)


def test_squares_have_their_size_and_lie_where_they_lay():
    images = [torch.rand(3, 224, 224, generator=torch.Generator().manual_seed(i)) for i in range(8)]
    first, again = list(holes.squares(images, 29)), list(holes.squares(images, 29))
    places = set()
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.hole, other.hole)
        assert one.hole.sum() == 29 * 29
        rows = one.hole[0].any(1).nonzero().flatten()
        assert len(rows) == rows[-1] - rows[0] + 1 == 29
        places.add(int(rows[0]))
    assert len(places) > 4


def test_half_of_the_superpixels_are_off():
    cases = list(holes.superpixels([draw(i).image for i in range(4)]))
    assert all(0.3 < case.hole.mean() < 0.7 for case in cases)
    assert {float(value) for case in cases for value in case.hole.unique()} == {0.0, 1.0}


def test_the_truth_of_a_scene_differs_from_it_under_the_hole_alone():
    for case in holes.scene_objects(3):
        changed = (case.image != case.truth).any(0)
        inside = case.hole[0] > 0
        assert (changed & inside).sum() > 0.5 * inside.sum()
        assert (changed & ~inside).sum() < 0.25 * (~inside).sum()  # the shadow


def test_photographs_and_silhouettes_are_square(assets):
    images = holes.photographs(2)
    assert [tuple(image.shape) for image in images] == [(3, 224, 224)] * 2
    for case in holes.silhouettes(3):
        assert case.image.shape == (3, 224, 224)
        assert 0.02 < case.hole.mean() < 0.9


def test_errors_against_the_truth():
    image = torch.full((3, 224, 224), 0.5)
    hole = torch.zeros(1, 224, 224)
    hole[:, :20] = 1
    distance = lambda a, b, normalize: (a - b).abs().mean()  # noqa: E731
    found = near_truth(Gray((0.6, 0.6, 0.6)), [holes.Case(image, hole, image)] * 2, distance)
    assert found["mae"] == pytest.approx([0.1, 0.1], rel=1e-4)
    assert found["psnr"] == pytest.approx([20, 20], rel=1e-4)
    assert found["lpips"] == pytest.approx([0.1 * 20 / 224] * 2, rel=1e-4)


def test_goals_name_the_best_classical_filler():
    names = ("telea", "ns", "biharmonic", "inpaint")
    found = {
        name: {"lpips": np.array([value, value]), "mae": np.array([2 * value, 2 * value])}
        for name, value in zip(names, (0.4, 0.2, 0.3, 0.1), strict=True)
    }
    rows = compared("Squares of 53 px", found)
    assert [row[1:3] for row in rows] == [
        ["LPIPS / that of ns", "0.500"],
        ["mean absolute error / that of ns", "0.500"],
    ]
    assert [row[3] for row in rows] == ["at most 0.72", "at most 1"]


def test_what_was_not_reached_is_more_than_was_taken():
    taken = np.array([3000.0, 3000, 8000, 8000, 5000])
    for counts, said in (
        ([500, 700, 900, np.inf, 1200], "900"),  # wherever that one lies, it is above the median
        ([np.inf, 2000, 3800, 1500, 4500], "3000 to 3800"),
        ([np.inf, np.inf, np.inf, 1500, 4500], "not within the masks taken"),
    ):
        counts = np.array(counts)
        assert sampling.median_of(counts, np.minimum(counts, taken)) == said


def test_a_slope_that_is_0_everywhere_has_no_correlation():
    values = torch.tensor([1.0, 3.0, 2.0])
    assert outlook.correlation(values, 2 * values) == pytest.approx(1)
    none = outlook.correlation(values, torch.zeros(3))
    assert np.isnan(none)
    assert outlook.told(np.array([none, none])) == "none: the slope is 0 everywhere"
    assert outlook.told(np.array([none, 0.5])) == "0.50 (1 photographs)"
    assert outlook.told(np.array([0.5] * 10)) == "0.50 [0.50, 0.50]"


def test_the_shares_of_heatmaps_are_those_of_the_settings_that_are_named():
    sp, lime, rise = (heatmap_shares.built_method(name) for name in ("sp", "lime", "rise"))
    assert (sp.patch, sp.stride, lime.samples) == (53, 19, 200)
    assert (rise.masks, rise.estimator) == (300, "paper")


def test_the_sheet_has_24_holes_in_photographs_that_are_here():
    cases = [sheet.case(*place) for place in sheet.PLACES]
    assert len(cases) == 24
    for one in cases:
        assert one.image.shape == (3, 224, 224)
        assert 0.01 < one.hole.mean() < 0.2


def test_fillers_are_built_by_their_names_with_settings():
    found = built(("gray", "inpaint@by=auto,thick=3"), torch.rand(3, 16, 16))
    assert list(found) == ["gray", "inpaint@by=auto,thick=3"]
    assert found["inpaint@by=auto,thick=3"].thick == 3


def test_thresholds_come_from_the_other_fold():
    # a peak of 1 in the box on a plateau that has the box's size in fold 0 and covers everything in fold 1
    box = torch.tensor([[10, 10, 20, 20]])
    tight, loose = torch.zeros(2, 40, 40)
    tight[10:20, 10:20] = 0.2
    loose += 0.2
    loose[10:20, 10:20] = 0.6
    for one in (tight, loose):
        one[15, 15] = 1.0
    maps = [tight, loose, tight, loose]
    # fold 1 is found above 0.2 of its peak, at which fold 0 shows but one pixel; and the other way round
    assert errors(maps, [box] * 4, [0, 1, 0, 1]).tolist() == [1, 1, 1, 1]
    # one of each in both folds: the lowest threshold is as good as any, and finds the first
    assert errors(maps, [box] * 4, [0, 0, 1, 1]).tolist() == [0, 1, 0, 1]
    assert hits(maps, [box] * 4).tolist() == [1, 1, 1, 1]


def test_off_center_boxes():
    assert off_center(torch.tensor([[0, 0, 20, 20], [30, 30, 40, 40]]), (50, 50))
    assert not off_center(torch.tensor([[0, 0, 20, 20], [20, 20, 40, 40]]), (50, 50))


def test_objects_removed_are_judged_by_the_class_that_was_first():
    before = {"p": np.array([[0.7, 0.3], [0.2, 0.8]]), "pooled": np.array([[0.0, 1.0], [1.0, 0.0]])}
    before |= {"periodicity": np.array([1.0, 2.5]), "seam": np.ones(2), "texture": np.array([0.5, 1.5])}
    after = {"p": np.array([[0.1, 0.9], [0.4, 0.6]]), "pooled": np.array([[0.0, 3.0], [1.0, 2.0]])}
    after |= {name: before[name] for name in TRACES}
    untouched, gray = removed(before, before, {"gray": after})
    assert untouched[1].startswith("0.750")
    assert untouched[2:] == ["0 %", "0.0", "0.0", "1", "1.75", "1.00", "1.00"]
    assert gray[1].startswith("0.350")
    assert gray[2:] == ["50 %", "4.0", "4.0", "1", "1.75", "1.00", "1.00"]


def test_own_evidence_is_the_change_of_the_first_label_and_the_divergence():
    before = {"p": np.array([[0.75, 0.25], [0.5, 0.5]]), "pooled": np.array([[0.0, 1.0], [1.0, 0.0]])}
    after = {"p": np.array([[0.25, 0.75], [0.5, 0.5]]), "pooled": np.array([[0.0, 3.0], [1.0, 2.0]])}
    moved, diverged = own_evidence.changes(before, after)
    assert moved.tolist() == [0.5, 0]
    assert diverged.tolist() == pytest.approx([0.5 * np.log(3), 0])
    gray, same = own_evidence.background({"untouched": before, "gray": after, "none": before}).split("\n")[2:]
    assert gray.split(" | ")[0] == "| gray"
    assert [cell.split()[0] for cell in gray.split(" | ")[2::2]] == ["1.00"] * 3
    assert "4.000" in gray
    assert [cell.split()[0] for cell in same.split(" | ")[2::2]] == ["0.00"] * 3


def test_holes_in_the_background_leave_the_object_alone():
    cases = []
    for left in (5, 60, 150):
        hole = torch.zeros(1, 224, 224)
        hole[:, 40 : 60 + left // 2, left : left + 40] = 1
        cases.append(Case(torch.rand(3, 224, 224, generator=torch.Generator().manual_seed(left)), hole, hole))
    for percent in (None, 5):
        found = list(holes.backgrounds(cases, percent))
        assert len(found) == 3
        for case, made in zip(cases, found, strict=True):
            assert not (case.hole * made.hole).any()
            assert made.truth is made.image is case.image
            areas = [other.hole.sum() for other in cases if other is not case]
            assert made.hole.sum() in areas if percent is None else abs(made.hole.mean() - 0.05) < 0.001
        for made, again in zip(found, holes.backgrounds(cases, percent), strict=True):
            assert torch.equal(made.hole, again.hole)


def test_overlap_is_intersection_over_union():
    holes, silhouettes = np.zeros((3, 4, 4), bool), np.zeros((3, 4, 4), bool)
    holes[0, :2], silhouettes[0, 1:3] = True, True  # 4 of 12 pixels
    silhouettes[1, 0] = True
    assert optimization.overlap(holes, silhouettes).tolist() == [pytest.approx(1 / 3), 0, 0]


def test_what_was_found_in_a_lot_is_not_looked_for_again(tmp_path, monkeypatch):
    scenes = [draw(index, objects=1) for index in range(3)]
    images, targets = torch.stack([scene.image for scene in scenes]), [scene.labels[0] for scene in scenes]
    monkeypatch.setattr(optimization, "LOT", 2)
    score, above = optimization.scored(load_classifier("scenes"), images, targets)
    assert len(score) == len(above) > 1
    method = MP2(cells=4)
    first = optimization.explained(tmp_path, "MP2 / gray", method, Gray(), score)
    assert first["heatmap"].shape == (len(above), 224, 224)
    assert first["steps"].min() >= 2
    assert optimization.costs(first)[0].endswith("%")
    monkeypatch.setattr(optimization, "found", lambda *_: pytest.fail("looked for again"))
    again = optimization.explained(tmp_path, "MP2 / gray", method, Gray(), score)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    places = {optimization.place_of("scenes-3", "MP2 / gray", MP2(cells=cells), "gray") for cells in (4, 5)}
    assert len(places) == 2


def test_lockstep_finds_what_one_after_another_does():
    score = lockstep.scored(Gray(), 2)
    method = MP2(cells=4)
    together = method.optimize(score)
    for one, hole in zip(score, together.hole, strict=True):
        torch.testing.assert_close(method.optimize(one).hole[0], hole)
    assert len(lockstep.refreshed(2, MP2(cells=4, graded=True))) == 6


def test_batches_that_would_take_too_long_are_left_out(monkeypatch):
    def asked(name, precision, count, device):
        return pretrained.Measurement(seconds=count / 4, longest=count, memory=100, parameters=2_500_000)

    monkeypatch.setattr(pretrained, "measure_apart", asked)
    usual = {}
    assert pretrained.row("resnet50", "float32", "cpu", 8.0, usual)[4:] == [
        "4 (100 MiB)", "4 (100 MiB)", "over 8 s", "1"
    ]  # fmt: skip
    assert usual == {"float32": 4}
    assert pretrained.row("lama", "float32", "cpu", 1.0, {"float32": 12.0})[2:] == [
        "2.5 M", "float32", "4 (100 MiB)", "over 1 s", "over 1 s", "3"
    ]  # fmt: skip


def test_a_cell_that_fails_says_why_and_costs_no_other(monkeypatch, capsys):
    def asked(name, precision, count, device):
        if count == 8:
            raise subprocess.CalledProcessError(1, ["python"], stderr="MemoryError: 40 GiB")
        return pretrained.Measurement(seconds=count / 4, longest=count, memory=100, parameters=2_500_000)

    monkeypatch.setattr(pretrained, "measure_apart", asked)
    cells = pretrained.row("lama", "float32", "cpu", 40.0, {"float32": 12.0})
    assert cells[4:] == ["4 (100 MiB)", "failed", "4 (100 MiB)", "3"]
    assert "MemoryError: 40 GiB" in capsys.readouterr().err
    monkeypatch.setattr(pretrained, "measure_apart", lambda *_: asked("", "", 8, ""))
    assert pretrained.row("resnet50", "float32", "cpu", 40.0, {})[2:] == ["", "float32", *["failed"] * 3, ""]


def test_all_steps_of_diffusion_are_counted(monkeypatch):
    now = [0.0]

    def run(steps):
        now[0] += 2 + 3 * steps

    monkeypatch.setattr(pretrained, "job", lambda *_: (run, 50, 7))
    monkeypatch.setattr(pretrained, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    cell = pretrained.one("sd", "float32", 1, "cpu")
    assert (cell.seconds, cell.longest, cell.parameters) == (2 + 3 * 50, 2 + 3 * literature.FEW[1], 7)


def test_the_manipulated_image_is_near_and_its_gradient_nearer_to_the_others():
    from benchmarks.manipulated import gradient, manipulated

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4),
            torch.nn.Flatten(), torch.nn.Linear(128, 3),
        ).eval()  # fmt: skip
    network.requires_grad_(False)
    image, other = torch.rand(2, 1, 3, 12, 12, generator=torch.Generator().manual_seed(1)).unbind()
    options = SimpleNamespace(steps=15, epsilon=0.05)
    target = int(network(image).argmax())
    changed = manipulated(network, image, target, other, options)
    assert 0 < float((changed - image).abs().max()) <= 0.05 + 1e-6
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    wanted, _ = gradient(network, other.clone().requires_grad_(), int(network(other).argmax()), False)
    away = [
        float((gradient(network, each.clone().requires_grad_(), target, False)[0] - wanted).square().mean())
        for each in (image, changed)
    ]
    assert away[1] < away[0]
