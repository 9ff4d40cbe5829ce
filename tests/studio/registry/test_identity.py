"""What a run depends on is known by its content, wherever it is."""

import shutil
from pathlib import Path

import pytest
import torch

from models.classifiers import ImageClassifier
from models.inpainters.inpainter import Inpainter
from studio.registry import identity, pretrained
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


def test_superpixels_are_part_of_what_a_segments_mean_is() -> None:
    plain = identity.filler_identity("mean-segment", {})
    assert identity.filler_identity("mean-segment", {"lime": {"segments": "9"}}) != plain
    assert identity.filler_identity("mean-segment", {"sp": {"patch": "9"}}) == plain


def test_a_classifier_is_more_than_its_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("one_way.py").write_text("")
    Path("other_way.py").write_text("# other")
    Path("folder").mkdir()
    Path("folder/config.json").write_text("{}")
    classifier = ImageClassifier(torch.nn.Identity())
    names = (None, "python:one_way:f", "python:other_way:f", "hf:folder")
    known = [identity.classifier_identity(classifier, name) for name in names]
    assert len({repr(each) for each in known}) == 4
    Path("folder/config.json").write_text('{"hidden_act": "relu"}')
    assert identity.classifier_identity(classifier, "hf:folder") != known[-1]
    Path("elsewhere").mkdir()
    shutil.copytree("folder", "elsewhere/again")
    moved = identity.classifier_identity(classifier, "hf:elsewhere/again")
    assert moved == identity.classifier_identity(classifier, "hf:folder")


def test_a_folder_is_its_files_by_their_names_in_it(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place / "deep").mkdir(parents=True)
        (tmp_path / place / "deep" / "a.bin").write_bytes(b"a")
        (tmp_path / place / "b.bin").write_bytes(b"b")
    one, two = (identity.content(tmp_path / place) for place in ("one", "two"))
    assert one == two
    assert set(one or ()) == {"b.bin", str(Path("deep", "a.bin"))}
    assert identity.content(tmp_path / "none") is identity.content(None) is None


def test_only_what_may_be_a_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dog").mkdir()
    for target in ("text:" + "a dog " * 60, "text:~50 dogs", "text:dog", "against:dog,cat", "box:dog", "dog"):
        assert identity.files_named(target) == []
    for name in ("file:" + "x" * 300, "file:~nobody-of-this-name/x.pt2"):
        assert identity.files_named(name) == []
        assert identity.place_of(name) is None
    assert set(identity.files_named("hf:dog")) == {Path("dog")}


def test_a_checkpoint_by_its_common_name_is_known_by_its_files(tmp_path: Path) -> None:
    name, settings = "deepfill-v1", {"deepfill-v1": {"checkpoint": str(tmp_path / "snap-[0]")}}
    assert weights_of(name, settings) is None
    index, data = (tmp_path / f"snap-[0].{end}" for end in ("index", "data-00000-of-00001"))
    index.write_bytes(b"one")
    data.write_bytes(b"one")
    (tmp_path / "snap-0.data-00000-of-00001").write_bytes(b"another's")
    assert weights_of(name, settings) == index
    assert pretrained._files(tmp_path / "snap-[0]") == [index, data]
    before = identity.filler_identity(name, settings)
    index.write_bytes(b"two")
    assert identity.filler_identity(name, settings) != before


def test_a_checkpoint_by_its_common_name_is_loaded_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps: list[object] = []

    def inpainter(*arguments: object) -> Inpainter:
        stamps.append(arguments[-1])
        return Inpainter(lambda image, hole: image)

    monkeypatch.setattr(pretrained, "_inpainter", inpainter)
    settings = {"deepfill-v1": {"checkpoint": str(tmp_path / "snap-0")}}
    (tmp_path / "snap-0.index").write_bytes(b"one")
    data = tmp_path / "snap-0.data-00000-of-00001"
    for content in (b"one", b"other"):
        data.write_bytes(content)
        pretrained.load_network("deepfill-v1", settings, torch.device("cpu"), "auto")
    assert stamps[0] != stamps[1]
