"""Pipelines of diffusers as inpainters: tiny ones with random weights, saved and loaded as published."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from promises import adapted, check_promises, random_holes
from safetensors.torch import load_file, save_file
from tiny_diffusion import CELL, SIDE, stable_diffusion, text_config, tokenizer, unet, vae, vision_config
from torch import Tensor

from models.inpainters import diffusion
from models.weights import diffusers as hub

COMMIT = "0123456789" * 4
PROMPT, NEGATIVE = "a cat", "red"
QUICK = {"steps": 2, "prompt": PROMPT}


def stable_diffusion_xl(folder: Path) -> Any:
    import diffusers
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    conditions = {"cross_attention_dim": 32, "addition_embed_type": "text_time", "addition_time_embed_dim": 4}
    words = tokenizer(folder / "written")
    return diffusers.StableDiffusionXLInpaintPipeline(
        unet=unet(9, projection_class_embeddings_input_dim=16 + 6 * 4, **conditions), vae=vae(),
        text_encoder=CLIPTextModel(text_config()), tokenizer=words, tokenizer_2=words,
        text_encoder_2=CLIPTextModelWithProjection(text_config()),
        scheduler=diffusers.EulerDiscreteScheduler(), add_watermarker=False,
    )  # fmt: skip


def kandinsky(folder: Path) -> Any:
    import diffusers
    from transformers import CLIPImageProcessor, CLIPTextModelWithProjection, CLIPVisionModelWithProjection

    prior = diffusers.PriorTransformer(
        num_attention_heads=2, attention_head_dim=8, embedding_dim=16, num_layers=1, num_embeddings=16
    )
    painter = diffusers.UNet2DConditionModel(
        sample_size=SIDE // 2, in_channels=9, out_channels=8, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"), norm_num_groups=4,
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), attention_head_dim=4,
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", addition_embed_type="image", encoder_hid_dim=16,
        encoder_hid_dim_type="image_proj", cross_attention_dim=16, resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    movq = diffusers.VQModel(
        block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4,
        up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=8, norm_type="spatial", vq_embed_dim=4,
        num_vq_embeddings=12,
    )  # fmt: skip
    return diffusers.KandinskyV22InpaintCombinedPipeline(
        unet=painter, movq=movq, scheduler=diffusers.DDIMScheduler(), prior_prior=prior,
        prior_image_encoder=CLIPVisionModelWithProjection(vision_config()),
        prior_text_encoder=CLIPTextModelWithProjection(text_config()),
        prior_tokenizer=tokenizer(folder / "written"),
        prior_scheduler=diffusers.UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=10.0
        ),
        prior_image_processor=CLIPImageProcessor(size=16, crop_size=16),
    )  # fmt: skip


def flux_fill(folder: Path) -> Any:
    import diffusers
    from transformers import CLIPTextModel, T5Config, T5EncoderModel, T5Tokenizer

    pieces = ["<pad>", "</s>", "<unk>", "\u2581", *"abcdefghijklmnopqrstuvwxyz"]
    return diffusers.FluxFillPipeline(
        transformer=diffusers.FluxTransformer2DModel(
            in_channels=4 * 4 * 2 + 4 * CELL**2, out_channels=4 * 4, num_layers=1, num_single_layers=1,
            attention_head_dim=16, num_attention_heads=1, joint_attention_dim=16, pooled_projection_dim=16,
            axes_dims_rope=(4, 4, 8), guidance_embeds=True,
        ),
        vae=vae(shift_factor=0.1), tokenizer=tokenizer(folder / "written"),
        text_encoder=CLIPTextModel(text_config()),
        text_encoder_2=T5EncoderModel(
            T5Config(vocab_size=30, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ),
        tokenizer_2=T5Tokenizer(vocab=[(piece, -1.0) for piece in pieces], extra_ids=0, model_max_length=16),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


PIPELINES: dict[str, Callable[[Path], Any]] = {
    "inpaint": lambda folder: stable_diffusion(folder, 9),
    "text to image": lambda folder: stable_diffusion(folder, 4),
    "guarded": lambda folder: stable_diffusion(folder, 9, guarded=True),
    "xl": stable_diffusion_xl,
    "kandinsky": kandinsky,
    "flux": flux_fill,
}
every_pipeline = pytest.mark.parametrize("name", ["inpaint", "text to image", "xl", "kandinsky"])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes the folder of a pipeline, once."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            parent = tmp_path_factory.mktemp("hub")
            hub.library("")
            with hub.quiet(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                PIPELINES[name](parent).save_pretrained(parent / "pipeline")
            made[name] = parent / "pipeline"
        return made[name]

    return folder


@pytest.fixture
def inpaint(published: Callable[[str], Path], tmp_path: Path) -> Path:
    """An inpainting pipeline in a folder of one's own, to change."""
    return Path(shutil.copytree(published("inpaint"), tmp_path / "pipeline"))


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in numbers]


