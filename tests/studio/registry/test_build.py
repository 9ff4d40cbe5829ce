"""Names become objects, and texts their settings."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from attribution import MP2, DSSRPlus, FeatureInversion, Fido, Lime, Rise, SlidingPatch
from attribution.explainer import AttributingExplainer, SamplingExplainer
from attribution.optimize.loop import OptimizingExplainer
from infill import (
    Adaptive,
    Biharmonic,
    Blur,
    Exemplar,
    Filler,
    Given,
    Gray,
    Learned,
    Marginal,
    Mean,
    NavierStokes,
    Noise,
    PatchMatch,
    Telea,
)
from studio.registry.build import build_classifier, build_filler, build_method, may_draw
from studio.registry.fields import parse_fields, settable
from studio.registry.parse import parse_selection, parse_settings, quick_settings
from studio.registry.runtime import running
from studio.registry.tables import ALL_FILLERS, FILLERS, GRADIENT, METHODS, OPTIMIZING, SAMPLING, SettingTexts

CLASSES = {
    "gray": Gray,
    "mean": Mean,
    "mean-segment": Mean,
    "mean-local": Mean,
    "noise": Noise,
    "noise-once": Noise,
    "noise-gaussian": Noise,
    "noise-color": Noise,
    "blur": Blur,
    "blur-pyramid": Blur,
    "marginal": Marginal,
    "telea": Telea,
    "ns": NavierStokes,
    "biharmonic": Biharmonic,
    "exemplar": Exemplar,
    "patchmatch": PatchMatch,
    "inpaint": Adaptive,
    "inpaint-even": Adaptive,
}


def settings(*pairs: str) -> SettingTexts:
    return parse_settings(pairs, [*METHODS, *FILLERS])


def test_methods_are_the_papers_unless_quick() -> None:
    made = {name: build_method(name, {}) for name in METHODS}
    assert made["sp"] == SlidingPatch()
    assert made["rise"] == Rise()
    assert isinstance(made["lime"], Lime)
    assert made["lime"].samples == Lime().samples
    assert made["mp2"] == MP2()
    assert made["dssr-plus"] == DSSRPlus()
    assert build_method("sp", {}, preset="quick") == SlidingPatch(stride=8)
    assert build_method("rise", {}, 5, "quick") == Rise(masks=1000, estimator="covariance", seed=5)
    assert build_method("fido", {}, 5, "quick") == Fido(steps=60, samples=4, lr=0.25, patience=20, seed=5)
    assert build_method("mp2", {}, preset="quick") == MP2(graded=True)


@pytest.mark.parametrize("name", ["gfi", "gfi-code"])
def test_quick_weights_go_as_far_as_the_papers(name: str) -> None:
    """Adam moves a weight by its rate a step, which is halved again and again."""

    def reach(method: Any) -> tuple[float, float]:
        rates = (method.lr / 2 ** (step // method.halving) for step in range(method.steps))
        return method.inversion_steps * method.lr, sum(rates)

    paper, quick = (build_method(name, {}, preset=preset) for preset in ("paper", "quick"))
    assert reach(quick) == pytest.approx(reach(paper), rel=0.1)
    assert quick.composites < 0.55 * paper.composites  # type: ignore[attr-defined]


def test_gfi_as_in_code_has_its_own_settings() -> None:
    code = build_method("gfi-code", {})
    assert isinstance(code, FeatureInversion)
    assert (code.inversion_steps + code.steps, code.inversion_penalty, code.penalty) == (80, 5.0, 2.0)
    assert (code.layer, code.error, code.norm, code.restarted) == ("inverted", "relative", "squared", False)
    assert "gfi-code.steps 36 (paper: 69)" in quick_settings(["gfi-code"], {})


@pytest.mark.parametrize("name", ["fido", "fido-cells"])
def test_quick_logits_go_as_far_as_the_papers(name: str) -> None:
    """Adam moves a logit by its learning rate a step, whatever the gradient: the sum is how far it gets."""
    paper, quick = (build_method(name, {}, preset=preset) for preset in ("paper", "quick"))
    assert isinstance(paper, Fido)
    assert isinstance(quick, Fido)
    assert quick.steps * quick.lr == pytest.approx(paper.steps * paper.lr)
    assert quick.warmup < quick.steps


def test_methods_are_of_the_kind_that_they_are_listed_as() -> None:
    assert set(METHODS) == set(SAMPLING) | set(OPTIMIZING) | set(GRADIENT)
    for name in METHODS:
        for preset in ("paper", "quick", "smallest"):
            method = build_method(name, {}, preset=preset)
            assert isinstance(method, SamplingExplainer) == (name in SAMPLING)
            assert isinstance(method, OptimizingExplainer) == (name in OPTIMIZING)
            assert isinstance(method, AttributingExplainer) == (name in GRADIENT)
            assert getattr(method, "fills", True) == METHODS[name].fills
            assert METHODS[name].is_of(method)


def test_the_smallest_removal_has_settings_of_its_own() -> None:
    descent = MP2(rank="descent", graded=True, slope="logit")
    assert build_method("mp2-descent", {}, preset="smallest") == replace(descent, prune=True, blend=0.25)
    given = settings("mp2-descent.prune=no", "mp2-descent.blend=0")
    assert build_method("mp2-descent", given, preset="smallest") == descent
    assert build_method("mp2", {}, preset="smallest") == MP2(graded=True, prune=True)
    fido = build_method("fido", {}, preset="smallest")
    assert isinstance(fido, Fido)
    assert (fido.region, fido.steps) == ("sdr", 60)


def test_settings_go_before_seed_and_quick() -> None:
    given = settings("rise.seed=9", "rise.masks=20")
    assert build_method("rise", given, 5, "quick") == Rise(masks=20, estimator="covariance", seed=9)


def test_shortcuts_tell_the_papers_values() -> None:
    told = quick_settings(["sp", "rise"], settings("rise.masks=20"))
    assert told == "sp.stride 8 (paper: 3), rise.estimator covariance (paper: paper)"


def test_of_many_shortcuts_the_first_are_told_and_all_are_counted() -> None:
    told = quick_settings(["cem-positive", "gfi"], settings("cem-positive.cells=7"))
    first, _, second = told.partition(", gfi.")
    assert first.count("(paper: ") == 3
    assert first.endswith("and 6 more of cem-positive (explain.json has all)")
    assert len(METHODS["cem-positive"].quick) == 3 + 6 + 1
    assert second.count("(paper: ") == 4, "no more than fit are left out of no other"


def test_every_filler_has_its_class_and_fills(image: Tensor) -> None:
    assert list(CLASSES) == list(FILLERS)
    hole = torch.zeros(1, 1, 24, 32)
    hole[..., 8:16, 8:16] = 1
    fills = {}
    for name, cls in CLASSES.items():
        filler = build_filler(name, {}, image[0])
        assert type(filler) is cls
        assert isinstance(filler, Filler)
        fill = filler(image, hole, torch.Generator().manual_seed(1))
        fills[name] = torch.lerp(image, fill, hole)
    names = list(fills)
    for i, name in enumerate(names):
        for other in names[:i]:
            assert not torch.allclose(fills[name], fills[other], atol=1e-3), (name, other)


def test_photographs_can_be_blurred_before_they_are_seen(image: Tensor) -> None:
    given, photograph = settings("blur.where=photograph", "blur.sigma=4"), torch.rand(3, 40, 60)

    def seen(change: Callable[[Tensor], Tensor]) -> Tensor:
        return change(photograph)[:, 8:32, 14:46]

    filler = build_filler("blur", given, image[0], seen=seen)
    hole = torch.ones(1, 1, 24, 32)
    expected = Blur(4.0)(photograph[None], torch.ones(1, 1, 40, 60))[..., 8:32, 14:46]
    assert torch.equal(filler(image, hole), expected)
    assert isinstance(filler, Given)
    assert filler.maker == Blur(4.0)
    shouted = build_filler("blur", settings("blur.where=Photograph", "blur.sigma=4"), image[0], seen=seen)
    assert torch.equal(shouted(image, hole), expected)
    assert isinstance(build_filler("blur", settings("blur.where=view"), image[0], seen=seen), Blur)
    with pytest.raises(ValueError, match=r"blur\.where: there are no photographs here"):
        build_filler("blur", given, image[0])
    with pytest.raises(ValueError, match=r"blur\.where: expected levels=2 with where=photograph, got 4"):
        build_filler("blur", settings("blur.where=photograph", "blur.levels=4"), image[0], seen=seen)


def test_segment_means_use_limes_superpixels(image: Tensor) -> None:
    given = parse_settings(["lime.segments=4"], ["sp", "mean-segment"])
    filler = build_filler("mean-segment", given, image[0])
    assert isinstance(filler, Mean)
    assert torch.equal(filler.segments, Lime(segments=4).segment(image[0]))  # type: ignore[arg-type]


def test_the_inpainters_precision_is_a_setting(image: Tensor) -> None:
    filler = build_filler("inpaint", settings("inpaint.context=48"), image[0], "bfloat16")
    assert isinstance(filler, Learned)
    assert (filler.precision, filler.context, filler.multiple) == ("bfloat16", 48, 8)
    given = settings("inpaint.precision=float32")
    filler = build_filler("inpaint", given, image[0], "bfloat16")
    assert isinstance(filler, Learned)
    assert filler.precision == "float32"


@pytest.mark.parametrize("word", ["none", "None"])
def test_a_text_that_may_be_left_out_can_be(word: str) -> None:
    fields: dict[str, list[Any]] = {"negative_prompt": [str, type(None)]}
    assert parse_fields("sd", fields, {"negative_prompt": word}) == {"negative_prompt": None}
    assert parse_fields("sd", fields, {"negative_prompt": "people"}) == {"negative_prompt": "people"}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("sp.patch=41", 41),
        ("sp.average=true", True),
        ("sp.average=No", False),
        ("sp.placement=centers", "centers"),
        ("lime.sigma=2", 2.0),
        ("mp.lr=0.2", 0.2),
        ("mp2.rank=descent", "descent"),
        ("mp2.chance=0.2", 0.2),
        ("mp2.chance=none", None),
        ("mp2.prune=yes", True),
        ("fido.region=SDR", "sdr"),
        ("extremal.variant=dual", "dual"),
        ("dssr-plus.window=5", 5),
        ("pda.samples=2", 2),
        ("marginal.context=4", 4),
        ("lime.alpha=1e-2", 0.01),
        ("gray.color=0,0.5,1", (0.0, 0.5, 1.0)),
        ("inpaint.context=none", None),
        ("inpaint.context=16", 16),
        ("inpaint.size=64, 80", (64, 80)),
        ("inpaint.size=64", 64),
    ],
)
def test_texts_become_the_fields_types(pair: str, value: object) -> None:
    name, key = pair.split("=")[0].split(".")
    entry = {**METHODS, **FILLERS}[name]
    got = parse_fields(name, settable(entry.load(), entry.fixed), settings(pair)[name])[key]
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("sp.patch", "--set: expected NAME.FIELD=VALUE, as in sp.patch=41, got 'sp.patch'"),
        ("patch=3", "expected NAME.FIELD=VALUE"),
        ("=", "expected NAME.FIELD=VALUE"),
        ("spp.patch=3", "unknown method or filler in --set 'spp'; did you mean 'sp'?"),
        (
            "sp.pach=3",
            "unknown field of sp 'pach'; did you mean 'patch'? known: patch, stride, average, placement",
        ),
        ("sp.patch=big", "sp.patch: expected a whole number, got 'big'"),
        ("sp.patch=2.5", "sp.patch: expected a whole number, got '2.5'"),
        ("sp.patch=", "sp.patch: expected a whole number, got ''"),
        ("blur.sigma=x", "blur.sigma: expected a number, got 'x'"),
        ("sp.average=maybe", "sp.average: expected true or false, got 'maybe'"),
        ("sp.placement=left", "sp.placement: expected 'resize' or 'centers', got 'left'"),
        ("mp2.rank=best", "mp2.rank: expected 'norm' or 'descent', got 'best'"),
        ("mp2.chance=x", "mp2.chance: expected a number or none, got 'x'"),
        ("fido.step=3", "unknown field of fido 'step'; did you mean 'steps'?"),
        ("gray.color=a,b", "gray.color: expected numbers with commas between, got 'a,b'"),
        (
            "inpaint.size=1,2,3",
            "inpaint.size: expected a whole number or numbers with commas between or none",
        ),
        ("noise.kind=color", "unknown field of noise 'kind'; known: std"),
        ("mean-segment.segments=3", "unknown field of mean-segment 'segments'"),
        ("inpaint.network=x", "unknown field of inpaint 'network'"),
        ("lime.segmentation=x", "unknown field of lime 'segmentation'; did you mean 'segments'?"),
    ],
)
def test_wrong_settings_are_named(pair: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        settings(pair)


def test_settings_of_what_is_not_used_are_refused() -> None:
    with pytest.raises(ValueError, match=r"--set blur.sigma=3: blur is not used here; used: sp, gray"):
        parse_settings(["blur.sigma=3"], ["sp", "gray"])


@pytest.mark.parametrize(
    ("name", "texts", "message"),
    [
        ("sp", {"patch": "0"}, "sp: patch must be at least 1, got 0"),
        ("rise", {"keep": "1"}, "rise: keep must be between 0 and 1, got 1"),
        ("mp2", {"blend": "1"}, "mp2: blend must be in [0, 1), got 1"),
    ],
)
def test_values_out_of_range_are_named(name: str, texts: Mapping[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build_method(name, {name: texts})


def test_unknown_names_get_the_nearest(image: Tensor) -> None:
    with pytest.raises(ValueError, match=r"unknown filler 'blurr'; did you mean 'blur'. known: gray, mean,"):
        parse_selection(["blurr"], [])
    with pytest.raises(
        ValueError, match=r"unknown method 'LIME'; did you mean 'lime'. known: sp, lime, rise"
    ):
        parse_selection([], [], ["LIME"])
    with pytest.raises(
        ValueError, match=r"unknown classifier 'resnet51'; did you mean 'resnet50'. see `infill list"
    ):
        build_classifier("resnet51", None)
    with pytest.raises(ValueError, match="unknown classifier 'zzz'; see `infill list --all`"):
        build_classifier("zzz", None)
    with pytest.raises(ValueError, match="unknown method 'xyz'; known: sp, lime, rise"):
        parse_selection([], [], ["xyz"])
    with pytest.raises(ValueError, match=r"unknown method 'dssr\+'; did you mean 'dssr'"):
        parse_selection([], [], ["dssr+"])


def test_a_method_that_needs_gradients_is_not_run_by_openvino() -> None:
    classifier = build_classifier("scenes", None)
    with pytest.raises(ValueError, match="--runtime: OpenVINO gives no gradients, which blanks needs"):
        running(classifier, "openvino", ["sp", "blanks"])
    assert running(classifier, "auto", ["blanks"]) == (
        classifier,
        "eager (OpenVINO gives no gradients, which blanks needs)",
    )


def test_what_may_draw_is_known_before_it_is_built() -> None:
    drawing = {name for name in ALL_FILLERS if may_draw(name)}
    assert {"noise", "noise-gaussian", "marginal", "sd", "repaint"} <= drawing
    assert not {"gray", "blur", "telea", "inpaint", "lama", "mae", "deepfill-v2"} & drawing
    assert may_draw("sd@steps=5")
