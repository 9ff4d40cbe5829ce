"""Either all files of a result are there, or none."""

import os
from pathlib import Path

import pytest

from studio.output import output_folder


def test_files_come_all_together(tmp_path: Path) -> None:
    def second(path: Path) -> None:
        assert not (tmp_path / "out" / "a").exists()  # the first is written, but not yet there
        path.write_text("two")

    with output_folder(tmp_path / "out") as folder:
        paths = folder.publish({"a": lambda path: path.write_text("one"), "b": second}, within="deep")
    assert paths == [tmp_path / "out" / "deep" / "a", tmp_path / "out" / "deep" / "b"]
    assert [path.read_text() for path in paths] == ["one", "two"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["deep"]


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise error

    with pytest.raises(type(error)), output_folder(tmp_path / "new" / "out") as folder:
        folder.publish({"a": lambda path: path.write_text("one"), "b": fail})
    assert list(tmp_path.iterdir()) == []


def test_an_old_report_does_not_stand_beside_new_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(text: str) -> None:
        files = {name: lambda path: path.write_text(text) for name in ("picture", "report")}
        with output_folder(tmp_path) as folder:
            folder.publish(files)

    write("old")
    replace = os.replace

    def killed(draft: Path, path: Path) -> None:
        replace(draft, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write("new")
    assert (tmp_path / "picture").read_text() == "new"
    assert not (tmp_path / "report").exists()


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(KeyError), output_folder(tmp_path):
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("within", ["", "deep"])
def test_a_folder_in_the_place_of_a_file_is_told_before_any_is_moved(within: str, tmp_path: Path) -> None:
    (tmp_path / within / "b").mkdir(parents=True)
    files = {name: lambda path: path.write_text("one") for name in ("a", "b")}
    rule = rf"--out: cannot write {tmp_path / within / 'b'}, which is a folder"
    with pytest.raises(ValueError, match=rule), output_folder(tmp_path) as folder:
        folder.publish(files, within)
    assert [path.name for path in (tmp_path / within).iterdir()] == ["b"]


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "deep").touch()
    with pytest.raises(ValueError, match="deep, which is a file"), output_folder(tmp_path) as folder:
        folder.publish({"a": lambda path: path.write_text("one")}, "deep")


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ValueError, match=r"--out: cannot write to .*file/out \(Not a directory\)"),
        output_folder(tmp_path / "file" / "out"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
