"""What kept figures come from, in a few digits of their path: once that changes, they are measured anew."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


def origin(modules: Iterable[str], *settings: object) -> str:
    """Return twelve digits that change with settings, the code of modules, and all of ours that they use.

    Settings count as they are printed; comments and docstrings do not.
    """
    code = [ast.dump(_tree(name)) for name in sorted(used(modules))]
    return hashlib.sha256("\0".join([*code, repr(settings)]).encode()).hexdigest()[:12]


def used(modules: Iterable[str]) -> set[str]:
    """Return the modules of this repository among these and among what they import, near and far."""
    found: set[str] = set()
    left = list(modules)
    while left:
        name = left.pop()
        if name not in found and _file(name):
            found.add(name)
            left += _imports(name)
    return found


def modules_of(things: Iterable[object]) -> set[str]:
    """Return the modules of the classes of things."""
    return {type(thing).__module__ for thing in things}


def _file(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.exists()), None)


@cache
def _tree(module: str) -> ast.Module:
    """Return a module's code without texts that stand alone."""
    file = _file(module)
    tree = ast.parse(file.read_text("utf-8") if file else "")
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return tree


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Return the names of all that a module imports, wherever in it; some may be no modules."""
    found: list[str] = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
    return tuple(found)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
