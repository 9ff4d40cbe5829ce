"""The inpainters of the literature: fillers whose networks are loaded from a checkpoint."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Iterable, Mapping
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.weights.environment import expanded
from studio.files import stamps
from studio.registry.entry import Pretrained, import_name
from studio.registry.fields import parse_fields
from studio.registry.tables import PRETRAINED, SettingTexts
from studio.registry.variants import kind_of

if TYPE_CHECKING:
    from torch import device

    from models.inpainters.inpainter import Inpainter

_WITHOUT_DOWNLOAD = "'inpaint' needs no download"
_CACHED = 8
"""How many loaded networks are kept: a job builds its fillers anew for every image."""


def load_network(
    name: str, settings: SettingTexts, device: device, precision: str
) -> tuple[dict[str, Any], dict[str, Mapping[str, str]]]:
    """Load the network of this name; ``precision`` is for all networks, and "auto" is float32 for these.

    Returns:
        The arguments of `Learned`, and the settings without those that were for loading.

    Raises:
        ValueError: If the checkpoint is not here or cannot be loaded, or a setting is unknown.
    """
    entry, texts = PRETRAINED[kind_of(name)], _texts(name, settings, precision)
    checkpoint, own = _parse_loading(name, texts)
    options = tuple(sorted({**own, **entry.loading}.items()))
    rest = {key: text for key, text in texts.items() if key not in entry.parameters()}
    try:
        # A filler casts the network that it is given: one for each precision.
        files = _files(expanded(checkpoint))
        stamp = tuple(each for file in files for each in stamps(file))  # another training may write there
        inpainter = _inpainter(entry.loader, str(checkpoint), options, rest.get("precision"), stamp)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    described = {field.name: getattr(inpainter, field.name) for field in dataclasses.fields(inpainter)}
    more = {"network": _on(device, inpainter.network), "copy": False, "batch_size": entry.at_once}
    return {**described, **more}, {**settings, name: rest}


def loading_options(name: str, settings: SettingTexts, precision: str) -> dict[str, Any]:
    """Return the checkpoint of the network of this name, and all arguments that it is loaded with.

    Raises:
        ValueError: As for `load_network`.
    """
    checkpoint, own = _parse_loading(name, _texts(name, settings, precision))
    entry = PRETRAINED[kind_of(name)]
    parameters = inspect.signature(import_name(entry.loader)).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    return {"checkpoint": str(checkpoint), **defaults, **entry.loading, **own}


def all_loading_options(names: Iterable[str], settings: SettingTexts, precision: str) -> dict[str, Any]:
    """Return the `loading_options` of those fillers whose networks are loaded."""
    pretrained = [name for name in names if kind_of(name) in PRETRAINED]
    return {name: loading_options(name, settings, precision) for name in pretrained}


def _texts(name: str, settings: SettingTexts, precision: str) -> Mapping[str, str]:
    """Return the texts of this filler's settings, completed by those for all networks."""
    # Nobody has seen yet what bfloat16 does to the fills of these: only who asks for it gets it.
    all_networks = {"precision": precision} if precision == "bfloat16" else {}
    return {**all_networks, **settings.get(name, {})}


def _parse_loading(name: str, texts: Mapping[str, str]) -> tuple[Path | str, dict[str, Any]]:
    """Return the checkpoint, and the other arguments of the loader that the user gave."""
    entry = PRETRAINED[kind_of(name)]
    parameters = entry.parameters()
    own = parse_fields(name, parameters, {key: text for key, text in texts.items() if key in parameters})
    checkpoint = own.pop("checkpoint", None)
    return checkpoint or _default_checkpoint(name, entry), own


def weights_of(name: str, settings: SettingTexts) -> Path | None:
    """Return the checkpoint that would be loaded; ``None`` if it is no file or folder here.

    What is given by the common name of TensorFlow's files is its index, which holds a checksum of every
    tensor in the other files, and is written with them.
    """
    from models.weights import store

    entry, checkpoint = PRETRAINED[kind_of(name)], settings.get(name, {}).get("checkpoint")
    if checkpoint is None and not entry.weights:
        return None
    if checkpoint is None:
        return store.location(entry.weights) if store.here(entry.weights) else None
    path = _files(expanded(checkpoint))[0]
    return path if path.exists() else None


def _files(path: Path) -> list[Path]:
    """Return the path, or the files whose common name it is, of which the first is TensorFlow's index."""
    from models.weights.tensorflow import is_bundle

    if path.exists() or not is_bundle(path):
        return [path]
    return [path.with_name(f"{path.name}.index"), *sorted(path.parent.glob(f"{escape(path.name)}.data-*"))]


def _default_checkpoint(name: str, entry: Pretrained) -> Path:
    from models.weights import store

    if not entry.weights:
        raise ValueError(f"{name}: expected a checkpoint: {entry.sought}; {_WITHOUT_DOWNLOAD}")
    try:
        return store.path(entry.weights)
    except ValueError as error:
        place = store.storage(entry.weights).given_as
        raise ValueError(
            f"{error}; or give another as --filler {name}:{place}; {_WITHOUT_DOWNLOAD}"
        ) from error


@functools.lru_cache(maxsize=_CACHED)
def _inpainter(
    loader: str, checkpoint: str, options: tuple[tuple[str, Any], ...], _: str | None, stamp: object
) -> Inpainter:
    inpainter: Inpainter = import_name(loader)(checkpoint, **dict(options))
    return inpainter


def _on(device: device, network: Any) -> Any:
    return network.to(device) if hasattr(network, "to") else network
