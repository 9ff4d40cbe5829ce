"""The published weights that are known by name: what they are, whence they come, under which license.

Torchvision is asked only for names that are not in the table: it takes seconds to import.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from models.spelling import suggestion

_DRIVE = "https://drive.google.com/uc?export=download&id="
_TORCHVISION = "https://download.pytorch.org/models/"
_DEEPFILL = "https://arxiv.org/abs/1806.03589"
_NOT_STATED = "not stated (the original's: CC BY-NC 4.0)"


@dataclass(frozen=True)
class CatalogEntry:
    """One row: weights that can be fetched.

    Attributes:
        file: The name of the file; or the id of a model on the hub.
        kept: Where it is kept: in infill's own folder, torch hub's, or the cache of ``huggingface_hub``
            (`models.weights.storage.STORAGES`).
        size: In bytes; ``None`` if it is not known for certain.
        roughly: In bytes, where the size is published in rounded numbers only.
        sha256: The published hash, or as many of its first digits as are published; ``None`` if none are.
        urls: Where the file is; the first that answers is taken. For a model on the hub, its page.
        paper: Its address, if it is known.
        parts: The folders of a model on the hub that hold weights.
    """

    name: str
    file: str
    kept: Literal["infill", "torch", "hub"]
    size: int | None
    sha256: str | None
    license: str
    urls: tuple[str, ...]
    paper: str
    purpose: str
    parts: tuple[str, ...] = (".",)
    roughly: int | None = None


CATALOG: dict[str, CatalogEntry] = {
    row.name: row
    for row in (
        CatalogEntry(
            name="lama",
            file="big-lama.pt",
            kept="infill",
            size=205_669_692,
            sha256="344c77bbcb158f17dd143070d1e789f38a66c04202311ae3a258ef66667a9ea9",
            license="Apache-2.0",
            urls=("https://github.com/Sanster/models/releases/download/add_big_lama/big-lama.pt",),
            paper="https://arxiv.org/abs/2109.07161",
            purpose="inpainter: LaMa, trained on Places2 (TorchScript)",
        ),
        CatalogEntry(
            name="deepfill",
            file="states_pt_places2.pth",
            kept="infill",
            size=None,
            sha256=None,
            license=_NOT_STATED,
            urls=(f"{_DRIVE}1L63oBNVgz7xSb_3hGbUdkYW1IuRgMkCa",),
            paper=_DEEPFILL,
            purpose="inpainter: DeepFill v2, Places2, fine-tuned in PyTorch by nipponjo/deepfillv2-pytorch",
        ),
        CatalogEntry(
            name="deepfill-tf",
            file="states_tf_places2.pth",
            kept="infill",
            size=None,
            sha256=None,
            license=_NOT_STATED,
            urls=(f"{_DRIVE}1tvdQRmkphJK7FYveNAKSMWC6K09hJoyt",),
            paper=_DEEPFILL,
            purpose="inpainter: DeepFill v2, Places2, the authors' weights converted from TensorFlow",
        ),
        CatalogEntry(
            name="mae",
            file="facebook/vit-mae-base",
            kept="hub",
            size=None,
            sha256=None,
            license="Apache-2.0 (the original's: CC BY-NC 4.0)",
            urls=("https://huggingface.co/facebook/vit-mae-base",),
            paper="https://arxiv.org/abs/2111.06377",
            purpose="inpainter: masked autoencoder, ViT-B/16, ImageNet",
        ),
        CatalogEntry(
            name="sd",
            file="stable-diffusion-v1-5/stable-diffusion-inpainting",
            kept="hub",
            size=None,
            sha256=None,
            license="CreativeML OpenRAIL-M",
            urls=("https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-inpainting",),
            paper="https://arxiv.org/abs/2112.10752",
            purpose="inpainter: Stable Diffusion 1.5, inpainting",
            parts=("unet", "vae", "text_encoder"),
        ),
        CatalogEntry(
            name="mobilenet_v2",
            file="mobilenet_v2-7ebf99e0.pth",
            kept="torch",
            size=None,
            sha256="7ebf99e0",
            license="BSD-3-Clause",
            urls=(f"{_TORCHVISION}mobilenet_v2-7ebf99e0.pth",),
            paper="https://arxiv.org/abs/1801.04381",
            purpose="classifier: torchvision's, ImageNet",
            roughly=14_258_536,
        ),
        CatalogEntry(
            name="resnet50",
            file="resnet50-11ad3fa6.pth",
            kept="torch",
            size=102_540_417,
            sha256="11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
            license="BSD-3-Clause",
            urls=(f"{_TORCHVISION}resnet50-11ad3fa6.pth",),
            paper="https://arxiv.org/abs/1512.03385",
            purpose="classifier: torchvision's, ImageNet",
        ),
        CatalogEntry(
            name="resnet50@v1",
            file="resnet50-0676ba61.pth",
            kept="torch",
            size=None,
            sha256="0676ba61",
            license="BSD-3-Clause",
            urls=(f"{_TORCHVISION}resnet50-0676ba61.pth",),
            paper="https://arxiv.org/abs/1512.03385",
            purpose="classifier: torchvision's first weights, those of papers until 2021, ImageNet",
            roughly=102_530_333,
        ),
        CatalogEntry(
            name="squeezenet1_1",
            file="squeezenet1_1-b8a52dc0.pth",
            kept="torch",
            size=4_958_839,
            sha256="b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
            license="BSD-3-Clause",
            urls=(f"{_TORCHVISION}squeezenet1_1-b8a52dc0.pth",),
            paper="https://arxiv.org/abs/1602.07360",
            purpose="backbone of LPIPS (squeeze), and a classifier: torchvision's, ImageNet",
        ),
        CatalogEntry(
            name="places365",
            file="resnet50_places365.pth.tar",
            kept="infill",
            size=None,
            sha256=None,
            license="CC BY",
            urls=("http://places2.csail.mit.edu/models_places365/resnet50_places365.pth.tar",),
            paper="http://places2.csail.mit.edu/PAMI_places.pdf",
            purpose="classifier: ResNet-50, Places365",
        ),
    )
}


def known(name: str) -> CatalogEntry:
    """Return the row of this name: of the table, or of a network of torchvision.

    ``NAME@v1`` and so on are a certain version of torchvision's weights; the name alone is its best.

    Raises:
        ValueError: If there is none.
    """
    if name in CATALOG:
        return CATALOG[name]
    theirs = _torchvision()
    network, _, version = name.partition("@")
    if network in theirs:
        return _published(network, theirs[network], version)
    hint = suggestion(name, [*CATALOG, *theirs]) or ";"
    listed = f"{', '.join(CATALOG)}, and torchvision's classifiers, segmenters and detectors"
    raise ValueError(f"weights: unknown name {name!r}{hint} known: {listed}")


def at_torch_hub(name: str, url: str, license: str, purpose: str) -> CatalogEntry:
    """Return the row of a file for torch hub's folder, with the first digits of its hash in its name."""
    file = url.rsplit("/", 1)[-1]
    digits = re.search(r"-([0-9a-f]{8,})\.", file)
    digest = digits[1] if digits else None
    return CatalogEntry(name, file, "torch", None, digest, license, (url,), "", purpose)


