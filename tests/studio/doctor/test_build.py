"""What is said of torch without importing it is what torch says of itself."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from studio import version
from studio.doctor import build


def torch_of(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put another torch in the place of ours."""
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text("raise OSError('libtorch.so: no such file')")
    (folder / "torch" / "version.py").write_text(text)
    monkeypatch.setattr(
        build,
        "find_spec",
        lambda _: type("Spec", (), {"submodule_search_locations": [str(folder / "torch")]}),
    )


def test_version_and_device_are_torchs_own() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    assert build.torch_and_device() == f"torch {torch.__version__}, device {device}"


def test_the_command_says_them_without_importing_torch() -> None:
    source = (
        "import sys; sys.argv[0] = 'infill'; from studio.cli.main import main\ntry: main(['--version'])\n"
    )
    source += "finally: print('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    said, imported = done.stdout.splitlines()
    assert said == f"infill {version()}, {build.torch_and_device()}"
    assert imported == str(torch.cuda.is_available())


def test_a_build_without_gpu_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch_of(tmp_path, monkeypatch, "__version__ = '2.9.1+cpu'\ncuda: Optional[str] = None\n")
    assert build.torch_and_device() == "torch 2.9.1+cpu, device cpu"


@pytest.mark.parametrize(("driver", "device"), [(False, "cpu"), (True, "cuda")])
def test_a_build_for_gpus_is_asked_where_there_is_a_driver(
    driver: bool, device: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch_of(tmp_path, monkeypatch, "__version__ = '2.9.1'\ncuda: Optional[str] = '12.8'\nhip = None\n")
    monkeypatch.setattr(build, "_DRIVERS", (str(tmp_path),) if driver else ())
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert build.torch_and_device() == f"torch 2.9.1, device {device}"


def test_a_broken_torch_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch_of(tmp_path, monkeypatch, "__version__ = '2.9.1'\ncuda: Optional[str] = '12.8'\n")
    monkeypatch.setattr(build, "_DRIVERS", (str(tmp_path),))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch")
    assert build.torch_and_device() == ("torch 2.9.1, device unknown (torch cannot be imported: OSError)")


def test_no_torch_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    assert build.torch_and_device() == "torch is not installed"
