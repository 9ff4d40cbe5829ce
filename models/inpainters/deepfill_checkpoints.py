"""DeepFill's weights, in the layouts in which they are published.

- Our own: a safetensors file of ``part.layer.weight`` and ``.bias``, as ``save`` writes it.
- The authors' TensorFlow checkpoints: ``inpaint_net/layer/kernel``, trained on channels in the order BGR.
- "deepfillv2-pytorch": ``layer.conv.weight`` for the authors' networks converted, and
  ``stage1.block.conv.weight`` for networks trained anew in PyTorch; either may lie under "G".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from models.weights.checkpoint import Checkpoint, read_checkpoint
from models.weights.tensorflow import is_bundle, read_bundle

_SCOPE = "inpaint_net/"
_VARIABLES = {"kernel": "weight", "bias": "bias"}
_NESTS = ("G",)
"""The generator may lie beside a discriminator."""
_UP = "_upsample"
_SEES, _PAINTS = ("conv1", "xconv1", "pmconv1"), ("conv17", "allconv17")
_HEAD = (
    *("conv1", "down_block1.conv1_downsample", "down_block1.conv2"),
    *("down_block2.conv1_downsample", "down_block2.conv2", *(f"conv_bn{i}" for i in range(1, 6))),
)
_TAIL = (
    *("conv_bn6", "conv_bn7", "up_block1.conv1_upsample.conv", "up_block1.conv2"),
    *("up_block2.conv1_upsample.conv", "up_block2.conv2", "conv_to_rgb"),
)
_RETRAINED = {
    "coarse": [f"stage1.{name}" for name in (*_HEAD, *_TAIL)],
    "hallucination": [f"stage2.b1_{name}" for name in _HEAD],
    "matching": [f"stage2.b2_{name}" for name in _HEAD[:6]],
    "matched": ["stage2.b2_conv_bn4", "stage2.b2_conv_bn5"],
    "merged": [f"stage2.{name}" for name in _TAIL],
}


def read(path: Path, layers: Mapping[str, Sequence[str]]) -> tuple[Checkpoint, bool]:
    """Read a checkpoint of any layout, and give its tensors the names of our own.

    Args:
        path: The file; of a TensorFlow checkpoint any of its files, their folder or common name.
        layers: The names of the layers of each part.

    Returns:
        The tensors, and whether their networks pad, shrink and normalize as the TensorFlow ones do. Tensors
        of unknown names keep them; those that TensorFlow keeps for training only are left out.

    Raises:
        ValueError: If the file is missing, damaged, or no checkpoint.
    """
    places = [(part, layer) for part, names in layers.items() for layer in names]
    if is_bundle(path):
        names = {layer: f"{part}.{layer}" for part, layer in places}
        return Checkpoint(path, dict(_from_tensorflow(read_bundle(path, _variable), names))), True
    saved = read_checkpoint(path, _NESTS)
    if any(name.startswith(("stage1.", "stage2.")) for name in saved.state):
        theirs = [name for part in layers for name in _RETRAINED[part]]
        return _renamed(saved, places, theirs), False
    if any(".conv." in name for name in saved.state):
        theirs = [f"{layer}.conv" if layer.endswith(_UP) else layer for _, layer in places]
        return _renamed(saved, places, theirs), True
    return saved, saved.metadata.get("tensorflow", "True") == "True"


def save(network: nn.Module, path: Path) -> None:
    """Write a ``DeepFill`` network as a safetensors file of our own layout."""
    from safetensors.torch import save_file

    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, path, {"version": str(network.version), "tensorflow": str(network.tensorflow)})


def _renamed(saved: Checkpoint, places: Iterable[tuple[str, str]], theirs: Sequence[str]) -> Checkpoint:
    ours = {
        f"{their}.conv.{kind}": f"{part}.{layer}.{kind}"
        for (part, layer), their in zip(places, theirs, strict=True)
        for kind in ("weight", "bias")
    }
    return Checkpoint(saved.path, {ours.get(name, name): value for name, value in saved.state.items()})


def _variable(name: str) -> bool:
    """Whether it is a weight or bias of the generator, not what its optimizer or its rival remember."""
    return name.startswith(_SCOPE) and name.rpartition("/")[2] in _VARIABLES


def _from_tensorflow(state: Mapping[str, Tensor], names: Mapping[str, str]) -> Iterator[tuple[str, Tensor]]:
    for name, value in state.items():
        layer, *inner, kind = name.removeprefix(_SCOPE).split("/")
        if layer not in names or inner != ([f"{layer}_conv"] if layer.endswith(_UP) else []):
            yield name, value
            continue
        turned = value.permute(3, 2, 0, 1) if value.ndim == 4 else value
        yield f"{names[layer]}.{_VARIABLES[kind]}", _as_rgb(layer, turned)


def _as_rgb(layer: str, value: Tensor) -> Tensor:
    """Turn the colors round in the layers that see or paint an image."""
    if layer in _PAINTS:
        return value.flip(0)
    if layer in _SEES and value.ndim == 4:
        value = value.clone()
        value[:, :3] = value[:, :3].flip(1)
    return value
