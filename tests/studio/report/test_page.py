"""The page in a real browser: nothing is missing, tables sort, heatmaps are filtered, a phone can show it."""

import shutil
from pathlib import Path

import pytest

from studio.cli.main import main

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # playwright's own, of its sockets
def test_the_page_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    few = ("--set", "sp.stride=56", "--filler", "gray", "--metric", "pointing", "--metric", "deletion")
    main(["evaluate", "scenes:4", "--method", "sp", *few, "--out", str(tmp_path)])
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        wrong: list[str] = []
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda request: wrong.append(request.url))
        page.goto((tmp_path / "report.html").as_uri())
        table = page.locator("table.sortable").first
        head = table.locator("thead th").nth(table.locator("thead th").count() - 1)
        for order, ascending in (("ascending", True), ("descending", False)):
            head.locator("button").click()
            assert head.get_attribute("aria-sort") == order
            shown = [text.splitlines()[0] for text in table.locator("tbody td:last-child").all_inner_texts()]
            values = [float(text) for text in shown if text]
            assert values == sorted(values, reverse=not ascending)
            assert len(values) == 5
        assert page.locator(".strip:visible").count() == 4
        name = page.locator(".by-class option").nth(1).inner_text()
        page.locator(".by-class").select_option(name)
        assert 1 <= page.locator(".strip:visible").count() < 4
        assert name in page.locator(".strip:visible").first.inner_text()
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        browser.close()
    assert wrong == []
