"""What a run depends on is known by its content, wherever it is."""

import shutil
from pathlib import Path

import pytest

from studio.registry import identity
from studio.registry.build import weights_of


def test_the_same_weights_elsewhere_are_the_same_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = identity.filler_identity("inpaint", {})
    shipped = weights_of("inpaint", {})
    assert shipped is not None
    assert list(here["weights"]) == [shipped.name]
    copied = Path(shutil.copyfile(shipped, tmp_path / shipped.name))  # of another time, too
    monkeypatch.setattr(identity, "weights_of", lambda name, settings: copied)
    assert identity.filler_identity("inpaint", {}) == here

    with copied.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    assert identity.filler_identity("inpaint", {}) != here


def test_a_folder_is_its_files_by_their_names_in_it(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place / "deep").mkdir(parents=True)
        (tmp_path / place / "deep" / "a.bin").write_bytes(b"a")
        (tmp_path / place / "b.bin").write_bytes(b"b")
    one, two = (identity.content(tmp_path / place) for place in ("one", "two"))
    assert one == two
    assert set(one or ()) == {"b.bin", str(Path("deep", "a.bin"))}
    assert identity.content(tmp_path / "none") is identity.content(None) is None