def some_holes() -> Tensor:
    """A rectangle, one pixel which is not the first of its cell, and everything."""
    hole = torch.zeros(3, 1, SIDE, SIDE)
    hole[0, :, 5:20, 9:30] = 1
    hole[1, :, 11, 14] = 1
    hole[2] = 1
    return hole


def cells(hole: Tensor, side: int) -> Tensor:
    """The hole with every cell that it touches, cell by cell."""
    wide = hole.clone()
    for row in range(0, hole.shape[2], side):
        for column in range(0, hole.shape[3], side):
            one = wide[:, :, row : row + side, column : column + side]
            one.copy_(one.amax((2, 3), keepdim=True).expand_as(one))
    return wide


def own_call(folder: Path, images: Tensor, holes: Tensor, **options: Any) -> Tensor:
    """What diffusers itself makes of them, one by one, as one would ask it: with pictures for Kandinsky."""
    import diffusers
    from PIL import Image

    with hub.quiet():
        pipeline = diffusers.AutoPipelineForInpainting.from_pretrained(folder)
        pictures = "Kandinsky" in type(pipeline).__name__
        painted = []
        for image, hole, generator in zip(images, holes, seeds(5, 6, 7), strict=True):
            if pictures:
                pixels = [(one * 255).round().byte().movedim(0, -1).numpy() for one in (image, hole)]
                given = {
                    "image": Image.fromarray(pixels[0]),
                    "mask_image": Image.fromarray(pixels[1][..., 0]),
                }
            else:
                given = {"image": image[None], "mask_image": hole[None]}
            options = {"prompt": PROMPT, "num_inference_steps": 2, "height": SIDE, "width": SIDE} | options
            painted.append(pipeline(**given, **options, generator=generator, output_type="np").images)
    return torch.cat([torch.from_numpy(one).movedim(-1, 1) for one in painted])


# What a pipeline paints.


