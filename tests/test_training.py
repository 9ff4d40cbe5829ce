"""The training command: a minute configuration runs to its end, learns, and leaves weights that load."""

import numpy as np
import pytest
import torch
from PIL import Image

from models import scene_classifier
from models.inpainters import small
from models.training.classifier import train_classifier
from models.training.data import photographs, scene_arrays
from models.training.holes import random_hole
from models.training.inpainter import Samples, train_inpainter


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    scene_arrays(folder, 24)
    return folder


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (300, 340, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    return tmp_path


def test_scene_arrays_hold_what_was_drawn_and_are_drawn_once(data):
    from models.scenes import draw
    from models.training.data import TRAINING_SEED

    before = [path.stat().st_mtime_ns for path in data.iterdir()]
    arrays = scene_arrays(data, 24)
    assert [path.stat().st_mtime_ns for path in data.iterdir()] == before
    scene = draw(5, TRAINING_SEED)
    assert (arrays.images[5] == (scene.image * 255).round().byte().permute(1, 2, 0).numpy()).all()
    assert (arrays.backgrounds[5] == (scene.background * 255).round().byte().permute(1, 2, 0).numpy()).all()
    assert ((arrays.silhouettes[5] > 0) == scene.silhouettes.any(0).numpy()).all()
    assert tuple(label for label in arrays.labels[5] if label >= 0) == scene.labels


def test_classifier_trains_and_loads(data, tmp_path):
    lines = []
    before = torch.get_rng_state()
    train_classifier(
        data, 24, epochs=3, batch=8, seed=0, device="cpu", log=lines.append, out=tmp_path / "c.safetensors"
    )
    assert torch.equal(before, torch.get_rng_state())
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert losses[-1] < losses[0]
    assert scene_classifier.load(tmp_path / "c.safetensors").head.out_features == 12


def test_inpainter_trains_and_loads(data, photos, tmp_path):
    out = tmp_path / "i.safetensors"
    train_inpainter(
        data, 24, photos, minutes=0.05, side=64, batch=2, seed=0, device="cpu", perceptual=0.0, start=None,
        log=lambda _: None, out=out,
    )  # fmt: skip
    small.load(out)


def test_samples_remove_objects_towards_the_true_background(data, photos):
    arrays = scene_arrays(data, 24)
    samples = Samples(data, 24, None, side=224, seed=0)
    removed = 0
    rng = np.random.default_rng(0)
    for _ in range(60):
        picture, truth, hole = samples._scene(rng)
        assert picture.shape == truth.shape == (*hole.shape, 3)
        row = next(i for i in range(24) if (arrays.images[i] == picture).all())
        objects = arrays.silhouettes[row]
        for number in set(np.unique(objects)) - {0}:
            if hole[objects == number].all():
                removed += 1
                inside = objects == number
                assert (truth[inside] == arrays.backgrounds[row][inside]).all()
    assert removed > 10


def test_holes_of_every_family_are_neither_empty_nor_everything():
    rng = np.random.default_rng(0)
    silhouettes = np.zeros((224, 224), dtype=np.uint8)
    silhouettes[60:120, 50:130] = 1
    shares = [random_hole(rng, 160, silhouettes).mean() for _ in range(200)]
    assert 0 < min(shares) < 0.05
    assert 0.4 < max(shares) < 0.9


def test_photographs_are_reduced_and_missing_ones_named(photos, tmp_path):
    assert {min(photo.shape[:2]) for photo in photographs(photos)} == {288}
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="found none"):
        photographs(tmp_path / "empty")


def test_the_command_trains(data, tmp_path):
    from click.testing import CliRunner

    from studio.cli import infill

    out = tmp_path / "c.safetensors"
    asked = ["train", "--data", str(data), "--scenes", "24", "--device", "cpu", "--out", str(out)]
    ran = CliRunner().invoke(infill, [*asked, "classifier", "--epochs", "1", "--batch", "8"])
    assert ran.exit_code == 0, ran.output
    assert "loss" in ran.output
    scene_classifier.load(out)
