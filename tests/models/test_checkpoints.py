"""The networks that ship with the package do what their model cards say."""

import pytest
import torch
from torch.nn.functional import max_pool2d

from benchmarks.holes import photographs, squares, superpixels
from infill import Biharmonic, Blur, Gray, Learned, Telea, composite
from infill.realism.similarity import Perceptual
from models.classifiers import scenes as scene_classifier
from models.classifiers.scenes import PREPROCESSING
from models.inpainters import small
from models.scenes import CLASSES, draw
from models.weights.checkpoint import read_checkpoint, save_safetensors

FRESH = 3
"""A world that no network was trained in."""


@pytest.fixture(scope="module")
def scenes():
    return [draw(index, FRESH) for index in range(50)]


@pytest.fixture(scope="module")
def probabilities():
    network = scene_classifier.load()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (PREPROCESSING.mean, PREPROCESSING.std))

    @torch.inference_mode()
    def classify(images):
        return network((torch.stack(images) - mean) / std).softmax(1)

    return classify


def test_classifier_names_the_objects_of_fresh_scenes(scenes, probabilities):
    top = probabilities([scene.image for scene in scenes]).argmax(1).tolist()
    right = sum(guess in scene.labels for guess, scene in zip(top, scenes, strict=True))
    assert right / len(scenes) >= 0.97


def test_classifier_is_near_chance_without_an_object(scenes, probabilities):
    top = probabilities([scene.background for scene in scenes]).max(1).values
    assert top.median() < 2.5 / len(CLASSES)


def test_removing_one_of_two_objects_leaves_the_other(scenes, probabilities):
    pairs = [scene for scene in scenes if len(scene.labels) == 2][:30]
    emptied = []
    for scene in pairs:
        hole = max_pool2d(scene.silhouettes[:1].float(), 31, 1, 15)
        emptied.append(torch.lerp(scene.image, scene.background, hole))
    left = probabilities(emptied)
    stays = [row[scene.labels[1]] > row[scene.labels[0]] for row, scene in zip(left, pairs, strict=True)]
    assert sum(stays) >= 0.9 * len(pairs)


def test_files_are_small_enough_to_ship():
    assert scene_classifier.FILE.stat().st_size < 4e6
    assert small.FILE.stat().st_size < 12e6
    for path in (scene_classifier.FILE, small.FILE, small.EVEN):
        assert read_checkpoint(path).metadata["arch"]
        assert path.with_suffix(".md").is_file(), "a model card"


def _error(filler, scenes):
    total = 0.0
    for scene in scenes:
        hole = max_pool2d(scene.silhouettes.any(0)[None, None].float(), 5, 1, 2)
        fill = filler(scene.image[None], hole)[0]
        total += (fill - scene.background)[:, hole[0, 0] > 0].square().mean().log10().item()
    return -10 * total / len(scenes)


def test_inpainter_is_nearer_to_the_true_background_than_gray_blur_and_telea(scenes):
    few = scenes[:12]
    ours = _error(Learned(small.load(), multiple=8), few)
    assert ours > _error(Gray(), few) + 3
    assert ours > _error(Blur(), few) + 3
    assert ours > _error(Telea(), few) + 1


def test_inpainter_does_not_look_under_the_hole_and_repeats_itself():
    network = small.load()
    image, hole = draw(0).image[None], torch.zeros(1, 1, 224, 224)
    hole[..., 40:120, 60:160] = 1
    other = torch.lerp(image, torch.rand(image.shape, generator=torch.Generator().manual_seed(0)), hole)
    with torch.inference_mode():
        assert torch.equal(network(image, hole), network(other, hole))
        assert torch.equal(network(image, hole), network(image, hole))


def test_the_noise_is_always_the_same_and_not_part_of_the_weights():
    one, other = small.SmallInpainter(), small.load()
    assert torch.equal(one.noise, other.noise)
    assert "noise" not in one.state_dict()
    assert one.noise.min() < -0.1 < 0.1 < one.noise.max()
    image = torch.rand(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(1, 1, 96, 160)
    hole[..., 20:70, 30:80] = 1
    with torch.inference_mode():
        proposals = [other.proposal(image, hole, shift, small.SOFTEN) for shift in ((0, 0), (0, 0), (5, 9))]
    assert torch.equal(*proposals[:2])
    moved = (proposals[0] - proposals[2]).abs()
    assert (moved * hole).max() > 1e-3


@pytest.mark.slow
def test_on_photographs_it_is_nearer_than_the_classical_fillers(assets, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(assets / "torch_home"))
    images = photographs(12)
    distance = Perceptual()
    ours = Learned(small.load(), value_range=(0.0, 1.0), multiple=small.MULTIPLE)
    for cases, allowed in ((squares(images, 53), 0.9), (superpixels(images), 0.9)):
        found = {"ours": 0.0, "telea": 0.0, "biharmonic": 0.0}
        for case in cases:
            for name, filler in zip(found, (ours, Telea(), Biharmonic()), strict=True):
                fill = filler(case.image[None], case.hole[None])
                whole = composite(case.image[None], case.hole[None], fill)
                with torch.inference_mode():
                    features = distance.features(whole), distance.features(case.image[None])
                    found[name] += float(distance.distance(*features))
        assert found["ours"] < allowed * min(found["telea"], found["biharmonic"])


@pytest.mark.parametrize("size", [(8, 8), (64, 120), (224, 224)])
def test_inpainter_takes_any_multiple_of_eight(size):
    with torch.inference_mode():
        fill = small.load()(torch.rand(2, 3, *size), torch.ones(2, 1, *size))
    assert fill.shape == (2, 3, *size)
    assert 0 <= fill.min() <= fill.max() <= 1


def test_inpainter_names_the_rule_for_other_sizes():
    with pytest.raises(ValueError, match="multiples of 8"):
        small.load()(torch.rand(1, 3, 30, 32), torch.ones(1, 1, 30, 32))


def test_weights_survive_a_round_trip_and_misfits_are_named(tmp_path):
    network = small.load()
    save_safetensors(tmp_path / "weights.safetensors", network, {"arch": "test"})
    again = small.load(tmp_path / "weights.safetensors")
    for one, other in zip(network.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]
    with pytest.raises(ValueError, match="does not fit the classifier of scenes: it lacks"):
        scene_classifier.load(tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="no such file"):
        small.load(tmp_path / "missing.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="damaged or no safetensors file"):
        small.load(tmp_path / "broken.safetensors")
