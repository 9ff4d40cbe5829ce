"""Weight files: which are read, and which are refused."""

from pathlib import Path

import pytest
import torch
from tiny_classifiers import Average

from models.weights.checkpoint import check_writable, load_state, read_checkpoint, save_safetensors


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.safetensors", None, "no such file"),
        ("w.safetensors", b"", "damaged or no safetensors file"),
        ("w.safetensors", b"\x10\0\0\0\0\0\0\0{}", "damaged or no safetensors file"),
        ("w.pth", b"", "damaged or no weight file"),
        ("w.pth", b"no weights at all", "is no weight file"),
    ],
)
def test_damaged_files_are_refused(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_checkpoint(tmp_path / name)


def test_a_cut_off_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.rand(100, 100)}, tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="damaged or no weight file"):
        read_checkpoint(tmp_path / "w.pth")


def test_pickled_models_are_never_unpickled(tmp_path: Path) -> None:
    torch.save(Average(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"pickled model; save its state_dict\(\) instead"):
        read_checkpoint(tmp_path / "w.pth")


def test_other_content_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "w.pth")
    with pytest.raises(ValueError, match="holds no state dict"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("keep", [1, 40, 200, 0.3, 0.6, 0.9, 0.99])
def test_a_cut_off_file_of_the_older_format_is_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "old.pth"
    torch.save({"a": torch.rand(40, 40), "b": torch.rand(3)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(ValueError, match=r"weights: .*old\.pth "):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [{1: torch.zeros(2)}, {"a": torch.zeros(2), 3: torch.zeros(2)}])
def test_names_that_are_no_texts_are_refused(tmp_path: Path, content: dict) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match="holds no state dict"):
        read_checkpoint(tmp_path / "odd.pth")


def test_a_home_is_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save({"a": torch.zeros(2)}, tmp_path / "net.pth")
    assert list(read_checkpoint(Path("~/net.pth")).state) == ["a"]


@pytest.mark.parametrize("prefix", ["module._orig_mod.", "_orig_mod.module.", "module.module.", "_orig_mod."])
def test_names_of_wrapped_networks_are_bared(prefix: str, tmp_path: Path) -> None:
    torch.save({f"{prefix}a": torch.zeros(2), f"{prefix}module.b": torch.zeros(2)}, tmp_path / "net.pth")
    assert list(read_checkpoint(tmp_path / "net.pth").state) == ["a", "module.b"]


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
@pytest.mark.parametrize(
    ("weight", "kind"),
    [
        (torch.eye(2).to_sparse(), "sparse"),
        (torch.eye(2, dtype=torch.complex64), "complex"),
        (torch.empty(2, 2, device="meta"), r"empty \(meta\)"),
    ],
)
def test_tensors_that_are_no_weights_are_refused(weight: torch.Tensor, kind: str, tmp_path: Path) -> None:
    torch.save({"weight": weight}, tmp_path / "net.pth")
    network = torch.nn.Linear(2, 2, bias=False)
    with pytest.raises(ValueError, match=f"does not fit it: it has the {kind} tensor weight$"):
        load_state(network, read_checkpoint(tmp_path / "net.pth"), "it")


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e6])
def test_what_is_not_finite_in_half_precision_is_not_written(value: float, tmp_path: Path) -> None:
    path, network = tmp_path / "net.safetensors", torch.nn.Linear(2, 2)
    save_safetensors(path, network, {})
    before = path.read_bytes()
    torch.nn.init.constant_(network.bias, value)
    with pytest.raises(ValueError, match=r"finite .* got NaN or infinity in bias"):
        save_safetensors(path, network, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["net", "net.pth", "net.safetensors.bak"])
def test_names_that_could_not_be_read_again_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--out: expected a name that ends in \.safetensors, got .*net"):
        check_writable(tmp_path / "new" / name)
    assert not list(tmp_path.iterdir())
