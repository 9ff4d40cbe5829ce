"""Tables of figures from records written by hand, whose figures are known."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import nn

from infill.realism.resampling import LEAST
from models.classifiers import ImageClassifier
from models.preprocessing import Preprocessing
from studio.realism.batches import Reader
from studio.realism.cache import Cache
from studio.realism.kinds import HoleKind
from studio.realism.metrics import METRICS, OF_FEATURES
from studio.realism.regions import Regions
from studio.realism.results import Results, collect
from studio.realism.setup import Setup
from studio.realism.summary import summarize
from studio.realism.table import markdown_table, remarks, save_csv, text_table

LABELS = ("ant", "bee", "cow", "dog")
FILLERS = ("gray", "blur")
SKIPPED = (("x.png", "x.png is cut off"), ("y.png", "no box is annotated"))
EXAMPLES = ("numbers", "names", "targets", "areas", "skipped", "reasons")
Rows = Mapping[str, Mapping[str, Any]]


def written(
    folder: Path,
    rows: Rows,
    reference: str = "real",
    starts: Sequence[int] = (0,),
    targets: Sequence[int] | None = None,
    skipped: Sequence[tuple[str, str]] = (),
) -> Results:
    """Write parts that begin at these images, the skipped ones with the first, and collect them."""
    count = len(next(iter(next(iter(rows.values())).values())))
    parts = Cache(folder, {})
    for name in ("examples", *rows):
        parts.add_kind(name)
    for start, end in zip(starts, (*starts[1:], count), strict=True):
        cut = slice(start, end)
        told = skipped if start == 0 else ()
        examples = {
            "numbers": np.arange(count)[cut],
            "names": np.array([f"{number}.png" for number in range(count)], dtype=np.str_)[cut],
            "targets": np.array([-1] * count if targets is None else targets)[cut],
            "areas": np.linspace(0.1, 0.3, count)[cut],
            "skipped": np.array([name for name, _ in told], dtype=np.str_),
            "reasons": np.array([reason for _, reason in told], dtype=np.str_),
        }
        parts.save("examples", start, examples)
        for row, arrays in rows.items():
            parts.save(row, start, {name: np.asarray(values)[cut] for name, values in arrays.items()})
    return collect(parts, starts, [row for row in rows if row != "reference"], reference)


def setting(
    fillers: Sequence[str] = FILLERS,
    kind: HoleKind = "silhouettes",
    background: bool = False,
    missing: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    of_each: int = 1,
) -> Setup:
    """What is asked for; of each photograph there are so many images."""
    offers = frozenset({"silhouettes", "background"} if background else {"silhouettes"})
    photographs = [f"{number // of_each}.png" for number in range(1000)]
    data: Any = SimpleNamespace(title="made-up", kind="silhouettes", offers=offers, photographs=photographs)
    unused: Any = None
    eye = ImageClassifier(nn.Identity(), Preprocessing(crop=8, resize=8), labels=LABELS)
    return Setup(
        data=data,
        reader=Reader(data, Regions(kind), eye, None, "top1", 0),
        metrics=unused,
        fillers={name: {"set": {}} for name in fillers},
        filler_settings={},
        labels=LABELS,
        missing=missing or {},
        notes=notes,
        identity={},
        settings={"data": "made-up", "seed": 0},
    )


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def judged(count: int, shift: float = 0.0, size: int = 3) -> dict[str, ndarray]:
    """What a judge says of images; the features are those of shift 0, moved."""
    label = np.arange(count) % 3
    return {
        "label": label,
        "accuracy": (label == 0).astype(np.float32),
        "probability": np.full(count, 0.25, np.float32),
        "confidence": np.full(count, 0.5, np.float32),
        "entropy": np.full(count, 1.0, np.float32),
        "features": (rng().normal(size=(count, size)) + shift).astype(np.float32),
    }


def figure(found: Mapping[str, Any], metric: str, row: str) -> float:
    value: float = found["metrics"][metric]["figures"][row]["value"]
    return value


def difference(found: Mapping[str, Any], metric: str, one: str, other: str) -> Mapping[str, Any]:
    (gap,) = (
        gap for gap in found["metrics"][metric]["differences"] if (gap["of"], gap["from"]) == (one, other)
    )
    assert isinstance(gap, dict)
    return gap


# Results.


def test_records_are_the_parts_put_together(tmp_path: Path) -> None:
    l1, features = rng().random(7), rng(1).random((7, 3)).astype(np.float32)
    rows = {
        "real": {"l1": l1, "features": features},
        "gray": {"l1": 2 * l1, "features": 2 * features},
        "reference": {"features": 3 * features},
    }
    records = written(tmp_path, rows, "reference", (0, 5), skipped=SKIPPED)
    records.cache.save("examples", 3, {name: np.empty(0) for name in EXAMPLES})  # images that were all bad
    for row in rows:
        records.cache.save(row, 3, {})
    records = collect(records.cache, (0, 3, 5), ["real", "gray"], "reference")
    assert torch.equal(records.features("gray", tmp_path), torch.from_numpy(2 * features))
    assert list(records.numbers) == list(range(7))
    assert list(records.names) == [f"{number}.png" for number in range(7)]
    assert list(records.targets) == [-1] * 7
    assert records.areas == pytest.approx(np.linspace(0.1, 0.3, 7))
    assert list(records.skipped) == list(SKIPPED)
    assert list(records.values) == ["real", "gray"]
    for row, scale in (("real", 1), ("gray", 2)):
        assert records.values[row].keys() == {"l1"}
        np.testing.assert_array_equal(records.values[row]["l1"], scale * l1)


@pytest.mark.parametrize("row", ["real", "gray", "reference"])
def test_features_of_all_parts_are_in_one_file(row: str, tmp_path: Path) -> None:
    features = rng().random((7, 3)).astype(np.float32)
    rows = {name: {"l1": np.ones(7), "features": n * features} for n, name in enumerate(("real", "gray"), 1)}
    rows["reference"] = {"features": 3 * features}
    records = written(tmp_path / "out", rows, "reference", (0, 2, 6))
    parts = [np.concatenate([records.cache.load(row, start)["features"] for start in (0, 2, 6)])]  # type: ignore[index]
    (tmp_path / "scratch").mkdir()
    found = records.features(row, tmp_path / "scratch")
    assert torch.equal(found, torch.from_numpy(parts[0]))
    (path,) = (tmp_path / "scratch").iterdir()
    assert path.stat().st_size >= found.numel() * 4
    np.load(path, mmap_mode="r+")[0, 0] = 7
    assert found[0, 0] == 7  # what is in the file is what is computed with


def test_without_any_image_the_first_fault_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="DATA") as caught:
        written(tmp_path, {"real": {"l1": np.empty(0)}}, skipped=SKIPPED)
    assert str(caught.value) == "DATA: none of 2 images can be used; x.png: x.png is cut off"


def test_parts_that_have_gone_are_named(tmp_path: Path) -> None:
    records = written(tmp_path, {"real": {"l1": np.ones(4)}}, starts=(0, 2))
    for path in tmp_path.glob("parts/real-*/*2.parquet"):
        path.unlink()
    with pytest.raises(OSError, match="figures of real from image 2 on are no longer in the output folder"):
        collect(records.cache, (0, 2), ["real"], "real")


# Figures.


def test_figures_are_means_and_differences_are_paired(tmp_path: Path) -> None:
    l1 = rng().random(20)
    rows = {"real": {"l1": 0 * l1}, "gray": {"l1": l1}, "blur": {"l1": l1 + 0.01}}
    found = summarize(written(tmp_path, rows, starts=(0, 8)), setting(), 0)
    assert found["rows"] == ["real", "gray", "blur"]
    assert list(found["metrics"]) == ["l1"]
    assert (found["title"], found["images"]) == ("made-up · holes: silhouettes", 20)
    assert found["area"] == pytest.approx(0.2)
    for row in rows:
        shown = found["metrics"]["l1"]["figures"][row]
        assert shown["value"] == pytest.approx(rows[row]["l1"].mean())
        assert shown["low"] <= shown["value"] <= shown["high"]
    gray = found["metrics"]["l1"]["figures"]["gray"]
    assert gray["high"] - gray["low"] > 0.1
    # Far less than what each of them is unsure of, for both share the images.
    gap = difference(found, "l1", "gray", "blur")
    assert [gap[key] for key in ("value", "low", "high")] == pytest.approx([-0.01] * 3)
    assert gap["sure"]
    assert found["metrics"]["l1"]["best"] == "gray"
    pairs = [(gap["of"], gap["from"]) for gap in found["metrics"]["l1"]["differences"]]
    assert pairs == [("real", "gray"), ("real", "blur"), ("gray", "blur")]
    assert difference(found, "l1", "real", "blur")["value"] == pytest.approx(-l1.mean() - 0.01)


def test_fillers_that_are_as_good_have_no_star(tmp_path: Path) -> None:
    l1 = rng().random(20)
    noise = rng(1).normal(size=20)
    rows = {
        "gray": {"l1": l1, "psnr": 10 * l1, "lpips_truth": l1},
        "blur": {"l1": l1, "psnr": 10 * l1 + noise - noise.mean() + 0.01, "lpips_truth": l1 - 0.1},
        "telea": {"l1": l1 + 1, "psnr": 10 * l1 - 9, "lpips_truth": l1 - 0.1 + (l1 > 0.5) - (l1 < 0.5)},
    }
    found = summarize(written(tmp_path, rows), setting(tuple(rows)), 0)
    assert {name: found["metrics"][name]["best"] for name in rows["gray"]} == dict.fromkeys(rows["gray"])
    assert not difference(found, "l1", "gray", "blur")["sure"]
    assert difference(found, "l1", "gray", "telea")["sure"]
    assert not difference(found, "psnr", "gray", "blur")["sure"]


def test_the_real_images_compete_with_no_filler(tmp_path: Path) -> None:
    rows = {row: {"l1": np.full(10, value)} for row, value in (("real", 0.0), ("gray", 0.2), ("blur", 0.3))}
    records = written(tmp_path, rows)
    assert summarize(records, setting(), 0)["metrics"]["l1"]["best"] == "gray"
    assert summarize(records, setting(("gray",)), 0)["metrics"]["l1"]["best"] is None
    assert summarize(records, setting(()), 0)["metrics"]["l1"]["best"] is None


# By metric, which filler is better, the one with low or with high figures: where the object is to go, and
# where the image is to look as before.
REMOVED = {"probability": "low", "ms_ssim": "low", "lpips": "high", "l1": "low", "psnr": "high"}
REMOVED |= {"accuracy": "low", "lpips_truth": "low", "entropy": "high"}
KEPT = {"probability": None, "ms_ssim": "high", "lpips": "low", "l1": "low", "psnr": "high"}
KEPT |= {"accuracy": None, "lpips_truth": "low", "entropy": None}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("silhouettes", REMOVED),
        ("boxes", REMOVED),
        ("object", REMOVED),
        ("all", REMOVED),
        ("surroundings", KEPT),
        ("background", KEPT),
        ("segments", KEPT),
        ("squares", KEPT),
    ],
)
def test_what_is_better_depends_on_what_is_removed(
    kind: HoleKind, expected: Mapping[str, str | None], tmp_path: Path
) -> None:
    rows = {row: judged(12) for row in ("real", "low", "high")}
    for row, value in (("low", 0.25), ("high", 0.75)):
        rows[row] |= {name: np.full(12, value) for name in expected}
    found = summarize(written(tmp_path, rows), setting(("low", "high"), kind), 0)
    assert {name: found["metrics"][name]["best"] for name in expected} == expected
    for name in expected:
        direction = {"low": "lower", "high": "higher", None: None}[expected[name]]
        assert found["metrics"][name]["better"] == direction


@pytest.mark.parametrize("count", [2, 9, 10])
def test_few_photographs_make_nothing_sure(count: int, tmp_path: Path) -> None:
    rows = {"real": judged(2 * count), "gray": judged(2 * count, 1), "blur": judged(2 * count, 2)}
    for row, value in (("gray", 0.1), ("blur", 0.2)):
        rows[row] |= {"l1": value + 0.01 * np.arange(2 * count)}
    found = summarize(written(tmp_path, rows), setting(of_each=2), 0)
    few = count < LEAST
    assert found["metrics"]["l1"]["best"] == (None if few else "gray")
    for metric in found["metrics"].values():
        assert all((each["low"] is None) == few for each in metric["figures"].values())
        assert not few or not any(each["sure"] for each in metric["differences"])


def test_images_of_one_photograph_make_nothing_surer(tmp_path: Path) -> None:
    """Every image is there twice: figures and their intervals are those of half as many."""
    once = {"real": judged(20), "gray": judged(20, 1), "blur": judged(20, 2)}
    for row in once:
        once[row] |= {"l1": rng(len(row)).random(20), "probability": rng(9).random(20)}
    twice = {
        row: {name: np.repeat(values, 2, 0) for name, values in each.items()} for row, each in once.items()
    }
    alone = summarize(written(tmp_path / "once", once), setting(), 0)["metrics"]
    found = summarize(written(tmp_path / "twice", twice), setting(of_each=2), 0)
    for name, metric in alone.items():
        for row, expected in metric["figures"].items():
            assert found["metrics"][name]["figures"][row] == pytest.approx(expected, abs=1e-9), (name, row)
    assert (
        "Frechet and kernel distance and telling apart are of the 20 photographs, each once" in found["notes"]
    )


def test_labels_are_summed_up(tmp_path: Path) -> None:
    same, different = judged(12), judged(12)
    same |= {"label": np.full(12, 2), "confidence": np.full(12, 0.75)}
    same["accuracy"] = np.arange(12) % 2.0
    different |= {"label": np.array([1] * 5 + [0] * 4 + [3] * 2 + [2]), "confidence": np.full(12, 1.0)}
    different["accuracy"] = np.ones(12)
    found = summarize(written(tmp_path, {"real": different, "gray": same}), setting(("gray",)), 0)
    assert figure(found, "top3", "gray") == 1
    assert figure(found, "top3", "real") == pytest.approx(11 / 12)
    assert figure(found, "calibration", "gray") == pytest.approx(0.25)
    assert figure(found, "calibration", "real") == 0
    assert figure(found, "accuracy", "gray") == 0.5
    assert list(found["labels"]["real"].items()) == [("1 bee", 5), ("0 ant", 4), ("3 dog", 2), ("2 cow", 1)]
    assert found["labels"]["gray"] == {"2 cow": 12}


@pytest.mark.parametrize("background", [True, False])
def test_features_are_compared_with_those_of_real_images(background: bool, tmp_path: Path) -> None:
    """Moving all features by 2 along each of 3 axes is a Frechet distance of 12."""
    rows = {"real": judged(30, 5 if background else 0), "gray": judged(30, 2), "blur": judged(30)}
    if background:
        rows["reference"] = {"features": judged(30)["features"]}
    records = written(tmp_path, rows, "reference" if background else "real", (0, 11))
    found = summarize(records, setting(background=background), 0)
    assert "reference" not in found["rows"]
    assert figure(found, "frechet", "gray") == pytest.approx(12, rel=1e-4)
    assert figure(found, "frechet", "blur") == pytest.approx(0, abs=1e-4)
    assert figure(found, "frechet", "real") == pytest.approx(75 if background else 0, rel=1e-4, abs=1e-4)
    assert figure(found, "kernel", "gray") > 0.1
    assert figure(found, "kernel", "blur") == pytest.approx(0, abs=1e-6)
    assert figure(found, "two_sample", "gray") > 0.7
    assert figure(found, "two_sample", "blur") == 0.5
    for name in OF_FEATURES:
        assert found["metrics"][name]["better"] == ("lower" if background else None)
        assert found["metrics"][name]["best"] == ("blur" if background else None)
        assert difference(found, name, "gray", "blur")["sure"]
    cautions = [note for note in found["notes"] if "the real images still have the object" in note]
    assert len(cautions) == (0 if background else 1)


@pytest.mark.parametrize("kind", ["squares", "surroundings", "background"])
def test_images_that_are_to_look_as_before_are_compared_with_themselves(
    kind: HoleKind, tmp_path: Path
) -> None:
    rows = {"real": judged(12), "gray": judged(12, 2), "blur": judged(12, 1)}
    found = summarize(written(tmp_path, rows), setting(kind=kind), 0)
    assert {found["metrics"][name]["better"] for name in OF_FEATURES} == {"lower"}
    assert found["metrics"]["frechet"]["best"] == "blur"
    assert found["notes"] == []


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, {"frechet": 2, "kernel": 2, "two_sample": 10}),
        (2, {"two_sample": 10}),
        (9, {"two_sample": 10}),
        (10, {}),
    ],
)
def test_what_needs_more_images_is_left_out(count: int, expected: dict[str, int], tmp_path: Path) -> None:
    rows = {"real": judged(count), "gray": judged(count, 1)}
    found = summarize(written(tmp_path, rows), setting(("gray",), missing={"lpips": "no weights"}), 0)
    told = {name: f"needs at least {least} images, got {count}" for name, least in expected.items()}
    assert found["missing"] == {"lpips": "no weights", **told}
    assert found["metrics"].keys() & set(OF_FEATURES) == set(OF_FEATURES) - expected.keys()
    assert "accuracy" in found["metrics"]
    json.dumps(found, allow_nan=False)
    table = text_table(found)
    if count == 1:
        assert found["metrics"]["probability"]["figures"]["gray"] == {
            "value": 0.25,
            "low": None,
            "high": None,
        }
        assert "left out: Frechet distance; kernel distance (needs at least 2 images, got 1)" in table
    assert ("told from real images (needs at least 10 images" in table) == (count < 10)
    assert "left out: LPIPS to the original (no weights)" in table


def test_the_setting_is_not_changed(tmp_path: Path) -> None:
    made = setting(("gray",))
    summarize(written(tmp_path, {"real": judged(1), "gray": judged(1)}), made, 0)
    assert made.missing == {}
    assert made.notes == ()


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64 - 1, 2**70])
def test_any_seed_will_do(seed: int, tmp_path: Path) -> None:
    rows = {"real": judged(10), "gray": judged(10, 1)}
    found = summarize(written(tmp_path, rows), setting(("gray",)), seed)
    assert figure(found, "frechet", "gray") == pytest.approx(3, rel=1e-4)


def test_the_seed_decides_the_intervals(tmp_path: Path) -> None:
    records = written(tmp_path, {"gray": {"l1": rng().random(12)}})
    intervals = [
        summarize(records, setting(("gray",)), seed)["metrics"]["l1"]["figures"]["gray"]["low"]
        for seed in (0, 1, 0)
    ]
    assert intervals[0] == intervals[2] != intervals[1]


@pytest.mark.parametrize("count", [10, 11])
def test_intervals_of_a_few_images_stay_with_what_there_is(count: int, tmp_path: Path) -> None:
    made = setting(("gray",))
    found = summarize(written(tmp_path, {"real": judged(count), "gray": judged(count, 1)}), made, 0)[
        "metrics"
    ]
    for name in ("calibration", "top3", "frechet"):
        low, value, high = (found[name]["figures"]["gray"][key] for key in ("low", "value", "high"))
        assert METRICS[name].possible[0] <= low <= value <= high <= METRICS[name].possible[1], name
    assert found["calibration"]["figures"]["gray"]["low"] == 0  # it would reach below


# What is written.


HELD_AGAINST = ("change", "divergence", "periodicity", "seam", "texture")


def everything(tmp_path: Path, count: int = 10, skipped: Sequence[tuple[str, str]] = SKIPPED) -> Results:
    """All figures of three rows; "gray" is by far the better filler of the two."""
    chance = rng(3)
    rows = {}
    for row, shift in (("real", 0.0), ("gray", 0.001), ("blur", 1.0)):
        rows[row] = judged(count, shift) | {
            "ms_ssim": 0.5 + 0.1 * chance.random(count),
            "lpips": 0.1 * chance.random(count),
            "l1": 0.1 * chance.random(count) + shift,
            "psnr": 20 + chance.random(count) - 10 * shift,
            "lpips_truth": 0.1 * chance.random(count) + shift,
            **{name: chance.random(count) + shift for name in HELD_AGAINST},
        }
    del rows["real"]["l1"]
    del rows["real"]["psnr"]
    for name in ("lpips_truth", *HELD_AGAINST):
        del rows["real"][name]
    return written(tmp_path, rows, targets=np.arange(count) % 4, skipped=skipped)


def complete(tmp_path: Path, **settings: Any) -> dict[str, Any]:
    """As `everything`, but all rows have all figures."""
    records = everything(tmp_path)
    rows = {row: {**records.values["gray"], **records.values[row]} for row in records.values}
    object.__setattr__(records, "values", rows)
    return summarize(records, setting(**settings), 0)


def test_the_summary_is_json(tmp_path: Path) -> None:
    found = complete(tmp_path, missing={}, notes=["mind the gap"])
    assert found["metrics"].keys() == METRICS.keys()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["skipped"] == [{"image": name, "reason": reason} for name, reason in SKIPPED]
    assert found["notes"][0] == "mind the gap"
    assert found["settings"] == {
        "data": "made-up",
        "seed": 0,
        "fillers": {"gray": {"set": {}}, "blur": {"set": {}}},
    }
    assert found["versions"]["torch"] == torch.__version__


def test_the_csv_has_a_line_for_each_image_and_filler(tmp_path: Path) -> None:
    records = everything(tmp_path)
    save_csv(records, LABELS, tmp_path / "realism.csv")
    with (tmp_path / "realism.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    numbers = ("accuracy", "probability", "confidence", "entropy", "ms_ssim", "lpips")
    names = [
        "image",
        "filler",
        "hole",
        "target",
        "label",
        *numbers,
        "l1",
        "psnr",
        "lpips_truth",
        *HELD_AGAINST,
    ]
    assert set(lines[0]) == set(names)
    assert [(line["image"], line["filler"]) for line in lines] == [
        (f"{number}.png", row) for number in range(10) for row in ("real", "gray", "blur")
    ]
    for place, line in enumerate(lines):
        number, values = place // 3, records.values[line["filler"]]
        assert float(line["hole"]) == pytest.approx(records.areas[number], rel=1e-5)
        assert line["target"] == LABELS[number % 4]
        assert line["label"] == LABELS[number % 3]
        for name in numbers:
            assert float(line[name]) == pytest.approx(values[name][number], rel=1e-5)
        if line["filler"] == "real":
            assert line["l1"] == line["psnr"] == line["lpips_truth"] == ""
        else:
            assert float(line["psnr"]) == pytest.approx(values["psnr"][number], rel=1e-5)


def test_without_a_classifier_the_csv_has_no_classes(tmp_path: Path) -> None:
    records = written(tmp_path, {"gray": {"l1": [0.5, 0.25]}})
    save_csv(records, (), tmp_path / "realism.csv")
    assert (tmp_path / "realism.csv").read_text().splitlines() == [
        "image,filler,hole,target,l1",
        "0.png,gray,0.1,,0.5",
        "1.png,gray,0.3,,0.25",
    ]


def test_a_name_with_a_comma_stays_one_cell(tmp_path: Path) -> None:
    records = written(tmp_path, {"gray": {"label": [0]}}, targets=[1])
    save_csv(records, ("a, b", 'the "c"\n'), tmp_path / "realism.csv")
    with (tmp_path / "realism.csv").open(newline="", encoding="utf-8") as file:
        (line,) = csv.DictReader(file)
    assert (line["label"], line["target"]) == ("a, b", 'the "c"\n')


KNOWN: Rows = {
    "real": {"accuracy": [1.0] * 4, "l1": [0.5] * 4},
    "gray": {"accuracy": [0.25] * 4, "l1": [0.125] * 4},
    "blur": {"accuracy": [0.25] * 4, "l1": [0.2] * 4},
}


def known(tmp_path: Path) -> dict[str, Any]:
    rows = {
        row: {**judged(12), **{name: np.tile(values, 3) for name, values in arrays.items()}}
        for row, arrays in KNOWN.items()
    }
    found = summarize(written(tmp_path, rows, skipped=SKIPPED), setting(), 0)
    found["metrics"] = {name: found["metrics"][name] for name in KNOWN["real"]}
    return found


def test_the_text_table_tells_figures_intervals_and_the_best(tmp_path: Path) -> None:
    lines = text_table(known(tmp_path)).splitlines()
    assert lines[0] == "made-up · holes: silhouettes · 12 images, 20.0 % of the view removed"
    assert lines[1].split() == ["real", "gray", "blur"]
    assert lines[2].split() == ["accuracy,", "%", "↓", "100.0", "25.0", "25.0"]
    assert lines[3].split() == ["75.8…100.0", "25.0…25.0", "25.0…25.0"]
    assert lines[4].split()[-4:] == ["↓", "0.500", "0.125*", "0.200"]
    assert lines[4].startswith("L1 to the truth in the hole ↓")
    assert lines[5].split() == ["0.500…0.500", "0.125…0.125", "0.200…0.200"]
    assert "skipped 2 images (all are in realism.json):" in lines
    assert "  x.png: x.png is cut off" in lines


def test_the_markdown_table_tells_figures_intervals_and_the_best(tmp_path: Path) -> None:
    assert markdown_table(known(tmp_path)).splitlines() == [
        "| | real | gray | blur |",
        "|---|---|---|---|",
        "| accuracy, % ↓ | 100.0  75.8…100.0 | 25.0  25.0…25.0 | 25.0  25.0…25.0 |",
        "| L1 to the truth in the hole ↓ | 0.500  0.500…0.500 | 0.125* 0.125…0.125 | 0.200  0.200…0.200 |",
    ]


def test_arrows_point_to_the_better_figure(tmp_path: Path) -> None:
    found = complete(tmp_path)
    arrows = {"lower": "↓", "higher": "↑", None: ""}
    text, markdown = text_table(found), markdown_table(found).splitlines()[2:]
    for line, metric in zip(markdown, found["metrics"].values(), strict=True):
        title = f"{metric['title']} {arrows[metric['better']]}".strip()
        assert line.split("|")[1].strip() == title
        assert f"\n{metric['title']:27} {arrows[metric['better']]:1} " in text


def test_columns_stay_in_line_whatever_the_figures(tmp_path: Path) -> None:
    """A kernel distance near zero, or a large Frechet distance, has long figures."""
    found = complete(tmp_path)
    figures = found["metrics"]["kernel"]["figures"]
    figures["gray"] = {"value": -3.21e-05, "low": -1.23e-04, "high": -1.23e-05}
    figures["blur"] = {"value": 3.21e-05, "low": 1.23e-05, "high": 1.23e-04}
    found["metrics"]["kernel"]["best"] = "gray"
    lines = text_table(found).split("\n\n")[0].splitlines()[1:]
    assert any(line.split()[-2:] == ["-0.00012…-1.2e-05", "1.2e-05…0.00012"] for line in lines)
    assert any(line.split()[-2:] == ["-3.2e-05*", "3.2e-05"] for line in lines)
    assert len({len(line) for line in lines}) == 1
    width = (len(lines[0]) - 30) // 3
    for place, line in enumerate(lines):
        cells = [line[30 + width * column : 30 + width * (column + 1)] for column in range(3)]
        assert len(line[30:].split()) == 3
        assert all(cell.startswith(" ") for cell in cells)
        assert [len(cell.split()) for cell in cells] == [1, 1, 1], place


def test_remarks_name_what_is_left_out_once_for_each_reason() -> None:
    found = {
        "labels": {"real": {"3 tabby cat": 5, "0 dog": 2}, "gray": {}},
        "notes": ["a note"],
        "missing": {"accuracy": "no judge", "lpips": "no weights", "entropy": "no judge"},
        "skipped": [{"image": f"{number}.png", "reason": "bad"} for number in range(8)],
    }
    told = remarks(found)
    assert told[1:5] == [
        "most frequent labels: real: tabby cat 5, dog 2",
        "note: a note",
        "left out: accuracy; entropy (no judge)",
        "left out: LPIPS to the original (no weights)",
    ]
    assert told[5].startswith("skipped 8 images")
    assert told[6:] == [f"  {number}.png: bad" for number in range(5)]
    assert len(remarks({"labels": {}, "notes": [], "missing": {}, "skipped": []})) == 1
