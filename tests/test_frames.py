"""How far it is from the command line to the classifier, in calls of our own."""

import traceback
from pathlib import Path
from typing import Any

import pytest
from command import runner, saved_photograph, undrawn
from torch import Tensor

from models.classifiers import ImageClassifier

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = tuple(str(ROOT / package) for package in ("infill", "attribution", "models", "studio"))
MOST = 10


@pytest.mark.parametrize("method", ["sp", "rise", "gradient", "integrated"])
def test_ten_calls_lead_to_the_classifier(
    method: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, ways = ImageClassifier.forward, set()

    def watched(self: ImageClassifier, images: Any) -> Tensor:
        if isinstance(images, Tensor):  # and no symbol, with which torch.fx traces it
            codes = [frame.f_code for frame, _ in traceback.walk_stack(None)][::-1]
            ours = [code for code in codes if code.co_filename.startswith(PACKAGES)]
            ways.add(tuple(f"{Path(code.co_filename).stem}.{code.co_name}" for code in ours))
        return forward(self, images)

    monkeypatch.setattr(ImageClassifier, "forward", watched)
    monkeypatch.chdir(tmp_path)
    undrawn(monkeypatch)
    photograph = saved_photograph(tmp_path)
    few = {"sp": "sp.stride=112", "rise": "rise.masks=4", "integrated": "integrated.steps=2"}
    quick = ["--set", few[method]] if method in few else []
    result = runner(capsys)(
        photograph, "--classifier", "scenes", "--method", method, "--filler", "gray", *quick
    )
    assert result.code == 0, result.err
    inside = {"sp": "sliding", "gradient": "scalar", "integrated": "scalar"}.get(method, method)
    through = [way for way in ways if any(inside in call for call in way)]
    assert through, "the method was not on the way to the classifier"
    assert max(map(len, ways)) <= MOST, " > ".join(max(ways, key=len))
