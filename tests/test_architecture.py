"""The tree in docs/architecture.md is the tree that there is."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("infill", "attribution", "models", "studio")


def tree() -> dict[str, set[str]]:
    """The files of each folder, as the document has them."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    block = text.split("```\n")[1]
    folders, top = {}, ""
    for line in block.splitlines():
        match = re.fullmatch(r"( *)(\w+)/ +(\S.*?)(?:  +(.*))?", line)
        assert match, line
        indent, name, _, files = match.groups()
        folder = f"{top}/{name}" if indent else name
        top = top if indent else name
        folders[folder] = set() if not files or files.startswith("(") else set(files.split())
    return folders


def test_every_file_is_in_the_tree_and_every_file_in_the_tree_is_there() -> None:
    there: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            folder = path.parent.relative_to(ROOT).as_posix()
            there.setdefault(folder, set()).update({path.stem} - {"__init__"})
    listed = {folder: files for folder, files in tree().items() if folder.split("/")[0] in PACKAGES}
    assert {folder: files for folder, files in listed.items() if files} == {
        folder: files for folder, files in there.items() if files
    }
    assert all((ROOT / folder).is_dir() for folder in tree())


def test_the_tree_fits_on_one_screen() -> None:
    assert len(tree()) <= 40


def test_tests_mirror_the_tree() -> None:
    rooms = {
        path.parent.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")
    }
    unknown = {room for room in rooms if room != "." and not (ROOT / room).is_dir()}
    assert unknown == set()
