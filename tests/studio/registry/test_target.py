"""What is explained, as users write it."""

import pytest
import torch
from torch import Tensor

from attribution import Against, MaskedScore, probability
from studio.registry.places import _within
from studio.registry.target import check_target, class_index, compared, parse_target, targeted

LABELS = ("tench", "Crane", "crane", "gear", "7", "ox, musk")
LOGITS = torch.tensor([[0.5, 3.0, -1.0, 2.0, 1.0, 0.0]])


def seen(images: Tensor) -> Tensor:
    return LOGITS.expand(len(images), -1) + 0 * images.mean()


def score() -> MaskedScore:
    return MaskedScore(torch.rand(3, 4, 4), 0, seen)


def meant(target: str, against: str | None = None) -> tuple[int, int | None]:
    """The target's index, and that of the class it is compared with."""
    found = targeted(score(), parse_target(target, against), LABELS)
    other = found.link.other if isinstance(found.link, Against) else None
    assert (other is None) is (found.link is probability)
    return int(found.target), other


@pytest.mark.parametrize(
    ("target", "index"),
    [("top1", 1), ("0", 0), ("4", 4), ("gear", 3), ("TENCH", 0), ("class:gear", 3), ("class:top1", 1),
     ("Ox, Musk", 5)],
)  # fmt: skip
def test_targets_are_indices_names_or_the_top(target: str, index: int) -> None:
    assert meant(target) == (index, None)


@pytest.mark.parametrize(
    ("target", "against", "indices"),
    [
        ("gear", "tench", (3, 0)),
        ("class:gear", "top1", (3, 1)),
        ("top1", "next", (1, 3)),
        ("gear", "next", (3, 1)),
        ("against:gear,tench", None, (3, 0)),
        ("against: gear , 5", None, (3, 5)),
        ("against:ox, musk,gear", None, (5, 3)),
        ("against:gear,ox, musk", None, (3, 5)),
        ("against:top1,next", None, (1, 3)),
    ],
)
def test_comparisons(target: str, against: str | None, indices: tuple[int, int]) -> None:
    assert meant(target, against) == indices
    first, other = indices
    found = targeted(score(), parse_target(target, against), LABELS)
    assert float(found.clean) == float(LOGITS[0, first] - LOGITS[0, other])


@pytest.mark.parametrize("target", ["tench", "class:tench"])
def test_what_is_compared_with_may_be_called_a_class_too(target: str) -> None:
    assert meant(target, "class:gear") == meant(target, "gear") == (0, 3)


def test_an_index_that_is_also_another_ones_name_is_refused() -> None:
    labels = ("1", "2", "3")
    with pytest.raises(
        ValueError, match="--target: 1 is the index of '2' and the name of class 0; give index:1 or index:0"
    ):
        class_index("--target", "1", labels)
    assert [class_index("--target", f"index:{number}", labels) for number in range(3)] == [0, 1, 2]
    for number in (-1, 3):
        with pytest.raises(ValueError, match=f"--target: expected 0 to 2, got {number}"):
            class_index("--target", f"index:{number}", labels)
    assert class_index("--target", "0", labels) == 0
    assert class_index("--target", "3", labels) == 2
    assert class_index("--target", "1", ("0", "1", "2")) == 1


@pytest.mark.parametrize(
    ("target", "against", "message"),
    [
        ("5000", None, "--target: expected 0 to 5, got 5000"),
        ("-1", None, "--target: expected 0 to 5, got -1"),
        ("crane", None, "--target: 'crane' is the name of classes 1 and 2; give one"),
        ("gears", None, "--target: the classifier has no class 'gears'; did you mean 'gear'?"),
        ("Trench", None, "did you mean 'tench'?"),
        ("--", None, "give an index, a class name or top1"),
        ("", None, "give an index, a class name or top1"),
        ("gear", "gears", "--against: the classifier has no class 'gears'; did you mean 'gear'?"),
        (
            "gear",
            "",
            "--against: the classifier has no class ''; give an index, a class name or top1 or next",
        ),
        ("gear", "3", "--against: 'gear' is what is explained; give another class"),
        ("top1", "top1", "--against: top1 is what is explained; give another class, or next"),
        ("against:gear,gear", None, "--against: 'gear' is what is explained; give another class"),
        ("against:gear", None, "--target: expected against:P,Q with two classes, got 'against:gear'"),
        ("against:gear,", None, "--target: expected against:P,Q with two classes"),
        ("against:gear,bear", None, "--against: the classifier has no class 'bear'; did you mean 'gear'?"),
        (
            "against:gear,tench",
            "7",
            "--against: 'against:gear,tench' says already what is compared; give one",
        ),
    ],
)
def test_others_are_refused_before_there_is_an_image(target: str, against: str | None, message: str) -> None:
    with pytest.raises(ValueError, match="--") as caught:
        check_target(parse_target(target, against), LABELS)
    assert message in str(caught.value)


def test_a_first_choice_that_is_named_is_found_with_the_image() -> None:
    text = parse_target("top1", "1")
    check_target(text, LABELS)
    with pytest.raises(ValueError, match="--against: 'Crane' is what is explained; give another class"):
        targeted(score(), text, LABELS)
    with pytest.raises(ValueError, match="--against: 'Crane' is what is explained"):
        meant("1", "top1")


def test_one_class_cannot_be_compared() -> None:
    one = MaskedScore(torch.rand(3, 4, 4), 0, lambda images: images.mean((1, 2, 3))[:, None])
    with pytest.raises(ValueError, match="--against: the classifier has one class"):
        compared(one, "next", ("only",))
    with pytest.raises(ValueError, match="--against: the classifier has one class"):
        check_target(parse_target("top1", "next"), ("only",))


def test_pixels_of_a_region_have_their_center_in_it() -> None:
    found = _within((0, 2, 3, 4.5), (10, 20), (5, 10))  # centers are at 1, 3, 5 ...
    assert found.nonzero().tolist() == [[1, 0]]
    assert int(_within((0, 0, 20, 10), (10, 20), (5, 10)).sum()) == 50
