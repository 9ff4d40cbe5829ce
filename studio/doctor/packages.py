"""What is installed: the libraries of the core, which must work, those of the extras, and plugins."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from typing import get_args

from infill.extras import DISTRIBUTION, EXTRAS, command, missing
from studio.doctor.line import Line
from studio.registry.plugins import Group, PluginWarning, origin

_IMPORTED_AS = {
    "grad-cam": "pytorch_grad_cam",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pypatchmatch": "patchmatch",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}
"""Where a library is not imported by the name of its package."""
_REQUIREMENT = re.compile(r"([\w.-]+)\s*([^;]*?)\s*(?:;(.*))?")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")
_PATIENCE = 120
"""Seconds for importing the core: on a cold disk torch takes many."""

# Imported one by one in a process of its own: a library that is broken may end its process. What it prints
# goes where nobody reads, also if it is not Python that does.
_IMPORTING = """
import importlib, json, os, sys
told = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
names, sys.path[:] = json.loads(sys.stdin.read())
for name in names:
    print(json.dumps([name, None]), file=told, flush=True)
    try:
        importlib.import_module(name)
    except BaseException as error:
        said = next(iter(str(error).strip().splitlines()), "")
        print(json.dumps([name, f"{type(error).__name__}: {said}"]), file=told, flush=True)
    else:
        print(json.dumps([name, ""]), file=told, flush=True)
"""


def core() -> list[Line]:
    """Return a line for all of the core, or for each of its libraries that is missing, too old or broken."""
    wanted = _wanted()
    faults = _faults([_module(name) for name in wanted])
    lines = [line for name, bound in wanted.items() if (line := _fault(name, bound, faults[_module(name)]))]
    if lines or not wanted:
        return lines or [Line("core", "infill is not installed as a package", f"pip install {DISTRIBUTION}")]
    versions = ", ".join(f"{name} {_version(name)}" for name in wanted)
    return [Line("core", f"all {len(wanted)} libraries work: {versions}")]


def extras() -> Iterator[Line]:
    """Yield a line for each extra: its libraries, with versions, or those that are missing."""
    packages = {module: name for name, module in _IMPORTED_AS.items()}
    for extra, libraries in EXTRAS.items():
        absent = missing(extra)
        faults = [f"lacks {', '.join(absent)}"] if absent else _unfit(_wanted(extra))
        names = [packages.get(library, library) for library in libraries]
        state = faults or [f"{name} {_version(name)}" for name in names]
        yield Line(f"extra {extra}", ", ".join(state), command(extra) if faults else "")


def plugins(metrics: Collection[str]) -> Iterator[Line]:
    """Yield a line for each package that adds names, and one for each name that is left out.

    Args:
        metrics: The names of infill's own metrics.
    """
    owners: dict[str, list[str]] = {}
    for group in get_args(Group):
        for point in entry_points(group=f"infill.{group}"):
            owners.setdefault(origin(point), []).append(f"{group[:-1]} {point.name}")
    for owner, names in sorted(owners.items()):
        yield Line("plugin", f"{owner}: {', '.join(names)}")
    for fault in _left_out(metrics) if owners else ():
        yield Line("plugin", fault, "bring that package up to date, or uninstall it")


def _left_out(metrics: Collection[str]) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what tables leave out is asked again
        from studio.registry import added, tables
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for table, rows in ((tables.ALL_FILLERS, added.fillers), (tables.METHODS, added.methods)):
            rows([name for name, row in table.items() if not row.origin])
        added.classifiers.__wrapped__()
        added.metrics.__wrapped__(frozenset(metrics))
    return [str(each.message) for each in told if issubclass(each.category, PluginWarning)]


def _wanted(extra: str = "") -> dict[str, str]:
    """Return the libraries of an extra, or those of the core, each with the versions that will do."""
    try:
        found = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return {}
    parts = [match.groups() for each in found if (match := _REQUIREMENT.fullmatch(each))]
    return {name: bound for name, bound, marker in parts if "".join(_EXTRA.findall(marker or "")) == extra}


def _unfit(wanted: Mapping[str, str]) -> list[str]:
    """Return which libraries are of other versions than those that will do."""
    unfit = []
    for name, bound in wanted.items():
        with suppress(PackageNotFoundError):  # installed under another name
            has = version(name)
            unfit += [] if _fits(has, bound) else [f"{name} {has} is not {bound}"]
    return unfit


def _module(name: str) -> str:
    return _IMPORTED_AS.get(name, name.replace("-", "_"))


def _faults(modules: list[str]) -> dict[str, str]:
    """Import modules in another process, and return for each what went wrong; nothing where nothing did."""
    asked = json.dumps([modules, sys.path])
    begun, faults = "", dict.fromkeys(modules, "")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _IMPORTING], input=asked, capture_output=True, text=True, timeout=_PATIENCE
        )
        said, end = done.stdout, f"it ended Python (code {done.returncode})"
    except subprocess.TimeoutExpired as error:
        said, end = _text(error.stdout), f"it takes more than {_PATIENCE} s"
    for name, fault in map(json.loads, said.splitlines()):
        faults[name] = fault or ""
        begun = name if fault is None else ""
    return {**faults, begun: end} if begun else faults


def _text(output: bytes | str | None) -> str:
    text = output.decode() if isinstance(output, bytes) else output or ""
    return text[: text.rfind("\n") + 1]


def _fault(name: str, bound: str, fault: str) -> Line | None:
    """Return a line for a library of the core that is missing, too old or broken."""
    try:
        found = version(name)
    except PackageNotFoundError:
        if not fault:  # installed under another name, as opencv-python is
            return None
        return Line("core", f"{name} is missing", f"pip install '{name}{bound}'", broken=True)
    if fault:
        remedy = f"pip install --force-reinstall '{name}{bound}'"
        return Line("core", f"{name} {found} cannot be imported ({fault})", remedy, broken=True)
    if not _fits(found, bound):
        return Line("core", f"{name} {found} is not {bound}", f"pip install '{name}{bound}'", broken=True)
    return None


def _fits(found: str, bound: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return True  # that it is missing is a line of its own
    return SpecifierSet(bound).contains(found, prereleases=True)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "of unknown version"
