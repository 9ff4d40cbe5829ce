"""The architecture's rules, read off the source of every file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("infill", "attribution", "models", "studio")
LIBRARIES = ("infill", "attribution", "models")
MAY_IMPORT = {
    "infill": {"infill"},
    "attribution": {"attribution", "infill"},
    "models": {"models"},
    "studio": set(PACKAGES),
}
METHODS = {
    "sliding_patch", "lime", "rise", "prediction_difference", "mp", "mp2", "fido", "extremal", "dssr",
    "feature_inversion", "fill_in_the_blanks", "gradient",
}  # fmt: skip
NO_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "base"}
NO_LIBRARY_IMPORTS = {"argparse", "matplotlib", "click", "tqdm"}
EXEMPT = {("attribution.captum_front", "tqdm")}  # captum's `show_progress` is a tqdm bar, for its users too
LAZY = {
    "torchvision", "cv2", "skimage", "captum", "lime", "quantus",
    "transformers", "diffusers", "lpips", "pytorch_msssim", "sklearn", "torchmetrics",
}  # fmt: skip
GLOBAL_SEEDS = {
    "torch.manual_seed", "torch.seed", "torch.random.manual_seed", "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all", "numpy.random.seed", "random.seed",
}  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def violations(source: str, module: str, methods: set[str] = METHODS) -> list[str]:
    """What a module (``attribution.lime``; a package is ``attribution.__init__``) does against the rules."""
    tree = ast.parse(source)
    package = module.split(".")[0]
    imported = list(_imports(tree, module))
    found = [*_layers(imported, package), *_names(tree, module)]
    if package == "attribution" and not module.endswith("__init__"):
        found += _methods(imported, module, methods)
    if package in LIBRARIES:
        found += [*_forbidden_imports(tree, imported, module), *_calls(tree), *_work_at_import(tree)]
    return found


def _imports(tree: ast.AST, module: str) -> Iterator[str]:
    """Every imported name in full: ``from a.b import c`` is ``a.b.c``; relative ones are resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            anchor = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*anchor, *([node.module] if node.module else [])])
            yield from (f"{origin}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (value.value for value in node.args[:1] if isinstance(value, ast.Constant))


def _layers(imported: list[str], package: str) -> Iterator[str]:
    """Rules 1 and 2: who may import whom."""
    for name in imported:
        top = name.split(".")[0]
        if top in PACKAGES and top not in MAY_IMPORT[package]:
            yield f"{package} imports {name}"


def _methods(imported: list[str], module: str, methods: set[str]) -> Iterator[str]:
    """Rule 3: nothing in attribution imports a method, whether from its file or through the package."""
    shared = {path.stem for path in (ROOT / "attribution").glob("*.py")} - methods
    for name in imported:
        top, *rest = name.split(".")
        if top == "attribution" and not (rest and rest[0] in shared):
            yield f"{module} imports {name}"


def _names(tree: ast.AST, module: str) -> Iterator[str]:
    """Rule 4: names that say nothing, and polarity that is left open."""
    yield from (f"module named {part}" for part in module.split(".") if part in NO_NAMES)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            if node.name.startswith("Base") or node.name.endswith(("Manager", "Wrapper")):
                yield f"class {node.name}"
        elif isinstance(node, FUNCTIONS):
            if node.name.startswith("get_"):
                yield f"function {node.name}"
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if any(argument.arg == "mask" for argument in arguments) and not node.name.startswith("_"):
                yield f"bare mask in {node.name}"


def _forbidden_imports(tree: ast.Module, imported: list[str], module: str) -> Iterator[str]:
    """Rule 5: nothing of the command line, and nothing heavy before it is needed."""
    for name in imported:
        top = name.split(".")[0]
        if top in NO_LIBRARY_IMPORTS and (module, top) not in EXEMPT:
            yield f"{module} imports {name}"
    for name in _imports(ast.Module(list(_at_import(tree)), []), module):
        if name.split(".")[0] in LAZY:
            yield f"{module} imports {name} at its top"


def _calls(tree: ast.AST) -> Iterator[str]:
    """Rule 5: no printing, no seeding of global generators."""
    origins = {"np": "numpy"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            origins |= {name.asname: name.name for name in node.names if name.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            origins |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, *rest = ast.unparse(node.func).split(".")
            called = ".".join([origins.get(first, first), *rest])
            if called == "print" or called in GLOBAL_SEEDS:
                yield f"calls {called}"


def _at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run on import: those of the module, of its conditions and of its classes."""
    todo = list(tree.body)
    while todo:
        node = todo.pop(0)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
            continue
        if isinstance(node, (ast.ClassDef, ast.If, ast.Try)):
            todo += [*node.body, *getattr(node, "orelse", [])]
        elif not isinstance(node, FUNCTIONS):
            yield node


def _work_at_import(tree: ast.Module) -> Iterator[str]:
    """Rule 5: importing defines, and does nothing else (a docstring is an expression, too)."""
    for node in _at_import(tree):
        bare = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
        if bare or isinstance(node, (ast.For, ast.While, ast.With, ast.Delete, ast.Global)):
            yield f"work at import: {ast.unparse(node).splitlines()[0]}"


def explainer_modules() -> set[str]:
    """The planned methods, and every module of a class that is called with a ``score``."""
    found = set(METHODS)
    for path in (ROOT / "attribution").glob("*.py"):
        classes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))
        if any(_is_method(node) for node in classes):
            found.add(path.stem)
    return found


def _is_method(node: ast.ClassDef) -> bool:
    protocol = any("Protocol" in ast.unparse(parent) for parent in node.bases)
    functions = (part for part in node.body if isinstance(part, FUNCTIONS) and part.name == "__call__")
    return not protocol and any(argument.arg == "score" for part in functions for argument in part.args.args)


FILES = [path.relative_to(ROOT) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.fixture(scope="module")
def methods() -> set[str]:
    return explainer_modules()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_keeps_to_the_architecture(path, methods):
    module = ".".join(path.with_suffix("").parts)
    assert violations((ROOT / path).read_text(), module, methods) == []


def test_the_files_are_found():
    assert {path.parts[0] for path in FILES} == set(PACKAGES)
    assert Path("infill/filler.py") in FILES


PLANTED = {
    "rule 1, infill to models": ("import models.classifiers", "infill.learned"),
    "rule 1, infill to attribution": ("from attribution import MaskedScore", "infill.realism"),
    "rule 1, infill to studio": ("import studio", "infill.filler"),
    "rule 1, models to infill": ("from infill.filler import composite", "models.scenes"),
    "rule 1, models to attribution": ("def f():\n    import attribution.score", "models.inpainters.small"),
    "rule 1, models to studio": ("from studio.registry import FILLERS", "models.__init__"),
    "rule 1, relative beyond the package": ("from ..models import scenes", "infill.learned"),
    "rule 1, by name at run time": ("import importlib as i\nx = i.import_module('models')", "infill.learned"),
    "rule 1, for types only": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import models", "infill.learned",
    ),
    "rule 2, attribution to models": ("from models.classifiers import ImageClassifier", "attribution.score"),
    "rule 2, attribution to studio": ("import studio.cli", "attribution.lime"),
    "rule 3, absolute": ("from attribution.rise import Rise", "attribution.lime"),
    "rule 3, relative": ("from .rise import Rise", "attribution.lime"),
    "rule 3, relative module": ("from . import rise", "attribution.lime"),
    "rule 3, plain": ("import attribution.mp", "attribution.mp2"),
    "rule 3, through the package": ("from attribution import Rise", "attribution.lime"),
    "rule 3, from shared code": ("from attribution.lime import Lime", "attribution.holes"),
    "rule 4, module": ("", "attribution.utils"),
    "rule 4, folder": ("", "models.common.layers"),
    "rule 4, base class": ("class BaseFiller: ...", "infill.static"),
    "rule 4, manager": ("class HoleManager: ...", "studio.run"),
    "rule 4, wrapper": ("class NetworkWrapper: ...", "models.classifiers"),
    "rule 4, getter": ("class A:\n    def get_hole(self): ...", "attribution.holes"),
    "rule 4, polarity": ("def fill(image, mask): ...", "infill.static"),
    "rule 5, print": ("def f():\n    print('done')", "attribution.rise"),
    "rule 5, argparse": ("import argparse", "models.training"),
    "rule 5, matplotlib": ("def f():\n    import matplotlib.pyplot as plt", "attribution.rise"),
    "rule 5, click": ("from click import echo", "infill.static"),
    "rule 5, tqdm": ("from tqdm import tqdm", "attribution.score"),
    "rule 5, torch seed": ("import torch\ndef f():\n    torch.manual_seed(0)", "attribution.rise"),
    "rule 5, torch seed by name": ("from torch import manual_seed as m\ndef f():\n    m(0)", "infill.static"),
    "rule 5, cuda seed": ("import torch as t\ndef f():\n    t.cuda.manual_seed_all(0)", "models.scenes"),
    "rule 5, numpy seed": ("import numpy as np\ndef f():\n    np.random.seed(0)", "models.scenes"),
    "rule 5, python seed": ("import random\ndef f():\n    random.seed(0)", "models.scenes"),
    "rule 5, heavy": ("import cv2", "infill.classical"),
    "rule 5, heavy, tried": ("try:\n    from skimage import io\nexcept ImportError: ...", "infill.static"),
    "rule 5, work": ("import torch\ntorch.set_num_threads(1)", "attribution.score"),
    "rule 5, loop": ("for x in range(3):\n    y = x", "models.scenes"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "module"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_found(source, module):
    assert len(violations(source, module)) == 1


ALLOWED = {
    "one's own package": ("from infill.filler import Fill\nfrom .chance import spawn", "infill.static"),
    "attribution to infill": ("from infill import Gray", "attribution.score"),
    "a method to shared code": ("from attribution.score import MaskedScore", "attribution.lime"),
    "the package to its methods": ("from attribution.lime import Lime as Lime", "attribution.__init__"),
    "studio to all": ("import click\nimport models, infill\nfrom attribution import Lime", "studio.cli"),
    "studio prints": ("print(1)", "studio.cli"),
    "a generator of one's own": ("import torch\ndef f():\n    torch.Generator().manual_seed(0)", "infill.x"),
    "heavy when needed": ("def f():\n    import cv2", "infill.classical"),
    "a network's own argument": ("def _call(image, mask): ...", "models.inpainters.lama"),
    "a stranger of the same name": ("from torchvision.utils import make_grid", "studio.figures"),
    "definitions": ('"""Doc."""\nX = tuple(range(3))\nclass A:\n    """Doc."""\n    x: int = 1', "infill.a"),
    "a command": ("def main(): ...\nif __name__ == '__main__':\n    main()", "models.training.__main__"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "module"), ALLOWED.values(), ids=ALLOWED)
def test_what_the_rules_allow_is_no_violation(source, module):
    assert violations(source, module) == []


def test_a_new_method_counts_as_one(tmp_path, monkeypatch):
    """A module whose class is called with a score is a method, without being on the list."""
    (tmp_path / "attribution").mkdir()
    (tmp_path / "attribution" / "novel.py").write_text("class Novel:\n    def __call__(self, score): ...")
    (tmp_path / "attribution" / "explainer.py").write_text(
        "class Explainer(Protocol):\n    def __call__(self, score): ..."
    )
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert explainer_modules() == METHODS | {"novel"}
    assert violations("from attribution.novel import Novel", "attribution.lime", explainer_modules())
    assert (
        violations("from attribution.explainer import Explainer", "attribution.lime", explainer_modules())
        == []
    )
