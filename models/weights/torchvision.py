"""Torchvision's published weights as checkpoints."""

from models.weights import store
from models.weights.checkpoint import Checkpoint, read_checkpoint


def published_checkpoint(name: str, otherwise: str) -> Checkpoint:
    """Read torchvision's best weights for this network, fetching them if they are not here.

    ``otherwise`` is what else the user may do without them.

    Raises:
        ValueError: If they are neither here nor to be fetched, or damaged.
    """
    try:
        path = store.fetch(name)
    except ValueError as error:
        location = store.location(name)
        if location.is_file():
            raise
        fetching = f"run `infill weights fetch {name}` where there is a network"
        raise ValueError(
            f"{error}; {fetching}, or put the file into {location.parent}, or {otherwise}"
        ) from error
    return read_checkpoint(path)
