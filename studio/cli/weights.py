"""The command ``infill weights``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from studio.cli import completion
from studio.cli.options import stoppable

if TYPE_CHECKING:
    from pathlib import Path

    from models.weights.catalog import CatalogEntry
    from models.weights.download import DownloadProgress


@click.group()
def weights() -> None:
    """Published weights: which are known, which are here, and how they get here."""


@weights.command("list")
def listing() -> None:
    """List the known weights, and which are here."""
    from models.weights import store
    from models.weights.catalog import CATALOG

    for name, entry in CATALOG.items():
        state = "here" if store.here(name) else "missing"
        click.echo(f"{name:15} {state:8} {store.measure(entry):>12}  {entry.purpose}")
        click.echo(f"{'':15} {entry.file}; license {entry.license}; {entry.paper}")
    click.echo("\nTorchvision's other classifiers and segmenters are known by their names, such as resnet18.")


@weights.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=completion.WEIGHTS)
def fetch(names: tuple[str, ...]) -> None:
    """Fetch weights by NAME, and check them; what broke off goes on where it was.

    Proxies are those of the environment; with INFILL_OFFLINE=1 nothing is fetched.
    """
    from models.weights import store
    from models.weights.catalog import known

    entries = [known(_weights_name(name)) for name in names]
    with stoppable():
        for entry in entries:
            if store.here(entry.name):
                click.echo(
                    f"{entry.name}: already at {store.location(entry.name)}; {store.verify(entry.name)}"
                )
                continue
            with _bar(entry.file) as progress:
                path = _fetched(entry, progress)
            click.echo(f"{entry.name}: {path}; {store.verify(entry.name)}")


@weights.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completion.WEIGHTS)
def verify(names: tuple[str, ...]) -> None:
    """Check the weights that are here (or those of NAME) for damage, by size and hash."""
    from models.weights import store
    from models.weights.catalog import CATALOG, known

    entries = [known(_weights_name(name)) for name in names] or [
        entry for entry in CATALOG.values() if store.here(entry.name)
    ]
    if not entries:
        click.echo("no known weights are here; see `infill weights list`")
    faults = []
    with stoppable():
        for entry in entries:
            try:
                click.echo(f"{entry.name}: {store.verify(entry.name)}")
            except ValueError as error:
                faults.append(str(error))
    if faults:
        raise ValueError("; ".join(faults))


@weights.command()
@click.argument("name", required=False, shell_complete=completion.WEIGHTS)
def where(name: str | None) -> None:
    """Say where the weights of NAME are or belong, or where weights are kept."""
    from models.weights import store
    from models.weights.storage import STORAGES

    if name is None:
        for place in STORAGES.values():
            click.echo(f"{place.folder()} ({place.about})")
        return
    name = _weights_name(name)
    keeper = store.storage(name).keeper
    click.echo(f"{store.location(name)} ({'here' if store.here(name) else 'missing'}{keeper})")


def _weights_name(name: str) -> str:
    """Return what the weights of a filler are called; other names are weights' own.

    Raises:
        ValueError: If nobody offers weights for this filler.
    """
    from studio.registry.tables import PRETRAINED

    entry = PRETRAINED.get(name)
    if entry is not None and not entry.weights:
        raise ValueError(f"weights: {name} has none to fetch: {entry.sought}")
    return name if entry is None else entry.weights


def _fetched(entry: CatalogEntry, progress: DownloadProgress | None) -> Path:
    from models.weights import store

    try:
        return store.fetch(entry.name, progress)
    except ValueError as error:
        ways = store.storage(entry.name).elsewhere(entry)
        raise ValueError(f"{error}; get it elsewhere {ways}") from error


@contextmanager
def _bar(title: str) -> Iterator[DownloadProgress | None]:
    """A bar of bytes on a terminal, from the first byte on; elsewhere nothing."""
    from tqdm import tqdm

    bars: list[Any] = []

    def progress(done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(desc=title, total=total, unit="B", unit_scale=True, dynamic_ncols=True))
        bars[0].update(done - bars[0].n)

    try:
        yield progress if sys.stderr is not None and sys.stderr.isatty() else None
    finally:
        for bar in bars:
            bar.close()
