"""The library diffusers' models, from a folder or from the hub, read in full and quietly."""

import functools
import importlib
import json
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.weights import hub as hub_cache
from models.weights.environment import expanded
from models.weights.libraries import import_library, one_line, quiet_loggers

_INDEX, _GUARD = "model_index.json", "safety_checker"
_ID = r"[\w-][\w.-]*/[\w.-]+"
_LOGS = ("diffusers", "transformers", "huggingface_hub")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class FixedPrecision(nn.Module):
    """A network that follows to devices and layouts of memory, but stays in the dtype it was loaded in.

    Who uses it with images in float32 would else cast weights in bfloat16 to float32, too.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FixedPrecision":
        def kept(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            same = moved.dtype == tensor.dtype
            return moved if same else torch.empty_like(moved, dtype=tensor.dtype).copy_(tensor)

        return super()._apply(kept, recurse)


def library(place: Path | str) -> Any:
    """The library diffusers.

    Raises:
        ValueError: If it is not installed.
    """
    return import_library("diffusers", f"inpainter: {place}")


def located(place: Path | str) -> Path:
    """The model's folder: ``place`` itself, or the hub's copy of the model of this id.

    Raises:
        ValueError: If there is no such folder, and the hub does not give the model.
    """
    folder = expanded(place)
    if folder.is_dir():
        return folder
    if not re.fullmatch(_ID, str(place)):
        raise ValueError(f"inpainter: {place}: no such folder")
    try:
        with quiet():
            return hub_cache.obtained(str(place), functools.partial(_downloaded, library(place), str(place)))
    except ValueError as error:
        ways = f"get it elsewhere with 'hf download {place} --local-dir FOLDER', then give FOLDER"
        raise ValueError(
            f"inpainter: {place} is no folder, and cannot be had from the hub ({error}); {ways}"
        ) from error


def _downloaded(diffusers: Any, model: str, local: bool) -> Path:
    """The hub's copy of a model; whoever reads it says what it lacks."""
    if not local:
        return Path(diffusers.DiffusionPipeline.download(model))
    from huggingface_hub import try_to_load_from_cache

    for file in (_INDEX, "config.json", "unet/config.json"):
        if isinstance(path := try_to_load_from_cache(model, file), str):
            return Path(path.removesuffix(file))
    raise ValueError("its cache has no such model")


def settings(file: Path) -> dict[str, Any]:
    """What a JSON file of a model says.

    Raises:
        ValueError: If the file is missing or damaged, or holds something else.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"inpainter: cannot read {file} ({one_line(error)})") from error
    if not isinstance(content, dict):
        raise ValueError(f"inpainter: {file} holds no settings by name")
    return content


def inpainting_pipeline(folder: Path, dtype: torch.dtype, variant: str | None, safety: bool) -> Any:
    """The pipeline in a folder, its networks read one by one: a pipeline does not say what they lack.

    Raises:
        ValueError: If the files are missing or damaged, or are of no pipeline that inpaints.
    """
    diffusers = library(folder)
    index = settings(folder / _INDEX)
    name = str(index.get("_class_name"))
    fill = name == "FluxFillPipeline"  # an inpainter by itself, of which the auto class does not know
    reader = diffusers.FluxFillPipeline if fill else diffusers.AutoPipelineForInpainting
    if safety and (index.get(_GUARD) or [None])[0] is None:
        raise ValueError(f"safety: {folder} has no safety checker")
    if safety and not (folder / _GUARD).is_dir():
        raise ValueError(f"safety: {folder} lacks the files of its safety checker; {_to_get_guard(folder)}")
    with quiet():
        networks = _networks(index, folder, dtype, variant, () if safety else (_GUARD,))
        off = {_GUARD: None} if _GUARD in index and not safety else {}
        options = {"local_files_only": True, "torch_dtype": dtype, "variant": variant}
        try:
            pipeline = reader.from_pretrained(
                str(folder), use_safetensors=safe(folder), **options, **networks, **off
            )
        except Exception as error:  # other tasks, damaged files, missing packages: each has a kind of its own
            reason = f"holds no inpainting pipeline that diffusers can load: {name} ({one_line(error)})"
            raise ValueError(f"inpainter: {folder} {reason}") from error
    pipeline.set_progress_bar_config(disable=True)
    if getattr(pipeline, "watermark", None) is not None:
        pipeline.watermark = None  # it would paint over the fill
    return pipeline


def _to_get_guard(folder: Path) -> str:
    """How to get the safety checker of a pipeline that was fetched without it."""
    known = hub_cache.source(folder)
    model, place = (known[0], f"--revision {known[1]}") if known else ("ID", f"--local-dir {folder}")
    who = "" if known else ", ID being the model's on the hub"
    return f"get them with `hf download {model} --include '{_GUARD}/*' {place}`{who}"


def _networks(
    index: dict[str, Any], folder: Path, dtype: torch.dtype, variant: str | None, without: tuple[str, ...]
) -> dict[str, nn.Module]:
    networks = {}
    for name, entry in index.items():
        if isinstance(entry, list) and len(entry) == 2 and None not in entry and name not in without:
            kind = _kind(*entry)
            if isinstance(kind, type) and issubclass(kind, nn.Module):
                networks[name] = network(kind, folder / name, dtype, variant)
    return networks


def _kind(source: str, name: str) -> Any:
    """The class that a pipeline's settings name by library and class; ``None`` if there is none."""
    known = source if source in ("diffusers", "transformers") else f"diffusers.pipelines.{source}"
    try:
        return getattr(importlib.import_module(known), name, None)
    except (ImportError, RuntimeError):  # lazy modules raise the latter
        return None


def network(kind: Any, folder: Path, dtype: torch.dtype, variant: str | None = None) -> nn.Module:
    """A network of diffusers or transformers, every tensor of which is in its folder.

    Of pickled files, which are read only where there is no safetensors file, nothing but tensors is read.

    Raises:
        ValueError: If the files are missing or damaged, or lack a tensor.
    """
    options = {"local_files_only": True, "use_safetensors": safe(folder), "variant": variant}
    try:
        loaded, report = kind.from_pretrained(
            str(folder), output_loading_info=True, torch_dtype=dtype, **options
        )
    except Exception as error:  # damaged files, other models: each has a kind of its own
        raise ValueError(
            f"inpainter: {folder} holds no {kind.__name__} that can be loaded ({one_line(error)})"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:  # the libraries would go on with random numbers instead
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise ValueError(f"inpainter: {folder} does not fit {kind.__name__}: it lacks {missing[0]}{more}")
    fixed: nn.Module = loaded.to(dtype)
    return fixed.eval().requires_grad_(False)


def safe(folder: Path) -> bool:
    """Whether the folder, or one in it, has weights that are not pickled."""
    return any(folder.rglob("*.safetensors"))


def dtype_of(precision: str) -> torch.dtype:
    """The dtype of this name.

    Raises:
        ValueError: If it is none that inpainters compute in.
    """
    if precision not in _DTYPES:
        raise ValueError(f"precision: expected one of {', '.join(_DTYPES)}, got {precision!r}")
    return _DTYPES[precision]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars, advice and warnings from the user: what matters is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers.utils import logging as ours
        from transformers.utils import logging as theirs
    with quiet_loggers(_LOGS, (ours, theirs)):
        yield
