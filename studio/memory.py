"""Whether a failure is that there is too little memory, whoever says so."""

_SAID = (
    "out of memory", "can't allocate memory", "Cannot allocate memory", "not enough memory",
    "out of shared memory", "ALLOC_FAILED",
)  # fmt: skip
"""By PyTorch on a CPU and on GPUs, and by their libraries."""


class LackingMemoryError(MemoryError):
    """There was too little memory; its text says for what, and what can be done."""


def lacks_memory(error: BaseException) -> bool:
    """Whether there was too little memory; an illegal access to some is something else."""
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or (isinstance(error, RuntimeError) and any(text in str(error) for text in _SAID))
