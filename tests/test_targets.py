"""What docs/targets.md shows runs as it stands there."""

import re
from pathlib import Path

from studio.registry.target import KINDS

TEXT = (Path(__file__).resolve().parents[1] / "docs/targets.md").read_text("utf-8")


def test_the_examples_run():
    names = {}
    first, second = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    exec(first, names)
    heatmap = names["heatmap"]
    assert heatmap.shape == (32, 32)
    assert heatmap[12:20, 12:20].mean() > heatmap.mean()
    exec(second, names)
    assert names["heatmap"].isfinite().all()


def test_every_kind_is_told():
    for form in KINDS:
        assert f"`{form}:" in TEXT, form
