"""Inpainting pipelines of the library diffusers: Stable Diffusion (Rombach et al. 2022) and its kin.

The pipelines do not return the observed pixels as they were, since all goes through their autoencoder; that
does not matter to who composites, and looks at the fill under the hole only. They see holes in cells of 8 x 8
pixels or so, and go by one pixel of each: here a hole takes in every cell that it touches, or else thin holes
would be filled with what hides them.
"""

import inspect
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from models.inpainters.inpainter import Inpainter
from models.weights import diffusers as hub

_EMBEDDINGS = (
    "prompt_embeds",
    "negative_prompt_embeds",
    "pooled_prompt_embeds",
    "negative_pooled_prompt_embeds",
)
_FLAGS = ("nsfw_content_detected", "nsfw_detected")
_TEXT = ("text_encoder", "text_encoder_2")
MOST_STEPS, MOST_GUIDANCE, LARGEST = 1000, 1000, 4096
"""Above these, numbers are a slip of the pen; the largest side is in pixels."""


class Diffusion(hub.FixedPrecision):
    """A pipeline as a network; it stays in the precision in which it was loaded.

    Args:
        pipeline: An inpainting pipeline of diffusers.
        options: What it is called with each time, beside images and texts.
        texts: Embeddings "1 ..." of the prompts, or the prompts themselves, by the names of its parameters.
        cell: How many pixels the side of a cell of the hole has.
        guarded: Whether to refuse what its safety checker flags.
    """

    def __init__(
        self, pipeline: Any, options: dict[str, Any], texts: dict[str, Any], cell: int, guarded: bool
    ) -> None:
        super().__init__()
        self.pipeline, self.options = pipeline, options
        self.cell, self.guarded = cell, guarded
        parts = {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
        self.parts = nn.ModuleDict(parts)  # the pipeline's own: what moves them moves the pipeline
        self.prompts = {name: text for name, text in texts.items() if not isinstance(text, Tensor)}
        self.embedded = tuple(name for name in texts if name not in self.prompts)
        for name in self.embedded:
            self.register_buffer(name, texts[name], persistent=False)

    def forward(
        self, image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"], generator: list[Generator]
    ) -> Float[Tensor, "n 3 h w"]:
        """What the pipeline paints; the hole is 1 where pixels are removed, and each image has a generator.

        Raises:
            ValueError: If the safety checker is kept, and flags an image.
        """
        hole = _in_cells(hole, self.cell)
        # Not every pipeline keeps images apart: Kandinsky's uses the first one's hole for all.
        step = len(image) if self.embedded else 1
        fills = [
            self._paint(
                image[first : first + step], hole[first : first + step], generator[first : first + step]
            )
            for first in range(0, len(image), step)
        ]
        return torch.cat(fills)

    def _paint(
        self, image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"], generator: list[Generator]
    ) -> Float[Tensor, "n 3 h w"]:
        count = len(image)
        texts: dict[str, Any] = {name: [text] * count for name, text in self.prompts.items()}
        for name in self.embedded:
            texts[name] = torch.cat([getattr(self, name)] * count)
        image, hole = image.float().clamp(0, 1), hole.float()
        # Without this part a pipeline takes and gives tensors of a range of its own.
        tensors = hasattr(self.pipeline, "mask_processor")
        given = (image, hole) if tensors else (_pictures(image), _pictures(hole))
        with hub.quiet():
            painted = self.pipeline(
                image=given[0],
                mask_image=given[1],
                generator=generator,
                output_type="pt" if tensors else "np",
                **texts,
                **self.options,
            )
        if self.guarded:
            _refuse_flagged(painted)
        images = painted.images
        return images if tensors else torch.from_numpy(np.asarray(images)).movedim(-1, 1).to(image.device)


def load(
    place: Path | str,
    *,
    prompt: str = "",
    negative_prompt: str | None = None,
    steps: Annotated[int, "[1, 1000]"] = 50,
    guidance: Annotated[float, "[0, 1000]"] | None = None,
    strength: Annotated[float, "(0, 1]"] = 1.0,
    size: Annotated[int, "[8, 4096]"] | None = None,
    precision: str = "float32",
    variant: str | None = None,
    safety: bool = False,
) -> Inpainter:
    """An inpainting pipeline of diffusers: any that ``AutoPipelineForInpainting`` knows, and Flux Fill.

    Prompts are embedded once by the Stable Diffusion pipelines (XL, too), and the text encoders let go. All
    others get the prompt with each image, and one image at a time. The fill of an image depends on its own
    generator only. Diffusers' pipelines change pixels outside the hole: composite the fill.

    The safety checker is off, for it paints flagged images black: in the explanation of a classifier a
    removed object would silently become black. With ``safety`` it is kept, and a flagged image raises.

    Args:
        place: The folder of a pipeline, or its id on the hub.
        prompt: What to paint; nothing in particular by default.
        negative_prompt: What not to paint.
        steps: How many steps of denoising the whole way from noise takes.
        guidance: How strongly to follow the prompt, in the pipeline's terms; ``None``: as it does by default.
        strength: How far back to noise to go, at most 1. Below it, what hides pixels shines through.
        size: The side of the images it works at; ``None``: the one it was trained at.
        precision: "float32" or "bfloat16".
        variant: Which weights of the folder, such as "fp16", where it has several.
        safety: Keep the safety checker; what it flags raises a ``ValueError``.

    Raises:
        ValueError: If a parameter is out of its range or not one of this pipeline's, or if the pipeline
            cannot be had, lacks tensors, or cannot inpaint.
    """
    dtype = hub.dtype_of(precision)
    _check(steps, guidance, strength)
    folder = hub.located(place)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        pipeline = hub.inpainting_pipeline(folder, dtype, variant, safety)
    cell = _cell(pipeline)
    side = _side(pipeline, cell, size)
    request = {"num_inference_steps": steps, "strength": strength, "height": side, "width": side}
    options = _options(pipeline, {**request, "guidance_scale": guidance}, negative_prompt)
    texts: dict[str, Any] = {"prompt": prompt} | (
        {} if negative_prompt is None else {"negative_prompt": negative_prompt}
    )
    if "unet" in pipeline.components and type(pipeline).__name__.startswith("StableDiffusion"):
        texts, options = _embedded(pipeline, texts, options)
    network = Diffusion(pipeline, options, texts, cell, safety).eval().requires_grad_(False)
    return Inpainter(network, size=side, blank=0.5, stochastic=True)


def _refuse_flagged(painted: Any) -> None:
    flags = next((flags for name in _FLAGS if (flags := getattr(painted, name, None)) is not None), None)
    if flags is None:
        raise ValueError("safety: the pipeline does not say what its safety checker flags")
    if any(flags):
        raise ValueError(f"inpainter: the safety checker flagged {sum(flags)} of {len(flags)} fills")


def _check(steps: int, guidance: float | None, strength: float) -> None:
    if steps < 1 or steps > MOST_STEPS:
        rule = "at least 1" if steps < 1 else f"at most {MOST_STEPS}"
        raise ValueError(f"steps: expected {rule}, got {steps}")
    if not 0 < strength <= 1 or int(steps * strength) < 1:
        raise ValueError(
            f"strength: expected in (0, 1], and a step at least, got {strength} of {steps} steps"
        )
    if guidance is not None and not 0 <= guidance <= MOST_GUIDANCE:
        rule = f"at most {MOST_GUIDANCE}" if guidance > 0 else "at least 0"
        raise ValueError(f"guidance: expected {rule}, got {guidance}")


def _cell(pipeline: Any) -> int:
    """How many pixels the side of a cell of the pipeline's latent image has; 1 if it works on pixels."""
    movq = pipeline.components.get("movq")
    if movq is not None:
        return int(2 ** (len(movq.config.block_out_channels) - 1))
    return int(getattr(pipeline, "vae_scale_factor", 1))


def _side(pipeline: Any, cell: int, size: int | None) -> int:
    components = pipeline.components
    multiple = cell * (2 if "transformer" in components else 1)  # transformers take cells two by two
    if size is None:
        core = components.get("unet") or components.get("transformer")
        cells = getattr(pipeline, "default_sample_size", None) or getattr(core, "config", {}).get(
            "sample_size"
        )
        if not isinstance(cells, int):
            raise ValueError(f"size: {type(pipeline).__name__} does not say at which it works; name it")
        size = cells * cell
    if not 1 <= size <= LARGEST or size % multiple:
        raise ValueError(f"size: expected a positive multiple of {multiple}, at most {LARGEST}, got {size}")
    return size


def _options(pipeline: Any, request: dict[str, Any], negative_prompt: str | None) -> dict[str, Any]:
    """Of what is asked for, that which the pipeline takes; what it does not take must not matter."""
    known = inspect.signature(type(pipeline).__call__).parameters
    name = type(pipeline).__name__
    if "control_image" in known:
        raise ValueError(f"inpainter: {name} wants a control image, too, which there is none of")
    refused = {
        "strength": request["strength"] != 1,
        "guidance_scale": request["guidance_scale"] is not None,
        "negative_prompt": negative_prompt is not None,
    }
    for parameter, matters in refused.items():
        if matters and parameter not in known:
            raise ValueError(f"{parameter.removesuffix('_scale')}: {name} has none")
    return {key: value for key, value in request.items() if key in known and value is not None}


def _embedded(
    pipeline: Any, texts: dict[str, str], options: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Embeddings of the prompts in place of the pipeline's text encoders."""
    default = inspect.signature(type(pipeline).__call__).parameters["guidance_scale"].default
    guided = options.get("guidance_scale", default) > 1 and pipeline.unet.config.time_cond_proj_dim is None
    if "negative_prompt" in texts and not guided:
        raise ValueError("negative_prompt: matters only if guidance is above 1")
    with hub.quiet(), torch.no_grad():
        given = pipeline.encode_prompt(
            **texts, device=pipeline.device, num_images_per_prompt=1, do_classifier_free_guidance=guided
        )
    embeddings = {name: text for name, text in zip(_EMBEDDINGS, given, strict=False) if text is not None}
    if not guided:
        embeddings = {name: text for name, text in embeddings.items() if not name.startswith("negative")}
    elif len(embeddings) == 2 and torch.equal(*embeddings.values()):
        # Guidance moves away from the negative prompt: from the same one nowhere, at twice the work.
        embeddings = {name: text for name, text in embeddings.items() if not name.startswith("negative")}
        options = {**options, "guidance_scale": 1.0}
    for name in _TEXT:
        if getattr(pipeline, name, None) is not None:
            setattr(pipeline, name, None)
    return embeddings, options


def _in_cells(hole: Float[Tensor, "n 1 h w"], cell: int) -> Float[Tensor, "n 1 h w"]:
    """The hole with every cell that it touches."""
    return F.max_pool2d(hole, cell).repeat_interleave(cell, 2).repeat_interleave(cell, 3)


def _pictures(images: Float[Tensor, "n c h w"]) -> list[Any]:
    from PIL import Image

    pixels = (images * 255).round().byte().movedim(1, -1).cpu().numpy()
    return [Image.fromarray(one.squeeze(-1) if one.shape[-1] == 1 else one) for one in pixels]
