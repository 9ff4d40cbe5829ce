"""The page of a run: it is that of the folder as it is now, and made only where that has changed."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from studio.web import runs
from studio.web.runs import RunPage


def write(folder: Path, best: str | None = "inpaint") -> None:
    figures = {name: {"value": value, "low": value - 0.01, "high": value + 0.01}
               for name, value in (("gray", 0.164), ("inpaint", 0.064))}  # fmt: skip
    metric = {"title": "L1 to the truth", "better": "lower", "scale": 1, "digits": ".3f", "best": best,
              "figures": figures}  # fmt: skip
    report = {"title": "scenes", "images": 4, "area": 0.1, "rows": list(figures), "metrics": {"l1": metric},
              "labels": {}, "notes": [], "missing": {}, "skipped": []}  # fmt: skip
    (folder / "realism.json").write_text(json.dumps(report))


@pytest.mark.parametrize("best", ["inpaint", None])
def test_the_star_that_is_explained_is_shown(best: str | None, tmp_path: Path) -> None:
    write(tmp_path, best)
    found = RunPage(tmp_path).page()
    assert "*: better than every other filler" in found
    assert ('0.064<abbr title="better than every other filler">*</abbr><small>' in found) == bool(best)
    assert found.count("<abbr") == bool(best)


def test_it_is_made_only_where_a_file_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    rendered = runs.rendered
    monkeypatch.setattr(runs, "rendered", lambda *args, **more: made.append(args) or rendered(*args, **more))
    write(tmp_path)
    run = RunPage(tmp_path)
    assert made == [], "to be sure that there is a run it is read alone"
    first = run.page()
    assert run.page() == first
    assert len(made) == 1
    write(tmp_path, None)
    os.utime(tmp_path / "realism.json", (1, 1))
    assert run.page() != first
    (tmp_path / "realism.png").write_bytes(b"picture")
    assert "data:image/png" in run.page()
    assert len(made) == 3


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    run = RunPage(tmp_path)
    for text, said in (("{", "cannot be read"), ("{}", "is not of this version of infill")):
        (tmp_path / "realism.json").write_text(text)
        for look in (run.page, lambda: RunPage(tmp_path)):
            with pytest.raises(ValueError, match=said):
                look()
