"""The architecture's rules, read off the source of every file."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("infill", "attribution", "models", "studio")
LIBRARIES = ("infill", "attribution", "models")
SHARED = tuple(
    f"attribution.{room}"
    for room in ("score", "explainer", "estimate", "control", "holes", "blanks", "baseline", "engine")
)
JOB = tuple(
    f"studio.{room}"
    for room in (
        "registry",
        "data",
        "drawing",
        "runs",
        "output",
        "progress",
        "files",
        "libraries",
        "memory",
        "columns",
        "version",
    )
)
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "infill": ("infill",),
    "infill.extras": (),
    "infill.door": ("infill", "studio.door"),
    "infill.fillers": (
        "infill.fillers",
        "infill.filler",
        "infill.exact",
        "infill.validate",
        "infill.network",
        "infill.extras",
    ),
    "infill.realism": (
        "infill.realism",
        "infill.door",
        "infill.filler",
        "infill.validate",
        "infill.network",
        "infill.extras",
    ),
    "models": ("models", "infill.extras"),
    "attribution": ("attribution", "infill"),
    "attribution.holes": ("infill",),
    "attribution.blanks": ("infill",),
    "attribution.score": ("attribution.engine", "infill"),
    "attribution.explainer": ("attribution.score", "attribution.holes", "infill"),
    "attribution.control": ("attribution.holes", "infill"),
    "attribution.estimate": (
        *("attribution.score", "attribution.holes", "attribution.control", "attribution.explainer", "infill"),
    ),
    "attribution.baseline": ("attribution.score", "infill"),
    "attribution.engine": ("attribution.engine", "infill"),
    "attribution.methods": (*SHARED, "attribution.optimize", "infill"),
    "attribution.optimize": (*SHARED, "attribution.optimize", "infill"),
    "attribution.targets": ("attribution.targets", "infill"),
    "attribution.evaluation": (*SHARED, "attribution.evaluation", "infill"),
    "attribution.integrations": (*SHARED, "attribution.integrations", "infill"),
    "studio": ("studio.version", *LIBRARIES),
    "studio.cli": ("studio", *LIBRARIES),
    "studio.door": ("studio", *LIBRARIES),
    "studio.web": (
        "studio.web",
        *(f"studio.{job}" for job in ("explain", "realism", "report")),
        *JOB,
        *LIBRARIES,
    ),
    "studio.explain": ("studio.explain", *JOB, *LIBRARIES),
    "studio.realism": ("studio.realism", *JOB, *LIBRARIES),
    "studio.blanks": ("studio.blanks", *JOB, *LIBRARIES),
    "studio.training": ("studio.training", *JOB, *LIBRARIES),
    "studio.evaluate": ("studio.evaluate", *JOB, *LIBRARIES),
    "studio.report": ("studio.report", *JOB, *LIBRARIES),
    "studio.doctor": ("studio.doctor", *JOB, *LIBRARIES),
    "studio.runs": (
        "studio.runs",
        "studio.output",
        "studio.progress",
        "studio.files",
        "studio.memory",
        "studio.version",
        "infill.extras",
    ),
    "studio.registry": ("studio.registry", "studio.files", "studio.libraries", "studio.version", *LIBRARIES),
    "studio.data": ("studio.data", "studio.files", *LIBRARIES),
    "studio.drawing": ("studio.drawing", *LIBRARIES),
}
"""What a folder (or a file) may import of ours; the longest name that fits a module counts."""
DOOR = "infill.door"
"""The one file of the library that leads to the rooms above it, when somebody asks for them by name."""

NO_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "base"}
NO_LIBRARY_IMPORTS = {"argparse", "matplotlib", "click", "tqdm"}
EXEMPT = {
    ("attribution.integrations.captum", "tqdm")
}  # captum's `show_progress` is a tqdm bar, for its users too
LAZY = {
    "openvino", "torchvision", "cv2", "skimage", "captum", "pytorch_grad_cam", "lime", "quantus",
    "transformers", "diffusers", "lpips", "pytorch_msssim", "sklearn", "torchmetrics",
}  # fmt: skip
GLOBAL_SEEDS = {
    "torch.manual_seed", "torch.seed", "torch.random.manual_seed", "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all", "numpy.random.seed", "random.seed",
}  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def violations(source: str, module: str) -> list[str]:
    """What a module (``attribution.score``; a package is ``attribution.__init__``) does against the rules."""
    tree = ast.parse(source)
    package = module.split(".")[0]
    imported = imports(source, module)
    found = [*_rooms(imported, module), *_names(tree, module)]
    if package in LIBRARIES:
        found += [*_forbidden_imports(tree, imported, module), *_calls(tree), *_work_at_import(tree)]
    rooms = ("attribution.methods.", "attribution.integrations.")  # the second ones are a library's
    if package == "attribution" and not module.startswith(rooms):
        found += [f"the method {node.name} is in {module}" for node in ast.walk(tree) if _is_method(node)]
    return found


@cache
def imports(source: str, module: str) -> tuple[str, ...]:
    """The names that a module imports; the planted circles are looked for among the same files again."""
    return tuple(_imports(ast.parse(source), module))


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


def _rooms(imported: list[str], module: str) -> Iterator[str]:
    """Rules 1 to 3: who may import whom."""
    room = max((name for name in MAY_IMPORT if _within(module, name)), key=len)
    for name in imported:
        ours = name.split(".")[0] in PACKAGES
        if ours and not any(_within(name, allowed) for allowed in MAY_IMPORT[room]):
            yield f"{module} imports {name}"


def _within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


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


def _is_method(node: ast.AST) -> bool:
    """Whether it is a class that is called with a ``score``, and no protocol."""
    if not isinstance(node, ast.ClassDef) or any("Protocol" in ast.unparse(parent) for parent in node.bases):
        return False
    functions = (part for part in node.body if isinstance(part, FUNCTIONS) and part.name == "__call__")
    return any(argument.arg == "score" for part in functions for argument in part.args.args)


def arrows(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """For each of these modules, those of them that it imports: at its top, later, or for types only."""
    found: dict[str, set[str]] = {}
    for module, source in sources.items():
        ends = set()
        for name in imports(source, module):
            longest = [name, name.rpartition(".")[0]]
            known = (f"{place}{end}" for place in longest for end in ("", ".__init__"))
            ends |= {next((place for place in known if place in sources), module)}
        above = {end for end in ends if module == DOOR and end.startswith("studio.")}
        found[module] = ends - {module} - above  # the door is entered from outside, when all is loaded
    return found


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """A way along the arrows that comes back to where it began; empty if there is none."""
    state: dict[str, int] = {}

    def walk(node: str, way: list[str]) -> list[str]:
        state[node] = 1
        for end in sorted(graph[node]):
            if state.get(end) == 1:
                return [*way[way.index(end) :], end]
            if end not in state and (found := walk(end, [*way, end])):
                return found
        state[node] = 2
        return []

    return next((found for node in sorted(graph) if node not in state and (found := walk(node, [node]))), [])


def folders(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same arrows between folders; a file at the top of a package stands for itself."""
    found: dict[str, set[str]] = {}
    for module, ends in graph.items():
        found.setdefault(_folder(module), set()).update(_folder(end) for end in ends)
    return {folder: ends - {folder} for folder, ends in found.items()}


