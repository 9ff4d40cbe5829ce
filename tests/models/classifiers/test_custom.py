"""Classifiers of the user's own: files of programs, and what functions return."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from tiny_classifiers import CLOSE, one_line, small
from torch import Tensor, nn

from attribution.engine.precision import prepare
from models.classifiers import load_classifier
from models.preprocessing import IMAGENET_MEAN, IMAGENET_STD


def program(path: Path, network: nn.Module, batch: int | None = None, side: int = 32) -> Path:
    """Save by torch.export (for any number of images, or just so many), or as TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".pt2":
            free = ({0: torch.export.Dim.DYNAMIC},) if batch is None else None
            exported = torch.export.export(
                network, (torch.rand(batch or 2, 3, side, side),), dynamic_shapes=free
            )
            torch.export.save(exported, path)
        else:
            torch.jit.save(torch.jit.trace(network, torch.rand(1, 3, side, side)), path)
    return path


@pytest.mark.parametrize(("suffix", "batch"), [(".pt", None), (".pt2", None), (".pt2", 1)])
def test_programs_run_as_the_network_does(
    suffix: str, batch: int | None, tmp_path: Path, photos: list[Tensor], capfd: pytest.CaptureFixture[str]
) -> None:
    from torchvision.transforms._presets import ImageClassification

    network, path = small(), tmp_path / f"net{suffix}"
    program(path, network, batch)
    said = {
        "crop": 32,
        "resize": 40,
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.3],
        "labels": list("abcde"),
    }
    (tmp_path / "net.json").write_text(json.dumps(said))
    capfd.readouterr()
    classifier = load_classifier(f"file:{path}")
    assert capfd.readouterr() == ("", "")
    assert classifier.labels == ("a", "b", "c", "d", "e")
    preset = ImageClassification(crop_size=32, resize_size=40, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.3))
    seen = torch.cat([preset(photo) for photo in photos])
    views = torch.stack([classifier.view(photo[0]) for photo in photos])
    torch.testing.assert_close(classifier(views), network(seen), **CLOSE)
    prepared = prepare(classifier, "float32", views[:1])
    torch.testing.assert_close(prepared(views), network(seen), **CLOSE)


def test_programs_that_say_nothing_see_what_imagenets_do(tmp_path: Path) -> None:
    classifier = load_classifier(f"file:{program(tmp_path / 'net.pt', small(7), side=224)}")
    assert classifier.labels == tuple(f"class {index}" for index in range(7))
    assert (classifier.crop, classifier.resize, classifier.interpolation) == (224, 256, "bilinear")
    assert tuple(classifier.mean.flatten().tolist()) == pytest.approx(IMAGENET_MEAN)
    assert tuple(classifier.std.flatten().tolist()) == pytest.approx(IMAGENET_STD)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{", "cannot read .*net.json"),
        ("[]", "expected an object with crop, resize"),
        ('{"size": 3}', "unknown key 'size'; known: crop"),
        ('{"crop": "big"}', "cannot understand crop = 'big'"),
        ('{"crop": true}', "cannot understand crop = True"),
        ('{"mean": 0.5}', "cannot understand mean = 0.5"),
        ('{"resize": [1, 2, 3]}', "cannot understand resize"),
        ('{"crop": 32, "resize": 30}', "expected 1 <= crop <= resize, got 32 and 30"),
        ('{"crop": 32, "interpolation": "lanczos"}', "expected 'bilinear' or 'bicubic', got 'lanczos'"),
        ('{"crop": 32, "labels": ["a"]}', "has 5 classes, but names 1"),
        ('{"crop": 32, "labels": "a"}', "cannot understand labels"),
        ('{"crop": 32, "mean": [0.5], "std": [0.5]}', "fails on 1 of 32 x 32 pixels"),
    ],
)
def test_what_the_file_beside_says_must_make_sense(said: str, message: str, tmp_path: Path) -> None:
    path = program(tmp_path / "net.pt", small())
    (tmp_path / "net.json").write_text(said)
    one_line(f"file:{path}", message)


@pytest.mark.parametrize("name", ["net.pt", "net.pt2"])
def test_other_files_are_no_programs(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    one_line(f"file:{path}", "no such file")
    path.write_bytes(b"no program")
    one_line(f"file:{path}", "is damaged, or no file of (TorchScript|torch.export)")
    torch.save(small().state_dict(), path)
    one_line(f"file:{path}", "is damaged, or no file of")
    one_line(f"file:{path}", "comes with its own", path)
    assert capfd.readouterr() == ("", "")


def test_programs_that_do_not_classify_are_refused(tmp_path: Path) -> None:
    path = program(tmp_path / "net.pt", nn.Conv2d(3, 2, 1))
    (tmp_path / "net.json").write_text('{"crop": 32}')
    one_line(f"file:{path}", r"must return logits of shape \(images, classes\), got \(1, 2, 32, 32\)")


# Functions.


def test_functions_return_classifiers_modules_and_callables(package: str) -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = load_classifier(f"python:{package}.nets:whole")
    assert (whole.crop, whole.resize, whole.labels) == (8, 9, ("r", "g", "b"))
    torch.testing.assert_close(whole(images), ((images - whole.mean) / whole.std).mean((2, 3)))
    told = load_classifier(f"python:{package}.nets:told")
    assert (told.crop, told.resize, told.labels) == (16, 18, ("r", "g", "b"))
    assert told(torch.full((1, 3, 20, 30), 0.25)).tolist() == [pytest.approx([0.25] * 3)]
    plain = load_classifier(f"python:{package}.nets:module")
    assert (plain.crop, plain.labels) == (224, ("class 0", "class 1", "class 2"))
    function = load_classifier(f"python:{package}.nets:function")
    large = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    expected = ((large - function.mean) / function.std).amax((2, 3))
    torch.testing.assert_close(function(large), expected)
    torch.testing.assert_close(prepare(function, "float32", large[:1])(large), expected)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("{0}.nets", "expected python:package.module:function"),
        (":whole", "expected python:package.module:function"),
        ("{0}.nets:a.b", "expected python:package.module:function"),
        ("{0}.none:whole", r"cannot import .*none \(ModuleNotFoundError: .*is it on PYTHONPATH"),
        ("{0}.wrong:whole", r"cannot import .*wrong \(SyntaxError: "),
        ("{0}.needy:whole", r"cannot import .*needy \(ModuleNotFoundError: .*no_such_package_at_all"),
        ("{0}.nets:none", "has no function 'none'"),
        ("{0}.nets:number", "has no function 'number'"),
        ("{0}.nets:broken", r"broken\(\) fails \(KeyError: "),
        ("{0}.nets:takes", r"takes\(\) fails \(TypeError: "),
        ("{0}.nets:nothing", "must return a module or a callable, got NoneType"),
        ("{0}.nets:shape", r"must return logits of shape \(images, classes\), got \(1, 3, 224, 224\)"),
    ],
)
def test_functions_that_fail_are_refused(place: str, message: str, package: str, tmp_path: Path) -> None:
    one_line(f"python:{place.format(package)}", message)
    one_line(f"python:{place.format(package)}", "weights: expected none", tmp_path)
