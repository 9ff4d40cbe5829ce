"""Transformers' object detectors: as transformers itself would run them."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_detectors import KINDS, LABELS, saved_detector

from models.detectors import load_detector
from models.weights.transformers import in_bytes


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: saved_detector(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_what_transformers_finds(kind: str, folders: dict[str, Path], smooth_image) -> None:
    detector = load_detector(f"hf:{folders[kind]}")
    image = smooth_image(60, 90)
    boxes, probabilities, objectness = detector(image)[0]
    assert detector.labels == tuple(LABELS.values())
    assert (boxes.shape[1], probabilities.shape[1]) == (4, 3)
    processor, network = detector.processor, detector.network
    inputs = processor(images=in_bytes(image[0]), return_tensors="pt", input_data_format="channels_first")
    assert inputs["pixel_values"].shape[1:] == detector.shown(image).shape[1:]
    with torch.no_grad():
        answer = network(pixel_values=inputs["pixel_values"])
    plain = SimpleNamespace(logits=answer.logits, pred_boxes=answer.pred_boxes)
    (found,) = processor.post_process_object_detection(plain, threshold=-1.0, target_sizes=[(60, 90)])
    sure = probabilities.max(1)
    count = len(found["scores"])
    ours = sure.values.sort(descending=True).values[:count]
    torch.testing.assert_close(ours, found["scores"].sort(descending=True).values, rtol=0, atol=0.03)
    first, theirs = int(sure.values.argmax()), int(found["scores"].argmax())
    assert int(found["labels"][theirs]) == int(sure.indices[first])
    torch.testing.assert_close(boxes[first], found["boxes"][theirs], rtol=0, atol=2.0)
    if kind == "rt_detr":
        assert torch.equal(objectness, sure.values)
    else:
        torch.testing.assert_close(objectness, probabilities.sum(1))
    assert len({round(float(value), 3) for value in sure.values}) > 1, "its queries must differ"


def test_it_has_derivatives_and_does_not_depend_on_the_batch(folders: dict[str, Path], smooth_image) -> None:
    detector = load_detector(f"hf:{folders['detr']}")
    images = torch.cat([smooth_image(40, 60), smooth_image(40, 60, 1)]).requires_grad_()
    found = detector(images)
    (slope,) = torch.autograd.grad(found[0][0].sum() + found[0][2].sum(), images)
    assert slope[0].any()
    assert not slope[1].any()
    alone = detector(images[1:])[0]
    for ours, part in zip(alone, found[1], strict=True):
        torch.testing.assert_close(ours, part, rtol=0, atol=1e-3)


def test_models_of_other_kinds_are_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(ValueError, match="holds no object detector that transformers can load") as caught:
        load_detector(f"hf:{tmp_path}")
    assert "\n" not in str(caught.value)
    settings = folders["yolos"] / "preprocessor_config.json"
    strange = {**json.loads(settings.read_text()), "do_rescale": True, "rescale_factor": 0.1}
    folder = tmp_path / "strange"
    folder.mkdir()
    for file in folders["yolos"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / settings.name).write_text(json.dumps({**strange, "do_normalize": True, "resample": 0}))
    with pytest.raises(ValueError, match="cannot follow its image processor"):
        load_detector(f"hf:{folder}")