def _torchvision() -> dict[str, str]:
    """Return the names of torchvision's networks, and what they are for."""
    from torchvision import models

    modules = {"classifier": models, "segmenter": models.segmentation, "detector": models.detection}
    return {name: kind for kind, module in modules.items() for name in models.list_models(module=module)}


def _published(name: str, kind: str, version: str) -> CatalogEntry:
    """Return the row of torchvision's best weights for one of its networks, or of the first of a version."""
    from torchvision import models

    entries = models.get_model_weights(name)
    entry = _of_version(entries, name, version.lower()) if version else entries.DEFAULT
    license = entry.meta.get("license", "BSD-3-Clause")
    title = f"{name}@{version.lower()}" if version else name
    row = at_torch_hub(title, entry.url, license, f"{kind}: torchvision's")
    return replace(row, roughly=round(entry.meta["_file_size"] * 2**20))


def _of_version(entries: Any, name: str, version: str) -> Any:
    """Return the first of torchvision's entries whose name ends with this version."""
    versions = {entry.name.rsplit("_", 1)[-1].lower(): entry for entry in reversed(entries)}
    if version not in versions:
        ways = ", ".join(f"{name}@{each}" for each in sorted(versions))
        raise ValueError(f"weights: torchvision has no {name}@{version}; known: {ways}")
    return versions[version]
