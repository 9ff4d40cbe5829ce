"""The inpainters of the literature: fillers whose networks are loaded from a checkpoint."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.registry.entry import Pretrained, imported
from studio.registry.fields import typed
from studio.registry.tables import PRETRAINED

if TYPE_CHECKING:
    from torch import device

    from models.inpainters.inpainter import Inpainter

_FREE = "'inpaint' needs no download"
_KEPT = 8
"""How many loaded networks are kept: a job asks for all of its own again for every image."""


def loaded(
    name: str, settings: Mapping[str, Mapping[str, str]], device: device, precision: str
) -> tuple[dict[str, Any], dict[str, Mapping[str, str]]]:
    """Load the network of this name; ``precision`` is for all networks, and "auto" is float32 for these.

    Returns:
        What `Learned` is to be built with, and the settings without those that were for loading.

    Raises:
        ValueError: If the checkpoint is not here or cannot be loaded, or a setting is unknown.
    """
    entry, said = PRETRAINED[name], _said(name, settings, precision)
    checkpoint, own = _asked(name, said)
    options = tuple(sorted({**own, **entry.loading}.items()))
    rest = {key: text for key, text in said.items() if key not in entry.parameters()}
    try:
        # A filler casts the network that it is given: one for each precision.
        inpainter = _inpainter(entry.loader, str(checkpoint), options, rest.get("precision"))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    given = {field.name: getattr(inpainter, field.name) for field in dataclasses.fields(inpainter)}
    more = {"network": _at(inpainter, device), "copy": False, "batch_size": entry.at_once}
    return {**given, **more}, {**settings, name: rest}


def how_loaded(name: str, settings: Mapping[str, Mapping[str, str]], precision: str) -> dict[str, Any]:
    """Return the checkpoint of the network of this name, and all that it is loaded with.

    Raises:
        ValueError: As for `loaded`.
    """
    checkpoint, own = _asked(name, _said(name, settings, precision))
    parameters = inspect.signature(imported(PRETRAINED[name].loader)).parameters.values()
    usual = {each.name: each.default for each in parameters if each.default is not each.empty}
    return {"checkpoint": str(checkpoint), **usual, **PRETRAINED[name].loading, **own}


def _said(name: str, settings: Mapping[str, Mapping[str, str]], precision: str) -> Mapping[str, str]:
    """Return what was said of this filler, completed by what was said of all networks."""
    # Nobody has seen yet what bfloat16 does to the fills of these: only who asks for it gets it.
    all_networks = {"precision": precision} if precision == "bfloat16" else {}
    return {**all_networks, **settings.get(name, {})}


def _asked(name: str, said: Mapping[str, str]) -> tuple[Path | str, dict[str, Any]]:
    """Return the checkpoint, and what else was said of how to load it."""
    entry = PRETRAINED[name]
    known = entry.parameters()
    own = typed(name, known, {key: text for key, text in said.items() if key in known})
    checkpoint = own.pop("checkpoint", None)
    return checkpoint or _usual(name, entry), own


def weights_of(name: str, settings: Mapping[str, Mapping[str, str]]) -> Path | None:
    """Return the checkpoint that would be loaded; ``None`` if it is no file or folder here."""
    from models.weights import store

    entry, said = PRETRAINED[name], settings.get(name, {}).get("checkpoint")
    if said is None and not entry.weights:
        return None
    if said is None:
        return store.location(entry.weights) if store.here(entry.weights) else None
    path = Path(said).expanduser()
    return path if path.exists() else None


def _usual(name: str, entry: Pretrained) -> Path:
    from models.weights import store

    if not entry.weights:
        raise ValueError(f"{name}: expected a checkpoint: {entry.sought}; {_FREE}")
    try:
        return store.path(entry.weights)
    except ValueError as error:
        place = store.storage(entry.weights).given_as
        raise ValueError(f"{name}: {error}; or give another as --filler {name}:{place}; {_FREE}") from error


@functools.lru_cache(maxsize=_KEPT)
def _inpainter(
    loader: str, checkpoint: str, options: tuple[tuple[str, Any], ...], _: str | None
) -> Inpainter:
    made: Inpainter = imported(loader)(checkpoint, **dict(options))
    return made


def _at(inpainter: Inpainter, device: device) -> Any:
    network = inpainter.network
    return network.to(device) if hasattr(network, "to") else network
