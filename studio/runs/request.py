"""Who is asked to do the work of a job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WorkersRequest:
    """The part of a request that all jobs share whose work can be shared.

    Attributes:
        workers: How many processes of Ray share the work; 0: this one does it alone.
        ray: The address of a cluster of Ray; ``None``: this machine's own.
    """

    workers: int = 0
    ray: str | None = None

    @property
    def shared(self) -> bool:
        """Whether processes of Ray do the work."""
        return bool(self.workers) or self.ray is not None
