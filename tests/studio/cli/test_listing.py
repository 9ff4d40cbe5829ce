"""``infill list``: what can be set, and what it may be."""

import re

import pytest
import torch
from command import Run, runner

from infill.validate import Range, ranges
from studio.registry.build import build_filler, build_method
from studio.registry.tables import ALL_FILLERS, FILLERS, METHODS


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys, "list")


def test_every_setting_is_listed_with_what_it_may_be(run: Run) -> None:
    said = run("--long")
    assert said.code == 0, said.err
    listed = dict(re.findall(r"^ +([\w-]+\.\w+)=[^:]*: (.*)$", said.out, re.MULTILINE))
    entries = {**METHODS, **ALL_FILLERS}
    fields = {f"{name}.{field}" for name, entry in entries.items() for field in entry.fields()}
    assert set(listed) == {field for field in fields if not field.endswith(".checkpoint")}
    for setting, words in listed.items():
        assert "number" not in words or re.search(r"in [\[(]", words), f"{setting}: {words}"
    assert listed["blur.where"] == "'view' or 'photograph'"
    assert listed["sd.steps"] == "a whole number in [1, 1000]"
    assert "fido.lr=0.05, quick 0.25: a number in (0, 1e6]" in said.out
    assert "sp.patch" not in run().out


def outside(allowed: Range) -> list[float]:
    below = allowed.low if allowed.open_low else allowed.low - 1
    above = allowed.high if allowed.open_high else 2 * allowed.high + 1
    return [below, above]


NUMBERS = [
    (name, field, number)
    for name, entry in {**METHODS, **FILLERS}.items()
    for field, allowed in ranges(entry.load()).items()
    if field in entry.fields()
    for number in outside(allowed)
]


@pytest.mark.parametrize(("name", "field", "number"), NUMBERS)
def test_numbers_outside_are_refused(name: str, field: str, number: float) -> None:
    text = str(int(number)) if number == int(number) else str(number)
    count = {"color": 3, "empty": 3, "rounds": 3}.get(field, 1)
    settings = {name: {field: ",".join([text] * count)}}
    with pytest.raises(ValueError, match=f"^{name}: {field} must be"):
        _built(name, settings)


def _built(name: str, settings: dict[str, dict[str, str]]) -> object:
    if name in METHODS:
        return build_method(name, settings)
    return build_filler(name, settings, torch.zeros(3, 32, 32))
