"""The places where weights are kept, behind one interface. Nothing here needs torch."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from models.weights import environment
from models.weights import hub as hub_cache
from models.weights.catalog import CatalogEntry
from models.weights.download import DownloadProgress
from models.weights.files import FileStorage


@runtime_checkable
class Storage(Protocol):
    """A place where weights are kept."""

    @property
    def about(self) -> str:
        """Whose it is, and what moves it, in words."""
        ...

    @property
    def keeper(self) -> str:
        """Who looks after it beside infill, in words that follow others; empty if nobody."""
        ...

    @property
    def given_as(self) -> str:
        """What the user gives in place of weights that are kept here: ``FILE`` or ``FOLDER``."""
        ...

    def folder(self) -> Path:
        """Return the folder of all weights that are kept here."""
        ...

    def location(self, entry: CatalogEntry) -> Path:
        """Return where these weights are, or belong."""
        ...

    def here(self, entry: CatalogEntry) -> bool:
        """Return whether these weights are on this machine."""
        ...

    def fetch(self, entry: CatalogEntry, progress: DownloadProgress | None) -> Path:
        """Fetch weights that are not here, and return where they are then.

        Raises:
            ValueError: If they cannot be fetched or written, or are not what was published.
        """
        ...

    def verify(self, entry: CatalogEntry) -> str:
        """Return what is known of weights that are here.

        Raises:
            ValueError: If they are damaged.
        """
        ...

    def by_hand(self, entry: CatalogEntry) -> str:
        """Return where to put these weights by hand, in words that follow others; empty if that is no way."""
        ...

    def elsewhere(self, entry: CatalogEntry) -> str:
        """Return how to get these weights on another machine, in words that follow "get it elsewhere"."""
        ...


class HubStorage:
    """The cache of ``huggingface_hub``, which keeps models in folders."""

    about = "the hub's, kept by huggingface_hub; HF_HOME moves it"
    keeper = ", kept by huggingface_hub"
    given_as = "FOLDER"

    def folder(self) -> Path:
        """Return the cache's folder."""
        return environment.hub_folder()

    def location(self, entry: CatalogEntry) -> Path:
        """Return the model's current snapshot, or else the folder of all that the cache has of it."""
        return hub_cache.snapshot(entry.file, entry.parts) or hub_cache.location(entry.file)

    def here(self, entry: CatalogEntry) -> bool:
        """Return whether nothing of the model is missing."""
        return hub_cache.snapshot(entry.file, entry.parts) is not None

    def fetch(self, entry: CatalogEntry, progress: DownloadProgress | None) -> Path:
        """Fetch the model by the library, which draws bars of its own where progress is wanted.

        Raises:
            ValueError: If the library is missing, or the model cannot be had.
        """
        return hub_cache.fetch(entry.file, entry.parts, bars=progress is not None)

    def verify(self, entry: CatalogEntry) -> str:
        """Return how many of the model's files are as the hub says.

        Raises:
            ValueError: If one is not.
        """
        return hub_cache.verify(self.location(entry))

    def by_hand(self, entry: CatalogEntry) -> str:
        """Return nothing: the cache is the library's own."""
        return ""

    def elsewhere(self, entry: CatalogEntry) -> str:
        """Return how the hub's own command gets the model."""
        return f"with `hf download {entry.file} --local-dir FOLDER`, and give FOLDER for its name"


STORAGES: dict[str, Storage] = {
    "infill": FileStorage(environment.infill_folder, "infill's own; INFILL_HOME moves it"),
    "torch": FileStorage(
        environment.torch_folder,
        "torchvision's, kept by torch hub; TORCH_HOME moves it",
        keeper=", kept by torch hub",
    ),
    "hub": HubStorage(),
}
"""By the ``kept`` of a `CatalogEntry`."""
