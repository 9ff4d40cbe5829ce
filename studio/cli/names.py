"""The lines of ``infill list``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from infill.extras import command, missing
from models.weights import environment, store
from models.weights import hub as hub_cache
from studio.evaluate.metrics import METRICS
from studio.evaluate.presets import PRESETS
from studio.registry.added import classifiers
from studio.registry.entry import Entry, Pretrained
from studio.registry.tables import FILLERS, GRADIENT, OPTIMIZING, PRETRAINED, SAMPLING, SHIPPED_WEIGHTS


def lines(every: bool, long: bool = False) -> Iterator[str]:
    """Yield methods, fillers and classifiers.

    ``every`` names all of torchvision's networks, ``long`` says the settings of methods and fillers; both
    are slower.
    """
    yield "methods"
    yield from _entries(SAMPLING, long)
    yield ""
    yield "optimizing methods (also for counterfactual and --trace)"
    yield from _entries(OPTIMIZING, long)
    yield ""
    yield "methods that look into the classifier (through captum and pytorch-grad-cam)"
    yield from _entries(GRADIENT, long)
    if missing("baselines"):
        yield f"  {'':15} missing: `{command('baselines')}`"
    yield ""
    yield "fillers"
    yield from _entries(FILLERS, long)
    yield ""
    yield "fillers whose weights are fetched, or given (NAME:CHECKPOINT with a file, a folder or a hub id)"
    yield from _entries(PRETRAINED, long)
    yield ""
    yield from _networks_and_segmenters(every)
    yield ""
    yield "metrics (infill evaluate)"
    for name, metric in METRICS.items():
        called = name + (":FILLER" if metric.removes else "")
        source = f" ({metric.source})" if metric.source else ""
        needs = f"; needs {metric.needs}" if metric.needs else ""
        yield f"  {called:17} {metric.summary}{source}{needs}{_from(metric.origin)}"
    yield ""
    yield "presets (infill evaluate --preset)"
    yield from (f"  {name:17} {preset.summary}" for name, preset in PRESETS.items())


def _networks_and_segmenters(every: bool) -> Iterator[str]:
    yield "classifiers"
    yield f"  {'scenes':15} names the objects of drawn scenes"
    yield f"  {'':15} weights {_shipped('scene_classifier.safetensors')}"
    folder = environment.torch_folder()
    yield f"  {'NAME':15} any classification network of torchvision, such as mobilenet_v2 or resnet50"
    yield f"  {'':15} weights from --weights FILE, or looked for in {folder}, or downloaded to it"
    yield from _networks("classifiers.torchvision") if every else _found(folder)
    yield from _elsewhere()
    yield ""
    yield "segmenters (infill realism --holes object)"
    yield f"  {'NAME':15} any semantic segmentation network of torchvision, such as deeplabv3_resnet50"
    yield f"  {'':15} weights from --segmenter-weights FILE, or looked for and downloaded as above"
    yield from _networks("segmenters.torchvision") if every else ()
    yield f"  {'hf:FOLDER':15} a model of transformers, or hf:ID from the hub: for semantic segmentation, for"
    yield f"  {'':15} instances (Mask2Former, MaskFormer, DETR, EoMT), or promptable (SAM, SAM 2, SAM-HQ)"
    yield ""
    cache = environment.hub_folder()
    yield f"models of the hub (timm:, hf:, clip:, and fillers by their id), kept in {cache}"
    yield f"  here now: {', '.join(hub_cache.models()) or 'nothing'}"


def _entries(entries: Mapping[str, Entry], long: bool) -> Iterator[str]:
    for name, entry in entries.items():
        yield _entry(name, entry)
        if name in SHIPPED_WEIGHTS:
            yield f"  {'':15} weights {_shipped(SHIPPED_WEIGHTS[name])}"
        if isinstance(entry, Pretrained):
            yield f"  {'':15} weights {_fetched(entry.weights)}"
        if long:
            yield from (f"  {'':15} {line}" for line in _settings(name, entry))


def _settings(name: str, entry: Entry) -> Iterator[str]:
    """Yield what can be set, each setting with its value, its quick one, and what it may be."""
    for key, (value, words) in entry.settings().items():
        quick = f", quick {_written(entry.quick[key])}" if key in entry.quick else ""
        yield f"{name}.{key}={_written(value)}{quick}: {words}"


def _written(value: object) -> str:
    return ",".join(map(_written, value)) if isinstance(value, tuple) else str(value)


def _entry(name: str, entry: Entry) -> str:
    source = f" ({entry.source})" if entry.source else ""
    return f"  {name:15} {entry.summary}{source}{_from(entry.origin)}"


def _from(origin: str) -> str:
    """Return which package adds a name; nothing for our own."""
    return f" [{origin}]" if origin else ""


def _shipped(name: str) -> str:
    spec = find_spec("models")
    folders = spec.submodule_search_locations if spec else None
    path = Path(next(iter(folders or ["models"]))) / "checkpoints" / name
    return f"{'present' if path.is_file() else 'MISSING'}: {path}"


def _fetched(weights: str) -> str:
    if not weights:
        return "are those of the CHECKPOINT"
    place = store.location(weights)
    return f"present: {place}" if store.here(weights) else f"missing: `infill weights fetch {weights}`"


def _elsewhere() -> Iterator[str]:
    yield f"  {'timm:NAME':15} a network of timm, with its own weights or those of --weights FILE"
    if find_spec("timm") is None:
        from infill.extras import command

        yield f"  {'':15} missing: `{command('hub')}`"
    yield f"  {'hf:FOLDER':15} a model of transformers for image classification, or hf:ID from the hub"
    yield f"  {'clip:FOLDER':15} a CLIP model, or clip:ID from the hub, as a classifier of what a list names:"
    yield f"  {'':15} clip:FOLDER@labels=FILE (one label a line), or ...,template=a photo of a {{}}"
    yield f"  {'file:PATH':15} a program saved by torch.export (.pt2) or TorchScript; it is code: trust it"
    yield f"  {'python:M:F':15} what the function F of the module M returns"
    yield f"  {'digits:FILE':15} the small network that `infill fill-blanks` trains and keeps"
    yield f"  {'places365':15} ResNet-50 trained on Places365"
    yield f"  {'':15} weights {_fetched('places365')}"
    for plugin in classifiers().values():
        yield f"  {plugin.name:15} {plugin.summary}{_from(plugin.origin)}"


def _found(folder: Path) -> Iterator[str]:
    files = sorted(path.name for path in folder.glob("*.pth")) if folder.is_dir() else []
    yield f"  {'':15} there now: {', '.join(files) or 'nothing'}; `infill list --all` names every network"


def _networks(module: str) -> Iterator[str]:
    for name in import_module(f"models.{module}").names():
        place = store.location(name)
        yield f"  {name:31} {'present' if place.is_file() else 'missing':8} {place.name}"
