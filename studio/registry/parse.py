"""Texts from the command line become names that are known, and settings that fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from studio.registry.fields import known, parse_fields
from studio.registry.own import NO_OWN, Own
from studio.registry.tables import ALL_FILLERS, METHODS, SettingTexts
from studio.registry.variants import kind_of, split_fillers

_TOLD = 4


@dataclass(frozen=True)
class Selection:
    """The methods and fillers of a request, all of them known, and the settings that were given for them.

    Fillers are called as `studio.registry.variants.names_of` has it.
    """

    methods: tuple[str, ...]
    fillers: tuple[str, ...]
    settings: SettingTexts


def parse_selection(
    fillers: Sequence[str],
    settings: Sequence[str],
    methods: Sequence[str] = (),
    rows: Sequence[str] = (),
    own: Own = NO_OWN,
) -> Selection:
    """Check all names and settings of a request.

    Args:
        fillers: Texts like ``blur`` or ``lama:FILE@dilation=2``.
        settings: Texts like ``sp.patch=41``.
        methods: Names.
        rows: What else may stand among the fillers; it is left out of the selection.
        own: What the caller brings along: further names, whose settings are settled.

    Raises:
        ValueError: If a name is unknown, or a setting is of another form, unknown, not used or out of range.
    """
    names, beside = split_fillers(fillers)
    for name in methods:
        known(name, [*METHODS, *own.methods], "method")
    for name in names:
        known(kind_of(name), [*ALL_FILLERS, *own.fillers, *rows], "filler")
    names = tuple(name for name in names if name not in rows)
    found = parse_settings(settings, [*methods, *names], beside)
    _check_different(names, found)
    return Selection(tuple(methods), names, found)


def check_compared(methods: Iterable[str], compared: bool) -> None:
    """Check that the target is ``compared`` with a class, if one of the methods needs that.

    Raises:
        ValueError: If it is not.
    """
    for name in methods:
        if name in METHODS and METHODS[name].compares and not compared:
            raise ValueError(f"--method {name}: needs a class to compare with, --against NAME (or next)")


def check_exclusive(methods: Iterable[str], multi_label: bool) -> None:
    """Check that classes exclude each other, if one of the methods takes their softmax.

    Raises:
        ValueError: If they do not.
    """
    for name in methods:
        if name in METHODS and METHODS[name].compares and multi_label:
            raise ValueError(
                f"--method {name}: needs classes that exclude each other, whose softmax it takes, got a "
                "multi-label classifier (gradcam compares its classes)"
            )


def check_samples(samples: int, draws: bool, fillers: Iterable[str], numbers: Iterable[str] = ()) -> None:
    """Check that something draws where fills are averaged.

    Args:
        samples: Fills of each hole.
        draws: Whether one of the fillers does.
        fillers: Their names.
        numbers: Methods with a number of samples of their own, which may have been meant.

    Raises:
        ValueError: If all fills would be the same.
    """
    if samples > 1 and not draws:
        got = ", ".join(fillers) or "none"
        wanted = f"--samples: expected a filler that draws (noise, marginal, sd), got {got}"
        meant = [f"{name} has a number of its own, {name}.samples={samples}" for name in numbers]
        raise ValueError("; ".join([wanted, *meant]))


def parse_filler(text: str, option: str = "--filler") -> tuple[str, SettingTexts]:
    """Return the name and the settings of one filler, written like ``lama:FILE@dilation=2``.

    ``option`` is what errors say it was given with.

    Raises:
        ValueError: As for `parse_selection`.
    """
    try:
        selection = parse_selection((text,), ())
    except ValueError as error:
        raise ValueError(f"{option}: {str(error).removeprefix('--filler: ')}") from error
    return selection.fillers[0], selection.settings


def parse_settings(
    texts: Sequence[str], used: Sequence[str], beside: SettingTexts | None = None
) -> SettingTexts:
    """Sort texts like ``sp.patch=41`` by the methods and fillers that are ``used``, and check them all.

    Args:
        texts: Of a filler in several settings, ``blur.levels=2`` is for all of them.
        used: Names.
        beside: What was given together with the names.

    Raises:
        ValueError: If a text has another form, names what is unknown or not used, or contradicts what was
            given beside a name.
    """
    entries, settings = {**METHODS, **ALL_FILLERS}, {name: dict(its) for name, its in (beside or {}).items()}
    for text in texts:
        target, equals, value = text.partition("=")
        name, dot, field = target.partition(".")
        if not (name and dot and field and equals):
            raise ValueError(f"--set: expected NAME.FIELD=VALUE, as in sp.patch=41, got {text!r}")
        known(name, entries, "method or filler in --set")
        meant = [each for each in used if kind_of(each) == name]
        if not meant and name == "lime" and "mean-segment" in map(kind_of, used):
            meant = [name]  # its superpixels serve mean-segment too
        if not meant:
            raise ValueError(f"--set {text}: {name} is not used here; used: {', '.join(used)}")
        for each in meant:
            _check_agreed(text, field, value, (beside or {}).get(each, {}))
            settings.setdefault(each, {})[field] = value
    for name, values in settings.items():
        known(kind_of(name), entries, "method or filler in --set")
        _check_checkpoint(name, values)
        parse_fields(name, entries[kind_of(name)].fields(), values)
    return settings


def _check_checkpoint(name: str, values: Mapping[str, str]) -> None:
    """Check that what stands behind a colon is given to a filler that has a checkpoint."""
    kind, given = kind_of(name), values.get("checkpoint")
    if given is not None and kind in ALL_FILLERS and "checkpoint" not in ALL_FILLERS[kind].fields():
        raise ValueError(
            f"{kind}:{given}: {kind} has no checkpoint; settings are {kind}@FIELD=VALUE, see "
            "`infill list --long`"
        )


def _check_different(fillers: Sequence[str], settings: SettingTexts) -> None:
    """Check that a filler in several settings has others each time; those that are not given count, too."""
    kinds = [kind_of(name) for name in fillers]
    first: dict[tuple[str, str], str] = {}
    for name, kind in zip(fillers, kinds, strict=True):
        if kinds.count(kind) == 1:
            continue
        entry = ALL_FILLERS[kind]
        usual = {field: value for field, (value, _) in entry.settings().items()}
        values = {**usual, **parse_fields(name, entry.fields(), settings.get(name, {}))}
        other = first.setdefault((kind, repr(sorted(values.items()))), name)
        if other != name:
            raise ValueError(f"--filler: {other} and {name} have the same settings; give one of them")


def _check_agreed(text: str, field: str, value: str, beside: Mapping[str, str]) -> None:
    """Check that a setting was not given otherwise beside a filler's name."""
    if beside.get(field, value) != value:
        raise ValueError(f"--set {text}: {text.partition('=')[0]}={beside[field]} was given with --filler")