@every_pipeline
def test_a_network_paints_what_its_pipeline_does(name, published, smooth_image):
    images = torch.cat([smooth_image(SIDE, SIDE, seed) for seed in range(3)])
    inpainter = diffusion.load(published(name), negative_prompt=NEGATIVE, guidance=3.0, **QUICK)
    painted = inpainter.network(images, some_holes(), generator=seeds(5, 6, 7))
    wide = cells(some_holes(), 2 if name == "kandinsky" else CELL)
    options = {"negative_prompt": NEGATIVE, "guidance_scale": 3.0}
    options |= {} if name == "kandinsky" else {"strength": 1.0}
    expected = own_call(published(name), images, wide, **options)
    torch.testing.assert_close(painted, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.01
    assert not torch.allclose(expected[0], expected[1], atol=0.01)
    assert (inpainter.size, inpainter.value_range, inpainter.stochastic) == (SIDE, (0.0, 1.0), True)
    assert not inpainter.network.training
    assert not any(parameter.requires_grad for parameter in inpainter.network.parameters())


@pytest.mark.parametrize(("name", "encoders"), [("inpaint", 1), ("xl", 2)])
def test_prompts_are_embedded_once(name, encoders, published, smooth_image, monkeypatch):
    from transformers import CLIPTextModel

    calls, forward = [], CLIPTextModel.forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return forward(*args, **kwargs)

    monkeypatch.setattr(CLIPTextModel, "forward", counted)
    network = diffusion.load(published(name), negative_prompt=NEGATIVE, **QUICK).network
    assert len(calls) == 2 * encoders  # the prompt, and the negative one
    for _ in range(2):
        network(smooth_image(SIDE, SIDE), some_holes()[:1], generator=seeds(0))
    assert len(calls) == 2 * encoders
    assert not any("text" in key for key in network.state_dict())


def test_where_prompts_are_the_same_guidance_is_left_out(published, smooth_image):
    from diffusers import UNet2DConditionModel

    images, counts = smooth_image(SIDE, SIDE), []
    network = diffusion.load(published("inpaint"), steps=2).network
    (painter,) = (part for part in network.modules() if isinstance(part, UNet2DConditionModel))
    painter.register_forward_pre_hook(lambda _, given: counts.append(len(given[0])))
    painted = network(images, some_holes()[2:], generator=seeds(5))
    assert counts == [1, 1]
    hole = some_holes()[2:]
    import diffusers

    with hub.quiet():
        pipeline = diffusers.AutoPipelineForInpainting.from_pretrained(published("inpaint"))
        expected = pipeline(
            prompt="", image=images, mask_image=hole, generator=seeds(5), num_inference_steps=2, height=SIDE,
            width=SIDE, output_type="pt",
        ).images  # fmt: skip
    torch.testing.assert_close(painted, expected, rtol=0, atol=1e-5)


def test_prompt_strength_and_size_matter(published, smooth_image):
    image, hole = smooth_image(48, 48), torch.ones(1, 1, 48, 48)
    ways = [{}, {"prompt": "dog"}, {"strength": 0.5}, {"guidance": 20.0}, {"steps": 3}]
    painted = []
    for way in ways:
        inpainter = diffusion.load(published("inpaint"), **{**QUICK, **way}, size=48)
        assert inpainter.size == 48
        painted.append(inpainter.network(image, hole, generator=seeds(0)))
    assert all(not torch.allclose(one, painted[0], atol=1e-4) for one in painted[1:])


def test_flux_fills_one_by_one_with_no_negative_prompt(published, smooth_image):
    import diffusers

    images = torch.cat([smooth_image(SIDE, SIDE, seed) for seed in range(2)])
    inpainter = diffusion.load(published("flux"), size=SIDE, **QUICK)
    painted = inpainter.network(images, some_holes()[:2], generator=seeds(5, 6))
    with hub.quiet():
        pipeline = diffusers.FluxFillPipeline.from_pretrained(published("flux"))
        expected = pipeline(
            PROMPT, image=images[1:], mask_image=cells(some_holes()[1:2], CELL), height=SIDE, width=SIDE,
            num_inference_steps=2, generator=seeds(6), output_type="pt",
        ).images  # fmt: skip
    torch.testing.assert_close(painted[1:], expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="negative_prompt: FluxFillPipeline has none"):
        diffusion.load(published("flux"), negative_prompt=NEGATIVE)
    with pytest.raises(ValueError, match="size: expected a positive multiple of 8, at most 4096, got 36"):
        diffusion.load(published("flux"), size=36)


# What a filler promises.


@pytest.mark.parametrize("name", ["inpaint", "text to image", "kandinsky"])
def test_it_keeps_what_fillers_promise(name, published, smooth_image):
    image = smooth_image(24, 41)
    fill = adapted(diffusion.load(published(name), **QUICK))
    whole = check_promises(fill, image, random_holes(24, 41), lambda: seeds(3)[0])
    assert not torch.allclose(whole[0], image[0], atol=0.01)


@pytest.mark.parametrize("name", ["inpaint", "kandinsky"])
def test_bfloat16_stays_bfloat16(name, published, smooth_image):
    fill = adapted(diffusion.load(published(name), precision="bfloat16", **QUICK))
    weights = fill._ready.state_dict().values()
    assert {weight.dtype for weight in weights if weight.is_floating_point()} == {torch.bfloat16}
    image, hole = smooth_image(SIDE, SIDE), some_holes()[:1]
    rough = fill(image, hole, seeds(3)[0])
    precise = adapted(diffusion.load(published(name), **QUICK))(image, hole, seeds(3)[0])
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, precise)


def test_a_network_cast_by_others_is_as_precise_as_before(published):
    network = diffusion.load(published("inpaint"), **QUICK).network
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    network.to(torch.bfloat16)
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())


def test_nothing_is_said_and_no_chance_is_taken(published, smooth_image, capfd):
    before = torch.random.get_rng_state()
    network = diffusion.load(published("text to image"), **QUICK).network
    network(smooth_image(SIDE, SIDE), some_holes()[:1], generator=seeds(0))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


# The safety checker.


def test_a_flagged_image_raises_and_is_never_black(published, smooth_image):
    image, hole = smooth_image(SIDE, SIDE).expand(2, -1, -1, -1), some_holes()[:2]
    guarded = diffusion.load(published("guarded"), safety=True, **QUICK).network
    with pytest.raises(ValueError, match="inpainter: the safety checker flagged 2 of 2 fills"):
        guarded(image, hole, generator=seeds(0, 1))
    free = diffusion.load(published("guarded"), **QUICK).network
    painted = free(image, hole, generator=seeds(0, 1))
    assert painted.amax((1, 2, 3)).min() > 0.1
    assert not any("safety" in key for key in free.state_dict())
    checker = guarded.pipeline.safety_checker
    checker.concept_embeds_weights.data.fill_(2)
    torch.testing.assert_close(guarded(image, hole, generator=seeds(0, 1)), painted, rtol=0, atol=1e-5)