def _folder(module: str) -> str:
    return ".".join(module.split(".")[:2])


FILES = [path.relative_to(ROOT) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


SOURCES = {".".join(path.with_suffix("").parts): (ROOT / path).read_text() for path in FILES}


@pytest.mark.parametrize("module", SOURCES)
def test_every_file_keeps_to_the_architecture(module):
    assert violations(SOURCES[module], module) == []


def test_no_file_imports_itself_in_a_circle():
    assert circle(arrows(SOURCES)) == []


def test_no_folder_imports_itself_in_a_circle():
    assert circle(folders(arrows(SOURCES))) == []


def test_only_the_door_leads_from_the_library_to_the_rooms_above():
    leading = {
        module
        for module, source in SOURCES.items()
        if module.split(".")[0] in LIBRARIES
        and any(_within(name, "studio") for name in imports(source, module))
    }
    assert leading == {DOOR}


def test_the_door_imports_nothing_before_it_is_entered():
    """What it names is for type checkers; nobody else enters."""
    tree = ast.parse(SOURCES[DOOR])
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    assert not [name for name in _imports(tree, DOOR) if name.split(".")[0] in PACKAGES]
    entering = {
        module
        for module, source in SOURCES.items()
        if any(_within(name, DOOR) for name in imports(source, module))
    }
    assert entering == {"infill.__init__", "infill.realism.__init__"}


def test_the_files_are_found():
    assert {path.parts[0] for path in FILES} == set(PACKAGES)
    assert Path("infill/filler.py") in FILES


PLANTED = {
    "rule 1, infill to models": ("import models.classifiers", "infill.network"),
    "rule 1, infill to attribution": ("from attribution import MaskedScore", "infill.realism.similarity"),
    "rule 1, infill to studio": ("import studio", "infill.filler"),
    "rule 1, the package to studio": ("from studio.door.explain import explain", "infill.__init__"),
    "rule 1, the door to another room": ("from studio.explain.session import opened", "infill.door"),
    "rule 1, a job to the door": ("from studio.door.explain import explain", "studio.explain.several"),
    "rule 1, models to infill": ("from infill.filler import composite", "models.scenes.draw"),
    "rule 1, models to attribution": ("def f():\n    import attribution.score", "models.inpainters.small"),
    "rule 1, models to studio": ("from studio.registry import FILLERS", "models.__init__"),
    "rule 1, relative beyond the package": ("from ..models import scenes", "infill.network"),
    "rule 1, by name at run time": ("import importlib as i\nx = i.import_module('models')", "infill.network"),
    "rule 1, for types only": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import models", "infill.network",
    ),
    "rule 2, attribution to models": ("from models.classifiers import ImageClassifier", "attribution.score"),
    "rule 2, attribution to studio": ("import studio.cli", "attribution.methods.lime"),
    "rule 3, absolute": ("from attribution.methods.rise import Rise", "attribution.methods.lime"),
    "rule 3, relative": ("from .rise import Rise", "attribution.methods.lime"),
    "rule 3, relative module": ("from . import rise", "attribution.methods.lime"),
    "rule 3, plain": ("import attribution.methods.mp", "attribution.methods.mp2"),
    "rule 3, through the package": ("from attribution import Rise", "attribution.methods.lime"),
    "rule 3, from shared code": ("from attribution.methods.lime import Lime", "attribution.holes"),
    "rule 4, module": ("", "attribution.utils"),
    "rule 4, folder": ("", "models.common.layers"),
    "rule 4, base class": ("class BaseFiller: ...", "infill.filler"),
    "rule 4, manager": ("class HoleManager: ...", "studio.run"),
    "rule 4, wrapper": ("class NetworkWrapper: ...", "models.classifiers.custom"),
    "rule 4, getter": ("class A:\n    def get_hole(self): ...", "attribution.holes"),
    "rule 4, polarity": ("def fill(image, mask): ...", "infill.filler"),
    "rule 5, print": ("def f():\n    print('done')", "attribution.methods.rise"),
    "rule 5, argparse": ("import argparse", "models.scenes"),
    "rule 5, matplotlib": ("def f():\n    import matplotlib.pyplot as plt", "attribution.methods.rise"),
    "rule 5, click": ("from click import echo", "infill.filler"),
    "rule 5, tqdm": ("from tqdm import tqdm", "attribution.score"),
    "rule 5, torch seed": ("import torch\ndef f():\n    torch.manual_seed(0)", "attribution.methods.rise"),
    "rule 5, torch seed by name": ("from torch import manual_seed as m\ndef f():\n    m(0)", "infill.filler"),
    "rule 5, cuda seed": ("import torch as t\ndef f():\n    t.cuda.manual_seed_all(0)", "models.scenes.draw"),
    "rule 5, numpy seed": ("import numpy as np\ndef f():\n    np.random.seed(0)", "models.scenes.draw"),
    "rule 5, python seed": ("import random\ndef f():\n    random.seed(0)", "models.scenes.draw"),
    "rule 5, heavy": ("import cv2", "infill.filler"),
    "rule 5, heavy, tried": ("try:\n    from skimage import io\nexcept ImportError: ...", "infill.filler"),
    "rule 5, work": ("import torch\ntorch.set_num_threads(1)", "attribution.score"),
    "rule 5, loop": ("for x in range(3):\n    y = x", "models.scenes.draw"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "module"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_found(source, module):
    assert len(violations(source, module)) == 1


ALLOWED = {
    "one's own package": ("from infill.filler import Fill\nfrom .crops import windows", "infill.fillers.x"),
    "attribution to infill": ("from infill import Gray", "attribution.score"),
    "a method to shared code": ("from attribution.score import MaskedScore", "attribution.methods.lime"),
    "the package to its methods": ("from attribution.methods.lime import Lime", "attribution.__init__"),
    "the door to its room": ("from studio.door.explain import explain", "infill.door"),
    "studio to all": ("import click\nimport models, infill\nfrom attribution import Lime", "studio.cli.main"),
    "studio prints": ("print(1)", "studio.cli.main"),
    "a generator of one's own": ("import torch\ndef f():\n    torch.Generator().manual_seed(0)", "infill.x"),
    "heavy when needed": ("def f():\n    import cv2", "infill.filler"),
    "a network's own argument": ("def _call(image, mask): ...", "models.inpainters.lama"),
    "a stranger of the same name": ("from torchvision.utils import make_grid", "studio.drawing.sheet"),
    "definitions": ('"""Doc."""\nX = tuple(range(3))\nclass A:\n    """Doc."""\n    x: int = 1', "infill.a"),
    "a command": ("def main(): ...\nif __name__ == '__main__':\n    main()", "models.scenes.__main__"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "module"), ALLOWED.values(), ids=ALLOWED)
def test_what_the_rules_allow_is_no_violation(source, module):
    assert violations(source, module) == []


METHOD = "class Novel:\n    def __call__(self, score): ..."
PROTOCOL = "class Explainer(Protocol):\n    def __call__(self, score): ..."


def test_a_method_is_where_methods_are():
    """A class that is called with a score is a method, without being on a list."""
    assert violations(METHOD, "attribution.methods.novel") == []
    assert violations(METHOD, "attribution.integrations.theirs") == []
    assert violations(METHOD, "attribution.holes")
    assert violations(PROTOCOL, "attribution.explainer") == []


CIRCLES = {
    "two files": {"models.a": "import models.b", "models.b": "from models.a import x"},
    "of one name": {"models.a": "from models import b", "models.b": "from models import a"},
    "lazily": {"models.a": "import models.b", "models.b": "def f():\n    from models import a"},
    "for types": {
        "models.a": "from models.b import x",
        "models.b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from models.a import A",
    },
    "through a package": {
        "models.a.__init__": "from models.a.b import x",
        "models.a.b": "from models.a import y",
    },
    "three files": {"x.a": "import x.b", "x.b": "import x.c", "x.c": "from x.a import y"},
}


@pytest.mark.parametrize("sources", CIRCLES.values(), ids=CIRCLES)
def test_a_planted_circle_is_found(sources):
    assert len(circle(arrows({**SOURCES, **sources}))) == len(sources) + 1


def test_a_circle_of_folders_is_found():
    sources = {"x.a.one": "import x.b.one", "x.b.one": "", "x.b.two": "from x.a.two import y", "x.a.two": ""}
    assert circle(arrows(sources)) == []
    assert circle(folders(arrows(sources))) == ["x.a", "x.b", "x.a"]
