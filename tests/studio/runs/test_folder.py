"""The run folder: what was kept comes back, whatever happens in between."""

import errno
import json
import math
from pathlib import Path

import numpy as np
import pytest

from studio.runs.folder import FORMAT, RunFolder, opened, read_settings
from studio.runs.part import Part

SETTINGS = {"methods": ["sp"], "classifier": {"name": "scenes", "weights": None}}
PART = Part(
    "3 sp gray",
    {"name": "a.png", "target": 4},
    {"deletion": [(math.nan, 0.25)], "localization": [(0.05, 1.0), (0.1, 0.0)]},
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run", SETTINGS)
    run.path.mkdir()
    run.begin()
    return run


def same(found: Part | None, expected: Part) -> None:
    assert found is not None
    assert (found.unit, found.about, found.error) == (expected.unit, expected.about, expected.error)
    assert repr(dict(found.values)) == repr(dict(expected.values))


def test_what_was_kept_comes_back(folder: RunFolder) -> None:
    assert folder.load((3, "sp--gray")) is None
    heatmap = np.linspace(-1, 1, 12).reshape(3, 4)
    folder.save((3, "sp--gray"), PART, heatmap)
    same(folder.load((3, "sp--gray")), PART)
    again = opened(folder.path)
    same(again.load((3, "sp--gray")), PART)
    found = again.heatmap((3, "sp--gray"))
    assert found is not None
    assert found == pytest.approx(heatmap, abs=1e-3)
    assert folder.heatmap((4, "sp--gray")) is None


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e6, 1e30])
def test_heatmaps_come_back_in_any_unit(folder: RunFolder, unit: float) -> None:
    heatmap = (np.linspace(-1, 1, 12).reshape(3, 4) * unit).astype(np.float32)
    folder.save((3, "sp--gray"), PART, heatmap)
    assert folder.heatmap((3, "sp--gray")) == pytest.approx(heatmap, rel=1e-3, abs=1e-4 * unit)


def test_maps_of_nothing_pictures_and_those_of_older_runs_come_back(folder: RunFolder) -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    for name, array in (("zero", np.zeros((3, 4), np.float32)), ("example", picture)):
        folder.save((3, name), PART, array)
        found = folder.heatmap((3, name))
        assert found is not None
        assert np.array_equal(found, array)
        assert (found.dtype == np.uint8) == (name == "example")
    old = np.linspace(-1, 1, 12).astype(np.float16)
    np.savez_compressed(folder.heatmap_file((3, "zero")), heatmap=old)
    assert np.array_equal(folder.heatmap((3, "zero")), old)  # type: ignore[arg-type]


def test_errors_and_empty_parts_come_back(folder: RunFolder) -> None:
    for part in (Part("1 example", {"name": "ß"}, {}, "no box"), Part("2")):
        folder.save((0, part.unit[0]), part)
        same(folder.load((0, part.unit[0])), part)


def test_the_same_content_is_the_same_bytes(folder: RunFolder) -> None:
    folder.save((1, "a"), PART)
    folder.save((2, "a"), PART)
    assert folder.file((1, "a")).read_bytes() == folder.file((2, "a")).read_bytes()


def test_the_same_settings_go_on_and_others_are_refused(folder: RunFolder) -> None:
    RunFolder(folder.path, SETTINGS).begin()
    other = {"methods": ["sp", "lime"], "classifier": {"name": "scenes", "weights": "x"}, "new": 1}
    with pytest.raises(ValueError, match="other settings") as refused:
        RunFolder(folder.path, other).begin()
    text = str(refused.value)
    assert 'methods: ["sp"] there, ["sp", "lime"] now' in text
    assert 'classifier.weights: none there, "x" now' in text
    assert "new: none there, 1 now" in text
    assert "name" not in text


def test_a_run_that_knew_weights_by_their_place_is_refused_in_words(folder: RunFolder) -> None:
    old = {"fillers": {"inpaint": {"weights": ["/there/w.safetensors", ["/there/w.safetensors", 3, 4]]}}}
    new = {"fillers": {"inpaint": {"weights": {"w.safetensors": "4f00"}}}}
    path = folder.path / "run.json"
    path.write_text(json.dumps({"format": FORMAT, "settings": old}))
    with pytest.raises(ValueError, match="begun by an older infill, which knew weights by where") as refused:
        RunFolder(folder.path, new).begin()
    assert "/there" not in str(refused.value)
    assert opened(folder.path).settings == old  # a report reads it


def test_a_run_whose_metrics_were_others_is_refused_in_words(folder: RunFolder) -> None:
    path, new = folder.path / "run.json", {"revision": 2, "seed": 0}
    path.write_text(json.dumps({"format": FORMAT, "settings": {"seed": 0}}))
    with pytest.raises(ValueError, match="begun by an older infill, whose metrics find something else"):
        RunFolder(folder.path, new).begin()
    assert opened(folder.path).settings == {"seed": 0}  # a report reads it