def parse_device(name: str) -> torch.device:
    """Return the device of this name; ``auto`` is a GPU if there is one.

    Raises:
        ValueError: If it cannot be used.
    """
    if not isinstance(name, str):
        raise ValueError(f"--device: expected a name such as cpu or cuda:0, got {name!r:.80}")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.ones(1, device=device).sum().item()  # which "meta" cannot say
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ValueError(f"--device: {name!r} cannot be used here; try cpu") from error
    return device


def quick_settings(methods: Iterable[str], settings: SettingTexts) -> str:
    """Return in a line where the quick settings of these methods differ from their papers'.

    Of a method with more than `_TOLD` such settings, the first are told, and how many more there are.
    """
    told: list[str] = []
    for name in (each for each in methods if each in METHODS):
        defaults = {field.name: field.default for field in dataclasses.fields(METHODS[name].load())}
        defaults.update(METHODS[name].given)
        quick = {
            key: value for key, value in METHODS[name].quick.items() if key not in settings.get(name, {})
        }
        differences = [f"{name}.{key} {value} (paper: {defaults[key]})" for key, value in quick.items()]
        if len(differences) > _TOLD:
            more = len(differences) - _TOLD + 1
            differences[_TOLD - 1 :] = [f"and {more} more of {name} (explain.json has all)"]
        told += differences
    return ", ".join(told)
