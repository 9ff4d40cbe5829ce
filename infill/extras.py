"""The libraries that the extras of the package bring, and what is said where one is missing."""

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

DISTRIBUTION = "infill-attribution"
"""The package's name on the index; ``infill`` is somebody else's there."""

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "baselines": ("captum", "pytorch_grad_cam"),
    "evaluate": ("pyarrow", "jinja2"),
    "hub": ("transformers", "diffusers", "timm", "huggingface_hub"),
    "openvino": ("openvino",),
    "ray": ("ray",),
    "realism": ("lpips", "pytorch_msssim", "sklearn", "pyarrow"),
    "web": ("gradio", "fastapi", "uvicorn", "jinja2", "pyarrow"),
    "blanks": ("sklearn", "pyarrow"),
}
"""By extra the libraries that it brings, as they are imported; the first that has a library is named."""


def optional(library: str, user: str) -> Any:
    """Import a library (or a module of it) that an extra brings.

    Args:
        library: As it is imported.
        user: Who needs it; the error's first words.

    Raises:
        ValueError: If it is not installed, or cannot be imported; the message has the command that brings it.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        name = library.partition(".")[0]
        absent = isinstance(error, ModuleNotFoundError) and error.name == name
        state = (
            "is not installed"
            if absent
            else f"cannot be imported ({str(error).strip().partition(chr(10))[0]})"
        )
        raise ValueError(f"{user} needs {name}, which {state}: {command(extra_of(name))}") from error


def require_extra(extra: str, user: str) -> None:
    """Refuse to begin what would lack a library later.

    Raises:
        ValueError: If one of the extra's libraries is not installed; all that are missing are named.
    """
    if absent := missing(extra):
        verb = "which is" if len(absent) == 1 else "which are"
        raise ValueError(f"{user} needs {', '.join(absent)}, {verb} not installed: {command(extra)}")


def missing(extra: str) -> list[str]:
    """Return the libraries of an extra that are not installed."""
    found = {library: find_spec(library) for library in EXTRAS[extra]}
    # A folder that happens to be called so is found, too, but comes from no file.
    return [library for library, spec in found.items() if spec is None or spec.origin is None]


def extra_of(library: str) -> str:
    """Return the extra that brings a library."""
    return next(extra for extra, libraries in EXTRAS.items() if library in libraries)


def command(extra: str) -> str:
    """Return the command that brings an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
