"""Some of a data set's examples: of certain classes, by chance, the first so many."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from models import scenes
from studio.data.dataset import open_dataset
from studio.data.selection import Selection, select


def test_without_a_choice_it_is_the_data_itself() -> None:
    data = open_dataset("scenes:5")
    assert select(data, Selection()) is data
    assert select(data, Selection(limit=9)) is data


def test_a_sample_is_drawn_by_its_seed_and_in_order() -> None:
    data = open_dataset("scenes:50")
    names = [list(select(data, Selection(sample=10, seed=seed)).names) for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]
    numbers = [int(name.removeprefix("scene-")) for name in names[0]]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 10
    assert max(numbers) > 10
    seen = {name for seed in range(40) for name in select(data, Selection(sample=10, seed=seed)).names}
    assert len(seen) == 50, "every image has its chance"


def test_examples_of_a_choice_are_those_of_the_data() -> None:
    data = open_dataset("scenes:30")
    some = select(data, Selection(sample=4, seed=2))
    for index, name in enumerate(some.names):
        example = some.read(index)
        assert example.name == name
        assert torch.equal(example.image, data.read(data.names.index(name)).image)
    assert some.fingerprint() != data.fingerprint()
    assert some.fingerprint() != select(data, Selection(sample=4, seed=3)).fingerprint()
    assert select(data, Selection(limit=3)).fingerprint() == open_dataset("scenes:3").fingerprint()


def test_classes_come_before_chance_and_the_limit() -> None:
    data = open_dataset("scenes:8")
    label = scenes.CLASSES[scenes.draw(1, objects=1).labels[0]]
    expected = [
        f"scene-{i}" for i in range(8) if scenes.CLASSES[scenes.draw(i, objects=1).labels[0]] == label
    ]
    assert len(expected) == 3
    steps: list[tuple[int, int]] = []
    some = select(data, Selection(classes=[label.upper()]), progress=lambda *step: steps.append(step))
    assert list(some.names) == expected
    assert steps == [(i + 1, 8) for i in range(8)]
    assert list(select(data, Selection(classes=[label], limit=2)).names) == expected[:2]
    sampled = select(data, Selection(classes=[label], sample=2, seed=5))
    assert set(sampled.names) <= set(expected)


def test_of_many_classes_the_first_are_told_and_how_many_there_are(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "images").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "images" / "a.png")
    rows = "".join(f"a.png,{label},0,0,4,4\n" for label in range(100, 125))
    (tmp_path / "boxes.csv").write_text(f"file,label,xmin,ymin,xmax,ymax\n{rows}")
    with pytest.raises(ValueError, match=r"no image of '10'; it has 100, .*, 119 and 5 more$"):
        select(open_dataset(str(tmp_path)), Selection("every", classes=["10"]))


def test_what_cannot_be_chosen_is_named(tmp_path: Path) -> None:
    data = open_dataset("scenes:3")
    with pytest.raises(ValueError, match="--sample: expected at most the 3 examples, got 4"):
        select(data, Selection(sample=4))
    with pytest.raises(ValueError, match="--classes: scenes:3 has no image of 'xyz'; it has "):
        select(data, Selection(classes=["xyz"]))
    for name in ("sample", "limit"):
        with pytest.raises(ValueError, match=f"--{name}: expected 1 or more, got 0"):
            Selection(**{name: 0})
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    plain = open_dataset(str(tmp_path))
    for selection, option in (
        (Selection(classes=["dog"]), "--classes"),
        (Selection("every"), "--targets every"),
    ):
        with pytest.raises(ValueError, match=f"{option}: .* does not say what its images show"):
            select(plain, selection)