def test_a_run_that_knew_photographs_by_their_times_is_refused_in_words(folder: RunFolder) -> None:
    path, new = folder.path / "run.json", {"fingerprint": "content:4f00"}
    path.write_text(json.dumps({"format": FORMAT, "settings": {"fingerprint": "4f00"}}))
    with pytest.raises(
        ValueError, match="begun by an older infill, which knew photographs by their files' times"
    ):
        RunFolder(folder.path, new).begin()
    path.write_text(json.dumps({"format": FORMAT, "settings": {"fingerprint": "content:5e00"}}))
    with pytest.raises(ValueError, match='fingerprint: "content:5e00" there, "content:4f00" now'):
        RunFolder(folder.path, new).begin()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"nonsense", None])
def test_a_damaged_part_counts_as_not_there(folder: RunFolder, content: bytes | None) -> None:
    folder.save((1, "a"), PART)
    path = folder.file((1, "a"))
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    assert folder.load((1, "a")) is None
    assert folder.damaged == [path]
    folder.save((1, "a"), PART)
    same(folder.load((1, "a")), PART)


def test_a_part_of_another_run_is_refused(folder: RunFolder, tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "other", {"methods": ["lime"]})
    other.path.mkdir()
    other.begin()
    other.save((1, "a"), PART)
    folder.file((1, "a")).parent.mkdir(parents=True)
    folder.file((1, "a")).write_bytes(other.file((1, "a")).read_bytes())
    with pytest.raises(ValueError, match="part of another run; move it away"):
        folder.load((1, "a"))


@pytest.mark.parametrize("name", ["parts", "heatmaps"])
def test_a_file_in_the_place_of_parts_is_told_before_any_is_done(name: str, folder: RunFolder) -> None:
    (folder.path / name).touch()
    with pytest.raises(ValueError, match=f"--out: cannot write to .*{name}, which is a file"):
        folder.begin()


def test_a_folder_is_called_as_it_was_given(folder: RunFolder) -> None:
    (folder.path / "run.json").write_text("{")
    for read, name in ((folder.begin, "--out"), (lambda: opened(folder.path), "RUN")):
        with pytest.raises(ValueError, match=rf"^{name}: .*run\.json cannot be read .*give another folder"):
            read()


def test_a_parquet_file_from_elsewhere_is_damaged(folder: RunFolder) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder.file((1, "a"))
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"x": [1, 2]}), path)
    assert folder.load((1, "a")) is None
    assert folder.damaged == [path]


def test_leftovers_are_removed(folder: RunFolder) -> None:
    folder.save((1, "a"), PART)
    folder.save((1, "b"), PART, np.ones((2, 2)))
    inner = RunFolder(folder.path / "inner", SETTINGS)  # of another job, which may be at work
    inner.save((1, "a"), PART)
    places = [folder.path / "run.json", folder.file((1, "b")), folder.heatmap_file((1, "b"))]
    left, others, written = [
        [path.with_name(f"{path.name}.77.unfinished") for path in paths]
        for paths in (places, [inner.path / "run.json", inner.file((1, "a"))], [folder.path / "a" / "x.csv"])
    ]
    for path in (*left, *others, *written):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    RunFolder(folder.path, SETTINGS).begin()
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in (*others, *written))
    assert folder.file((1, "a")).exists()


def test_a_full_disk_names_the_file_and_leaves_nothing(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(part: Part, path: Path, digest: str) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("studio.runs.folder.write_part", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*000001/a.parquet'"):
        folder.save((1, "a"), PART)
    assert list(folder.file((1, "a")).parent.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no run of `infill evaluate`"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        (json.dumps({"format": FORMAT + 1, "settings": {}}), f"is of format {FORMAT + 1}"),
    ],
)
def test_other_folders_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_settings(tmp_path)


def test_what_is_there_instead_of_a_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"RUN: .*nothing is no folder"):
        read_settings(tmp_path / "nothing")
    (tmp_path / "realism.json").write_text("{}")
    with pytest.raises(ValueError, match="is a run of `infill realism`, whose table"):
        read_settings(tmp_path)


def test_a_difference_is_told_once_and_in_words(folder: RunFolder) -> None:
    old = {"fillers": {"gray": {"set": {}}}, "pairs": [["sp", "gray"]]}
    new = {"fillers": {"gray": {"set": {}}, "blur": {"set": {}}}, "pairs": [["sp", "gray"], ["sp", "blur"]]}
    run = RunFolder(folder.path.parent / "other", old)
    run.begin()
    with pytest.raises(ValueError, match=r"give another folder\. fillers\.blur: none there, given now$"):
        RunFolder(run.path, new).begin()


def test_other_pairs_of_the_same_methods_and_fillers_are_refused(folder: RunFolder) -> None:
    run = RunFolder(folder.path.parent / "other", {"pairs": [["sp", "gray"], ["lime", "blur"]]})
    run.begin()
    with pytest.raises(ValueError, match=r'pairs: .*"gray".* there, .*"blur"'):
        RunFolder(run.path, {"pairs": [["sp", "blur"], ["lime", "gray"]]}).begin()
