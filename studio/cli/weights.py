"""The command ``infill weights``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

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

    for name, row in CATALOG.items():
        state = "here" if store.here(name) else "missing"
        click.echo(f"{name:15} {state:8} {store.measure(row):>12}  {row.purpose}")
        click.echo(f"{'':15} {row.file}; license {row.license}; {row.paper}")
    click.echo("\nTorchvision's other classifiers and segmenters are known by their names, such as resnet18.")


@weights.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def fetch(names: tuple[str, ...]) -> None:
    """Fetch weights by NAME, and check them; what broke off goes on where it was.

    Proxies are those of the environment; with INFILL_OFFLINE=1 nothing is fetched.
    """
    from models.weights import store
    from models.weights.catalog import known

    rows = [known(name) for name in names]
    with stoppable():
        for row in rows:
            if store.here(row.name):
                click.echo(f"{row.name}: already at {store.location(row.name)}; {store.verify(row.name)}")
                continue
            with _bar(row.file) as progress:
                found = _fetched(row, progress)
            click.echo(f"{row.name}: {found}; {store.verify(row.name)}")


@weights.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def verify(names: tuple[str, ...]) -> None:
    """Check the weights that are here (or those of NAME) for damage, by size and hash."""
    from models.weights import store
    from models.weights.catalog import CATALOG, known

    rows = [known(name) for name in names] or [row for row in CATALOG.values() if store.here(row.name)]
    if not rows:
        click.echo("no known weights are here; see `infill weights list`")
    faults = []
    with stoppable():
        for row in rows:
            try:
                click.echo(f"{row.name}: {store.verify(row.name)}")
            except ValueError as error:
                faults.append(str(error))
    if faults:
        raise ValueError("; ".join(faults))


@weights.command()
@click.argument("name", required=False)
def where(name: str | None) -> None:
    """Say where the weights of NAME are or belong, or where weights are kept."""
    from models.weights import hub as hub_cache
    from models.weights import store
    from models.weights.catalog import known

    if name is None:
        click.echo(f"{store.home()} (infill's own; INFILL_HOME moves it)")
        click.echo(f"{store.torch_home()} (torchvision's, kept by torch hub; TORCH_HOME moves it)")
        click.echo(f"{hub_cache.folder()} (the hub's, kept by huggingface_hub; HF_HOME moves it)")
        return
    row = known(name)
    keeper = {"infill": "", "torch": ", kept by torch hub", "hub": ", kept by huggingface_hub"}[row.kept]
    click.echo(f"{store.location(name)} ({'here' if store.here(name) else 'missing'}{keeper})")


def _fetched(row: CatalogEntry, progress: DownloadProgress | None) -> Path:
    from models.weights import store

    try:
        return store.fetch(row.name, progress)
    except ValueError as error:
        if row.kept == "hub":
            ways = f"with `hf download {row.file} --local-dir FOLDER`, and give FOLDER for its name"
        else:
            ways = f"and put it to {store.location(row.name)}"
        raise ValueError(f"{error}; or get it elsewhere {ways}") from error


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
        yield progress if sys.stderr.isatty() else None
    finally:
        for bar in bars:
            bar.close()