def test_flags_are_read_under_both_names_that_pipelines_give_them():
    with pytest.raises(ValueError, match="flagged 1 of 2 fills"):
        diffusion._refuse_flagged(SimpleNamespace(nsfw_detected=[False, True]))
    with pytest.raises(ValueError, match="safety: the pipeline does not say what its safety checker flags"):
        diffusion._refuse_flagged(SimpleNamespace(images=[]))


def test_a_safety_checker_that_is_not_there_is_not_kept(published):
    with pytest.raises(ValueError, match=r"safety: .* has no safety checker"):
        diffusion.load(published("inpaint"), safety=True)


# What cannot be had.


def test_missing_folders_are_no_ids(tmp_path):
    with pytest.raises(ValueError, match=f"inpainter: {tmp_path}/missing: no such folder"):
        diffusion.load(tmp_path / "missing")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No connection to the hub is tried; returns the folder of what was downloaded before."""
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_ids_that_cannot_be_had_say_what_to_download(offline):
    with pytest.raises(ValueError, match="inpainter: someone/painter is no folder") as caught:
        diffusion.load("someone/painter")
    assert "'hf download someone/painter --local-dir FOLDER', then give FOLDER" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ids_downloaded_before_need_no_connection(offline, published):
    repository = offline / "models--someone--painter"
    shutil.copytree(published("inpaint"), repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    expected = diffusion.load(published("inpaint")).network.state_dict()
    found = diffusion.load("someone/painter").network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(weight, expected[name]) for name, weight in found.items())


def test_a_missing_tensor_is_named(inpaint):
    file = inpaint / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    del state["conv_in.weight"], state["conv_in.bias"]
    save_file(state, file)
    with pytest.raises(
        ValueError, match=r"does not fit UNet2DConditionModel: it lacks conv_in\.bias and 1 more"
    ):
        diffusion.load(inpaint)


def test_a_missing_tensor_of_the_text_encoder_is_named(inpaint):
    file = inpaint / "text_encoder" / "model.safetensors"
    state = load_file(file)
    name = next(key for key in state if "token_embedding" in key)
    del state[name]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"does not fit CLIPTextModel: it lacks .*token_embedding"):
        diffusion.load(inpaint)


def test_damaged_folders_are_refused(inpaint):
    (inpaint / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="vae holds no AutoencoderKL that can be loaded"):
        diffusion.load(inpaint)
    (inpaint / "model_index.json").write_text("[]")
    with pytest.raises(ValueError, match=r"model_index\.json holds no settings by name"):
        diffusion.load(inpaint)
    (inpaint / "model_index.json").unlink()
    with pytest.raises(ValueError, match=r"cannot read .*model_index\.json"):
        diffusion.load(inpaint)


def test_pipelines_that_cannot_inpaint_are_refused(inpaint):
    index = json.loads((inpaint / "model_index.json").read_text())
    (inpaint / "model_index.json").write_text(json.dumps({**index, "_class_name": "DDPMPipeline"}))
    with pytest.raises(
        ValueError, match="holds no inpainting pipeline that diffusers can load: DDPMPipeline"
    ):
        diffusion.load(inpaint)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"strength": 0.0}, r"strength: expected in \(0, 1\], and a step at least, got 0.0 of 50 steps"),
        ({"strength": 0.1, "steps": 5}, "strength: expected .*, got 0.1 of 5 steps"),
        ({"strength": 1.5}, "strength: expected"),
        ({"guidance": -1.0}, "guidance: expected at least 0, got -1.0"),
        ({"precision": "float16"}, "precision: expected one of float32, bfloat16, got 'float16'"),
        ({"size": 30}, "size: expected a positive multiple of 4, at most 4096, got 30"),
        ({"size": 0}, "size: expected a positive multiple of 4, at most 4096, got 0"),
        ({"negative_prompt": "red", "guidance": 1.0}, "negative_prompt: matters only if guidance is above 1"),
    ],
)
def test_impossible_parameters_are_refused(options, message, published):
    with pytest.raises(ValueError, match=message):
        diffusion.load(published("inpaint"), **options)


def test_parameters_that_a_pipeline_does_not_have_are_refused(published):
    with pytest.raises(ValueError, match="strength: KandinskyV22InpaintCombinedPipeline has none"):
        diffusion.load(published("kandinsky"), strength=0.5)


def test_without_diffusers_the_package_is_named(monkeypatch, published):
    folder = published("inpaint")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ValueError, match=r"needs diffusers, which is not installed: pip .*\[hub\]"):
        diffusion.load(folder)
