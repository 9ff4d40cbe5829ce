"""The images that are filled in, and what is said of those that are not here."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from studio.blanks.data import opened


def test_the_digits_are_scikit_learns_enlarged_into_the_frame_of_mnist() -> None:
    data = opened("digits", None, 0)
    assert data.training is not None
    images, targets = data.training
    assert len(images) + len(data.images) == len(load_digits().target)
    assert data.images.shape[1:] == (1, 28, 28)
    assert float(data.images.max()) == 1
    inner = data.images[:, :, 4:24, 4:24]
    assert int((inner > 0).sum()) == int((data.images > 0).sum())
    assert data.targets[:20].tolist() == [*range(10), *range(10)], "the classes take turns"
    learned = {one.numpy().tobytes() for one in images}
    assert sum((one * 255).round().byte().numpy().tobytes() in learned for one in data.images) < 3
    shares = torch.bincount(targets).float() / len(targets)
    torch.testing.assert_close(
        shares, torch.bincount(data.targets).float() / len(data.targets), rtol=0, atol=0.01
    )


def test_a_seed_draws_other_digits_and_the_same_again() -> None:
    one, same, other = (opened("digits", 30, seed) for seed in (0, 0, 1))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert torch.equal(opened("digits", None, 0).images[:30], one.images)


def mnist(folder: Path, kind: str = "MNIST") -> Path:
    """Write a few images as torchvision keeps them."""
    raw = folder / kind / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 20)):
        pixels = np.arange(count * 784, dtype=np.uint32).astype(np.uint8).tobytes()
        sizes = b"".join(int(size).to_bytes(4, "big") for size in (count, 28, 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + pixels)
        labels = np.arange(count, dtype=np.uint8) % 10
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\x01" + count.to_bytes(4, "big") + labels.tobytes()
        )
    return folder


@pytest.mark.parametrize(("name", "kind"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_mnist_is_read_as_torchvision_keeps_it(tmp_path: Path, name: str, kind: str) -> None:
    data = opened(f"{name}:{mnist(tmp_path, kind)}", 12, 0)
    assert data.training is not None
    assert len(data.training[0]) == 40
    assert data.images.shape == (12, 1, 28, 28)
    assert data.targets.tolist() == [*range(10), 0, 1]
    assert len(data.classes) == 10
    assert float(data.images[0, 0, 0, 1]) == pytest.approx(1 / 255)


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x0f\x03" + bytes(20), b"<html>", None])
@pytest.mark.parametrize("download", [False, True])
def test_damaged_files_are_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, download: bool
) -> None:
    monkeypatch.delenv("INFILL_OFFLINE", raising=False)
    raw = mnist(tmp_path, "MNIST") / "MNIST" / "raw"
    file = raw / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    with pytest.raises(ValueError, match=f"^DATA: mnist in {re.escape(str(raw))} is damaged .*; delete that"):
        opened(f"mnist:{tmp_path}", None, 0, download)


def test_what_is_not_here_is_told_and_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*_: object, **__: object) -> None:
        raise AssertionError("nobody asked for a download")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", fetch)
    place = re.escape(str(tmp_path / "MNIST" / "raw"))
    with pytest.raises(ValueError, match=f"^DATA: no mnist in {place}; mnist:FOLDER says where .*--download"):
        opened(f"mnist:{tmp_path}", None, 0)
    asked: list[object] = []
    monkeypatch.delenv("INFILL_OFFLINE", raising=False)
    monkeypatch.setattr(
        "torchvision.datasets.mnist.download_and_extract_archive", lambda *_, **given: asked.append(given)
    )
    with pytest.raises(ValueError, match=r"^--download: mnist could not be fetched to .*: Dataset not found"):
        opened(f"mnist:{tmp_path}", None, 0, download=True)
    assert asked
    asked.clear()
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    with pytest.raises(ValueError, match=f"^DATA: no mnist in {place}.*INFILL_OFFLINE forbids to fetch it"):
        opened(f"mnist:{tmp_path}", None, 0, download=True)
    assert not asked


@pytest.mark.parametrize(
    ("text", "limit", "message"),
    [
        ("letters", None, "DATA: expected one of digits, mnist[:FOLDER], fashion-mnist[:FOLDER], scenes[:N]"),
        ("digits:here", None, "DATA: digits come with scikit-learn and take no place, got 'here'"),
        ("scenes:none", None, "DATA: expected scenes:N with N from 1 to 999999, got scenes:none"),
        ("digits", 0, "--limit: expected 1 or more, got 0"),
    ],
)
def test_what_is_no_data_is_refused(text: str, limit: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        opened(text, limit, 0)


def test_scenes_are_drawn_as_they_are_everywhere() -> None:
    data = opened("scenes:3", 2, 0)
    assert data.images.shape == (2, 3, 224, 224)
    assert (data.training, data.title) == (None, "scenes:3")
