"""The training command: a minute configuration runs to its end, learns, and leaves weights that load."""

import pickle
import re
import shutil
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from hashlib import sha256
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from infill.realism.similarity import Perceptual
from models.classifiers import scenes as scene_classifier
from models.inpainters import small
from models.scenes import draw
from studio.training import inpainter
from studio.training.adversary import critic_loss, fooling_loss, perceptual
from studio.training.classifier import _batch, train_classifier
from studio.training.data import scene_arrays
from studio.training.holes import random_hole
from studio.training.inpainter import train_inpainter
from studio.training.photographs import photographs
from studio.training.samples import Samples
from studio.training.steps import Recipe, Training, _average


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A tenth of a second goes by whenever it is looked at, however long the machine takes."""
    ticks = count()
    monkeypatch.setattr(inpainter, "time", SimpleNamespace(perf_counter=lambda: next(ticks) / 10))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    scene_arrays(folder, 12)
    return folder


@pytest.fixture
def photos(tmp_path):
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (300, 340, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return folder


def test_scene_arrays_hold_what_was_drawn_and_are_drawn_once(data):
    from models.scenes import draw
    from studio.training.data import TRAINING_SEED

    before = [path.stat().st_mtime_ns for path in data.iterdir()]
    arrays = scene_arrays(data, 12)
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
        data, 12, epochs=3, batch=8, seed=0, device="cpu", log=lines.append, out=tmp_path / "c.safetensors"
    )
    assert torch.equal(before, torch.get_rng_state())
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert losses[-1] < losses[0]
    assert scene_classifier.load(tmp_path / "c.safetensors").head.out_features == 12


def test_an_emptied_scene_is_of_all_classes_alike(data):
    arrays, rows = scene_arrays(data, 12), np.arange(48) % 12
    empty = torch.rand(48, generator=torch.Generator().manual_seed(0)) < 1 / 8  # the first that is drawn
    _, targets = _batch(arrays, rows, torch.Generator().manual_seed(0))
    assert 0 < empty.sum() < 24
    assert torch.equal(targets[empty], torch.full((int(empty.sum()), 12), 1 / 12))
    for target, row in zip(targets[~empty], rows[~empty], strict=True):
        assert target.nonzero()[:, 0].tolist() == sorted(set(arrays.labels[row].tolist()) - {-1})
    torch.testing.assert_close(targets.sum(1), torch.ones(48))


RECIPE = Recipe(minutes=0.01, side=64, batch=2, perceptual=0.0, adversarial=0.0)


def train(data, photos, run, recipe=RECIPE, **options):
    lines = []
    train_inpainter(
        data, 12, photos, recipe, "cpu", run, lines.append, out=run / "i.safetensors", workers=0, **options
    )
    return lines


def test_inpainter_trains_loads_and_leaves_a_log_and_a_sheet(data, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("studio.training.inpainter.REPORTED_EVERY", 1)
    before = torch.get_rng_state()
    lines = train(data, photos, tmp_path / "run")
    assert torch.equal(before, torch.get_rng_state())
    small.load(tmp_path / "run" / "i.safetensors")
    rows = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert rows[0].startswith("step,seconds,l1")
    assert len(rows) == 1 + len(lines) > 1
    with Image.open(tmp_path / "run" / "last.png") as sheet:
        assert sheet.width > 12 * 64


def test_training_goes_on_where_it_was(data, photos, tmp_path):
    with pytest.raises(ValueError, match="nothing to resume"):
        train(data, photos, tmp_path / "none", resume=True)
    train(data, photos, tmp_path)
    first = torch.load(tmp_path / "state.pt", weights_only=True)
    train(data, photos, tmp_path, replace(RECIPE, minutes=0.02), resume=True)
    second = torch.load(tmp_path / "state.pt", weights_only=True)
    assert second["step"] > first["step"] > 0
    assert 1.2 <= second["seconds"] < 1.5  # the time of both together
    train(data, photos, tmp_path, replace(RECIPE, minutes=0.02), resume=True)  # nothing is left to do
    third = torch.load(tmp_path / "state.pt", weights_only=True)
    assert third["step"] == second["step"]
    for key, tensor in second["average"].items():
        assert torch.equal(tensor, third["average"][key])
    weights = tmp_path / "i.safetensors"
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for options, message in (
        ({"resume": True, "start": weights}, "start must be left out where a training goes on"),
        ({}, "run must be a folder without a training"),
        (
            {"resume": True, "recipe": replace(RECIPE, lr=1.0, seed=9)},
            "lr 0.0006 there, 1.0 now; seed 0 there, 9",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            train(data, photos, tmp_path, **options)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_training_that_goes_on_draws_other_shifts(tmp_path):
    training = Training(RECIPE, "cpu", None)
    first = torch.randint(0, 2**31, (), generator=training.chance)
    training.step = 7
    training.keep(tmp_path / "state.pt")
    again = Training(RECIPE, "cpu", None)
    again.resume(tmp_path / "state.pt")
    assert again.step == 7
    assert torch.randint(0, 2**31, (), generator=again.chance) != first


def test_the_rate_warms_up_and_falls_as_a_cosine():
    training, found = Training(replace(RECIPE, minutes=1.0), "cpu", None), []
    for step, seconds in ((0, 0.0), (99, 0.0), (199, 0.0), (999, 30.0), (999, 60.0), (999, 90.0)):
        training.step, training.seconds = step, seconds
        found.append(training.rate() / RECIPE.lr)
    assert found == pytest.approx([1 / 200, 1 / 2, 1, 1 / 2, 0, 0])


def test_the_average_follows_slowly():
    slow, fast = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    expected = {name: 0.9 * each + 0.1 * fast.state_dict()[name] for name, each in slow.state_dict().items()}
    _average(slow, fast, 0.9)
    for name, each in slow.state_dict().items():
        torch.testing.assert_close(each, expected[name])


def test_a_training_goes_on_with_its_own_data(data, photos, tmp_path):
    run = tmp_path / "run"
    train(data, photos, run)
    other = tmp_path / "other"
    other.mkdir()
    for path in photos.glob("*.png"):
        (other / path.name).write_bytes(path.read_bytes())
    train(data, other, run, resume=True)  # the same elsewhere
    (other / "2.png").unlink()
    for photographs_now, told in (
        (other, r"photos 3 \(\w+\) there, 2 \(\w+\) now"),
        (None, "there, none now"),
    ):
        with pytest.raises(ValueError, match=told):
            train(data, photographs_now, run, resume=True)
    with pytest.raises(ValueError, match="scenes 12 there, 11 now"):
        train_inpainter(
            data, 11, photos, RECIPE, "cpu", run, print, resume=True, out=run / "i.safetensors", workers=0
        )
    state = torch.load(run / "state.pt", weights_only=True)
    for name in ("scenes", "photos"):
        del state["recipe"][name]
    torch.save(state, run / "state.pt")
    train(data, None, run, resume=True)  # of before they were kept


def test_a_log_without_a_state_is_not_gone_on_with(data, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("studio.training.inpainter.REPORTED_EVERY", 1)
    (tmp_path / "log.csv").write_text("step,seconds,l1,lpips,critic,fooling\n900,9.9,0,0,0,0\n")
    train(data, photos, tmp_path)
    assert "900,9.9" not in (tmp_path / "log.csv").read_text()


def test_an_inpainter_that_diverges_leaves_what_was_there(data, photos, tmp_path, monkeypatch):
    train(data, photos, tmp_path)
    kept = {name: (tmp_path / name).read_bytes() for name in ("state.pt", "i.safetensors")}
    plain = small.SmallInpainter.proposal
    monkeypatch.setattr(small.SmallInpainter, "proposal", lambda *given: plain(*given) * torch.nan)
    with pytest.raises(ValueError, match=r"lr must be so low that .* \(step \d+: loss nan\), got 0\.0006"):
        train(data, photos, tmp_path, replace(RECIPE, minutes=60.0), resume=True)
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept


def test_a_classifier_that_diverges_leaves_what_was_there(data, tmp_path, monkeypatch):
    out = tmp_path / "c.safetensors"
    out.write_bytes(b"good")
    plain = scene_classifier.SceneClassifier.forward
    monkeypatch.setattr(scene_classifier.SceneClassifier, "forward", lambda *given: plain(*given) * torch.nan)
    with pytest.raises(ValueError, match=r"loss must be finite; this training has diverged, got nan"):
        train_classifier(data, 12, 1, 8, 0, "cpu", print, out=out)
    assert out.read_bytes() == b"good"


def test_the_critics_backbone_is_not_fetched_where_that_is_forbidden(tmp_path, monkeypatch):
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def asked(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("studio.training.adversary.Perceptual", asked)
    with pytest.raises(ValueError, match=r"INFILL_OFFLINE.*`--perceptual 0 --adversarial 0` trains without"):
        perceptual()


def test_what_was_logged_after_the_last_state_comes_once(data, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("studio.training.inpainter.REPORTED_EVERY", 1)
    train(data, photos, tmp_path)
    log = tmp_path / "log.csv"
    rows = log.read_text().splitlines()
    last = int(rows[-1].partition(",")[0])
    log.write_text("\n".join([*rows, f"{last + 1},9.9,0,0,0,0", f"{last + 2},9.9,0,0,0,0"]) + "\n")
    train(data, photos, tmp_path, replace(RECIPE, minutes=0.02), resume=True)
    steps = [int(row.partition(",")[0]) for row in log.read_text().splitlines()[1:]]
    assert steps == sorted(set(steps))
    assert steps[-1] > last


def test_scenes_that_were_drawn_otherwise_are_drawn_again(data, tmp_path, monkeypatch):
    scene_arrays(tmp_path, 2, workers=1)
    (one,) = tmp_path.glob("*.npy")
    plain = draw(0, 1)
    monkeypatch.setattr("studio.training.data.draw", lambda *_: replace(plain, image=1 - plain.image))
    scene_arrays(tmp_path, 2, workers=1)
    assert len(list(tmp_path.glob("*.npy"))) == 2
    assert one.exists()


def overfitted(recipe, perceptual, steps, monkeypatch):
    """The figures of many steps on one batch."""
    monkeypatch.setattr("studio.training.steps.perceptual", lambda: perceptual)
    training = Training(recipe, "cpu", None)
    rng = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (2, 64, 64, 3), generator=rng, dtype=torch.uint8)
    hole = torch.zeros(2, 64, 64, dtype=torch.bool)
    hole[:, 20:44, 20:44] = True
    return np.array([training.advance([picture, picture, hole]) for _ in range(steps)]), training


@pytest.mark.slow
def test_every_loss_moves_what_it_should(monkeypatch):
    perceptual = untrained_perceptual()
    recipe = replace(RECIPE, minutes=60.0, lr=2e-3, perceptual=1.0)
    figures, _ = overfitted(recipe, perceptual, 40, monkeypatch)
    assert figures[-5:, 1].mean() < 0.9 * figures[:5, 1].mean()  # LPIPS falls where it counts
    figures, training = overfitted(
        replace(recipe, perceptual=0.0, adversarial=0.1), perceptual, 40, monkeypatch
    )
    assert figures[-5:, 2].mean() < 1.9  # the critic tells noise from a smooth surface (2: it does not)
    assert all(p.requires_grad for p in training.critic.parameters())
    assert not any(p.requires_grad for p in perceptual.parameters())


def untrained_perceptual():
    """LPIPS with a random backbone: no download."""
    import lpips

    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # lpips asks torchvision in an old way
        torch.default_generator.manual_seed(0)
        made = Perceptual.__new__(Perceptual)
        torch.nn.Module.__init__(made)
        made.network = lpips.LPIPS(net="squeeze", pnet_rand=True, pretrained=True, verbose=False)
    made.requires_grad_(False).eval()
    return made


def test_the_distance_is_that_of_lpips():
    perceptual = untrained_perceptual()
    a, b = torch.rand(2, 3, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    ours = perceptual.distance(perceptual.features(a), perceptual.features(b))
    theirs = perceptual.network(a, b, normalize=True).flatten()
    assert theirs.min() > 0.01
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_the_critic_counts_only_what_is_under_the_hole():
    rng = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, 1, side, side, generator=rng) for side in (16, 8, 4)]
    hole = torch.zeros(2, 1, 64, 64)
    hole[..., :32] = 1
    changed = [
        torch.cat([one[..., : one.shape[-1] // 2], one[..., one.shape[-1] // 2 :] + 9], -1) for one in maps
    ]
    assert torch.equal(fooling_loss(maps, hole), fooling_loss(changed, hole))
    assert torch.equal(critic_loss(maps, maps, hole), critic_loss(changed, changed, hole))
    assert fooling_loss(maps, 1 - hole) != fooling_loss(changed, 1 - hole)
    sure = [torch.full_like(one, 2.0) for one in maps]
    assert critic_loss(sure, [-one for one in sure], hole) == 0
    assert critic_loss([-one for one in sure], sure, hole) == 6
    assert fooling_loss(sure, hole) == -2


def test_samples_remove_objects_towards_the_true_background(data, photos):
    arrays = scene_arrays(data, 12)
    samples = Samples(data, 12, None, side=224, seed=0)
    removed = 0
    rng = np.random.default_rng(0)
    for _ in range(60):
        picture, truth, hole = samples._scene(rng)
        assert picture.shape == truth.shape == (*hole.shape, 3)
        row = next(i for i in range(12) if (arrays.images[i] == picture).all())
        objects = arrays.silhouettes[row]
        for number in set(np.unique(objects)) - {0}:
            if hole[objects == number].all():
                removed += 1
                inside = objects == number
                assert (truth[inside] == arrays.backgrounds[row][inside]).all()
    assert removed > 10


def test_beside_a_removed_object_the_other_stays(data, monkeypatch):
    """Also where the hole cuts into it."""
    samples = Samples(data, 12, None, side=224, seed=0)
    row = next(row for row in range(12) if (samples.arrays.silhouettes[row] == 2).any())
    names = ("images", "backgrounds", "silhouettes", "labels")
    samples.arrays = replace(
        samples.arrays, **{name: getattr(samples.arrays, name)[row : row + 1] for name in names}
    )
    first, second = (samples.arrays.silhouettes[0] == number for number in (1, 2))
    hole = first | second & (np.arange(224) < np.nonzero(second)[1].mean())
    assert 0.2 < hole[second].mean() < 0.8
    monkeypatch.setattr("studio.training.samples.random_hole", lambda *_: hole)
    rng = np.random.default_rng(0)
    picture, truth, _ = next(each for each in (samples._scene(rng) for _ in range(20)) if each[2] is hole)
    assert (truth[first] == samples.arrays.backgrounds[0][first]).all()
    assert (truth[second] == picture[second]).all()


def test_holes_of_every_family_are_neither_empty_nor_everything():
    rng = np.random.default_rng(0)
    silhouettes = np.zeros((224, 224), dtype=np.uint8)
    silhouettes[60:120, 50:130] = 1
    picture = rng.integers(0, 256, (160, 160, 3), dtype=np.uint8)
    shares = [random_hole(rng, picture, silhouettes).mean() for _ in range(200)]
    assert 0 < min(shares) < 0.05
    assert 0.4 < max(shares) < 0.9


def test_photographs_are_reduced_and_missing_ones_named(photos, tmp_path):
    found = photographs(photos, tmp_path / "kept")
    assert {min(photo.shape[:2]) for photo in found} == {288}
    assert (len(found), found.wrong) == (3, {})
    first = Image.open(photos / "0.png").resize((326, 288), Image.Resampling.LANCZOS)
    assert np.array_equal(found[0], np.asarray(first))
    with pytest.raises(IndexError):
        found[3]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="found none"):
        photographs(tmp_path / "empty", tmp_path / "kept")
    (tmp_path / "empty" / "a.jpg").write_text("no picture")
    with pytest.raises(ValueError, match=r"pictures that can be read; image: .*a\.jpg is not an image"):
        photographs(tmp_path / "empty", tmp_path / "kept")


def test_photographs_are_read_once_and_again_when_one_changes(photos, tmp_path, monkeypatch):
    from studio.training import photographs as module

    kept, read = tmp_path / "kept", []
    plain = module.read_picture
    monkeypatch.setattr(module, "read_picture", lambda path: (read.append(path.name), plain(path))[1])
    first = photographs(photos, kept)
    assert np.array_equal(photographs(photos, kept)[1], first[1])
    assert read == ["0.png", "1.png", "2.png"]
    sent = pickle.dumps(first)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent)[2], first[2])
    Image.new("RGB", (300, 300), (1, 2, 3)).save(photos / "1.png")
    assert photographs(photos, kept)[1][0, 0].tolist() == [1, 2, 3]
    assert len(read) == 6


def test_what_was_kept_of_a_folder_before_it_changed_goes(photos, tmp_path):
    kept, other = tmp_path / "kept", tmp_path / "other"
    kept.mkdir()
    shutil.copytree(photos, other)
    for folder in (photos, other):
        photographs(folder, kept)
    Image.new("RGB", (300, 300)).save(photos / "more.png")
    assert len(photographs(photos, kept)) == 4
    assert len(list(kept.glob("*.bin"))) == len(list(kept.glob("*.json"))) == 2
    assert len(photographs(other, kept)) == 3


@pytest.mark.parametrize("damage", ["missing", "cut", "index"])
def test_kept_photographs_that_are_damaged_are_made_again(photos, tmp_path, damage):
    first = np.array(photographs(photos, tmp_path / "kept")[1])
    (pixels,) = (tmp_path / "kept").glob("*.bin")
    if damage == "missing":
        pixels.unlink()
    elif damage == "cut":
        pixels.write_bytes(pixels.read_bytes()[:1000])
    else:
        pixels.with_suffix(".json").write_text("{")
    found = photographs(photos, tmp_path / "kept")
    assert len(found) == 3
    assert np.array_equal(found[1], first)


def test_what_can_be_read_again_is_not_left_out_for_ever(photos, tmp_path, monkeypatch):
    from studio.training import photographs as module

    plain = module.read_picture

    def unmounted(path):
        if path.name == "1.png":
            raise ValueError("image: 1.png cannot be read")
        return plain(path)

    monkeypatch.setattr(module, "read_picture", unmounted)
    assert photographs(photos, tmp_path / "kept").wrong == {"1.png": "image: 1.png cannot be read"}
    monkeypatch.undo()
    found = photographs(photos, tmp_path / "kept")
    assert (len(found), found.wrong) == (3, {})


def test_a_reading_that_was_broken_off_begins_anew(photos, tmp_path, monkeypatch):
    from studio.training import photographs as module

    plain = module.read_picture

    def broken(path):
        if path.name == "1.png":
            raise KeyboardInterrupt
        return plain(path)

    monkeypatch.setattr(module, "read_picture", broken)
    with pytest.raises(KeyboardInterrupt):
        photographs(photos, tmp_path / "kept")
    monkeypatch.undo()
    assert len(photographs(photos, tmp_path / "kept")) == 3
    assert len(list((tmp_path / "kept").glob("*.bin"))) == 1


def test_photographs_are_read_as_everywhere_and_bad_ones_are_told(data, photos, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    tag = Image.Exif()
    tag[0x0112] = 6
    Image.new("RGB", (90, 80), (9, 9, 9)).save(folder / "a.jpg", exif=tag)
    (folder / "b.jpg").write_bytes((folder / "a.jpg").read_bytes()[:300])
    (folder / "._c.jpg").write_bytes(b"a Mac's")
    Image.fromarray(np.full((80, 90), 30000, np.uint16)).save(folder / "d.png")
    found = photographs(folder, tmp_path / "kept")
    wrong = list(found.wrong.values())
    assert [photo.shape for photo in found] == [(90, 80, 3), (80, 90, 3)]  # the first is turned upright
    assert int(found[1][0, 0, 0]) == round(255 * 30000 / 65535)
    assert len(wrong) == 1
    assert "b.jpg is damaged" in wrong[0]
    lines = train(data, folder, tmp_path / "run")
    assert [line for line in lines if line.startswith("left out: image: ")] == [f"left out: {wrong[0]}"]


def test_the_command_trains(data, tmp_path):
    from click.testing import CliRunner

    from studio.cli.main import infill

    out = tmp_path / "c.safetensors"
    asked = ["train", "--data", str(data), "--scenes", "12", "--device", "cpu", "--out", str(out)]
    ran = CliRunner().invoke(infill, [*asked, "classifier", "--epochs", "1", "--batch", "8"])
    assert ran.exit_code == 0, ran.output
    assert "loss" in ran.output
    scene_classifier.load(out)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ({"minutes": -1.0}, "minutes must be positive, got -1"),
        ({"side": 0}, "side must be at least 32, got 0"),
        ({"side": 232}, "side must be at most 224, got 232"),
        ({"side": 100}, "side must be a multiple of 8, got 100"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0"),
        ({"perceptual": -1.0}, "perceptual must be at least 0, got -1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_recipes_are_checked(number, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**number)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ({"scenes": 0}, "scenes must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch": 13}, "batch must be from 1 to the number of scenes 12, got 13"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_the_classifiers_numbers_are_checked(data, tmp_path, number, message):
    numbers = {"scenes": 12, "epochs": 1, "batch": 8, "seed": 0, **number}
    with pytest.raises(ValueError, match=message):
        train_classifier(data, device="cpu", log=print, out=tmp_path / "c.safetensors", **numbers)


def test_where_weights_go_is_looked_at_before_training(data, photos, tmp_path):
    lines = []
    with pytest.raises(IsADirectoryError, match="is a folder, expected the name of a file"):
        train_classifier(data, 12, 1, 8, 0, "cpu", lines.append, out=tmp_path)
    with pytest.raises(IsADirectoryError):
        train_inpainter(data, 12, photos, RECIPE, "cpu", tmp_path / "run", lines.append, out=tmp_path)
    for name in ("c", "c.pth"):
        with pytest.raises(ValueError, match=r"--out: expected a name that ends in \.safetensors"):
            train_classifier(data, 12, 1, 8, 0, "cpu", lines.append, out=tmp_path / name)
        with pytest.raises(ValueError, match="--out: "):
            train_inpainter(
                data, 12, photos, RECIPE, "cpu", tmp_path / "run", lines.append, out=tmp_path / name
            )
    assert not lines
    out = tmp_path / "not" / "there yet" / "c.safetensors"
    train_classifier(data, 12, 1, 8, 0, "cpu", lines.append, out=out)
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("content", [b"", b"no state", None], ids=["empty", "text", "other"])
def test_a_state_that_is_none_is_refused(data, photos, tmp_path, content):
    if content is None:
        torch.save({"a": 1}, tmp_path / "state.pt")
    else:
        (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"state\.pt is damaged, or no state of this training .* move it away"
    ):
        train(data, photos, tmp_path, resume=True)
    (tmp_path / "state.pt").unlink()
    train(data, photos, tmp_path)  # as the message says
    assert (tmp_path / "state.pt").exists()


def test_a_training_that_cannot_begin_leaves_no_folder(data, photos, tmp_path):
    with pytest.raises(ValueError, match="nothing to resume"):
        train(data, photos, tmp_path / "new" / "run", resume=True)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="a folder with pictures"):
        train(tmp_path / "undrawn", tmp_path / "none", tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "undrawn").exists(), "nothing was drawn in vain"


def test_a_process_that_dies_while_it_draws_is_told(tmp_path, monkeypatch):
    class Broken(ProcessPoolExecutor):
        def map(self, *_):
            raise BrokenProcessPool

    monkeypatch.setattr("studio.training.data.ProcessPoolExecutor", Broken)
    with pytest.raises(OSError, match=r"a process that draws scenes for .* died"):
        scene_arrays(tmp_path, 2)
    assert not list(tmp_path.glob("*.npy")), "nothing is left half drawn"


def test_damaged_scenes_are_named(tmp_path):
    path = scene_arrays(tmp_path, 2).path
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=rf"{path.name} is damaged .*; remove it, and it is drawn again"):
        scene_arrays(tmp_path, 2)


def test_drawing_tells_how_far_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("studio.progress.EVERY", 0.0)
    scene_arrays(tmp_path, 3)
    assert re.search(r"100 %  drawing scenes for .*npy: 00:00 left", capsys.readouterr().err)


def test_photographs_that_are_smaller_than_a_crop_are_told(data, photos, tmp_path):
    Image.new("RGB", (300, 60)).save(photos / "flat.png")
    samples = Samples(data, 12, photos, side=64, seed=0)
    assert (len(samples.large), samples.left_out) == (3, 1)
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (300, 60)).save(tmp_path / "flat" / "flat.png")
    with pytest.raises(ValueError, match=r"short side has at least 64 px, got 'at most 60 px in .*flat'"):
        Samples(data, 12, tmp_path / "flat", side=64, seed=0)
    assert "1 photographs are smaller than a crop of 64 px, and left out" in train(
        data, photos, tmp_path / "run", replace(RECIPE, minutes=0.001)
    )


def test_scenes_are_drawn_once_by_two_trainings_at_once(tmp_path, monkeypatch):
    """The second one begins while the first one draws; a third that was killed has left its draft."""
    from studio.training import data as drawing

    others, pools = [], []

    class Inline:
        def __init__(self, workers, context):
            pools.append(workers)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def map(self, fill, jobs):
            for job in jobs:
                fill(job)
                if not others:
                    others.append(pool.submit(scene_arrays, tmp_path, 70))
                yield

    monkeypatch.setattr(drawing, "ProcessPoolExecutor", Inline)
    name = sha256(draw(0, 1).image.numpy().tobytes()).hexdigest()[:8]
    (tmp_path / f"scenes-1-70-{name}.part.npy").write_bytes(b"left")
    with ThreadPoolExecutor(1) as pool:
        arrays = scene_arrays(tmp_path, 70)
        assert np.array_equal(others[0].result(60).images, arrays.images)
    assert arrays.images.reshape(70, -1).any(1).all()
    assert len(pools) == 1
    left = {f"scenes-1-70-{name}.npy", f"scenes-1-70-{name}.lock"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_other_processes_open_the_scenes_themselves(data):
    arrays = scene_arrays(data, 12)
    sent = pickle.dumps(arrays)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent).backgrounds, arrays.backgrounds)
