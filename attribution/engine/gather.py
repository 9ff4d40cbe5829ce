"""Results of batch after batch, in one tensor."""

from collections.abc import Iterable

from jaxtyping import Shaped
from torch import Tensor


def gathered(parts: Iterable[Shaped[Tensor, "..."]], total: int) -> Shaped[Tensor, "..."]:
    """Copy each part, as soon as it is there, behind those before it.

    A part's memory may so be used for the next one; and no small tensors are left between the large ones of
    each batch, where they would keep the allocator from using that room again.

    Args:
        parts: At least one; alike but for their lengths.
        total: Their lengths together.
    """
    parts = iter(parts)
    first = next(parts)
    together, done = first.new_empty(total, *first.shape[1:]), len(first)
    together[:done] = first
    for part in parts:
        together[done : done + len(part)] = part
        done += len(part)
    assert done == total, f"expected {total} in all, got {done}"
    return together
