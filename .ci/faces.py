"""Drives the page in Chromium, and compares what it gives with the command and a notebook, byte for byte.

Run by .ci/faces in an empty folder, with the Python of the environment that is looked at.
"""

import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from playwright.sync_api import sync_playwright

INFILL = str(Path(sys.executable).with_name("infill"))
HEATMAPS = "heatmaps.npz"
PICTURE = "rocket.jpg"
"""A photograph, of which the classifier sees a part; it is in the page's zip."""


def main() -> None:
    """Compare, and say what was compared."""
    begun = time.perf_counter()
    command, python = page()
    seconds = [time.perf_counter() - begun]
    subprocess.run([INFILL, *shlex.split(command)[1:], "--out", "command"], check=True)
    seconds.append(time.perf_counter() - begun)
    notebook(python)
    seconds.append(time.perf_counter() - begun)
    faces = {name: Path(name, HEATMAPS).read_bytes() for name in ("page", "command", "notebook")}
    for name, content in faces.items():
        if content != faces["page"]:
            sys.exit(f"faces: the heatmap of the {name} differs from that of the page")
    spent = [f"{after - before:.0f} s" for before, after in zip([0.0, *seconds], seconds, strict=False)]
    print(f"faces: {len(faces['page'])} bytes of {HEATMAPS}, the same three times: {command}")
    print(f"faces: page {spent[0]}, command {spent[1]}, notebook {spent[2]}")


def page() -> tuple[str, str]:
    """Explain a picture in the page, whose zip goes to ``page``; return its command and its call."""
    serving = subprocess.Popen([INFILL, "studio", "--no-browser"], stdout=subprocess.PIPE, text=True)
    assert serving.stdout is not None
    try:
        address = serving.stdout.readline().split()[2]
        with sync_playwright() as playwright:
            flags = ["--no-sandbox", "--disable-gpu"]
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
            texts = explained(browser.new_page(viewport={"width": 1280, "height": 900}), address)
            browser.close()
    finally:
        serving.terminate()
        serving.wait(30)
    with zipfile.ZipFile("page.zip") as archive:
        archive.extractall("page")
    shutil.copy(Path("page", PICTURE), PICTURE)  # for the command and the call
    return texts


def explained(tab: Any, address: str) -> tuple[str, str]:
    """Press the buttons."""
    tab.set_default_timeout(120_000)
    tab.goto(address)
    tab.wait_for_selector(".seen ol.bars")
    tab.click("[data-key='example:rocket']")
    tab.wait_for_selector(f"#seen >> text={PICTURE}")
    tab.get_by_role("tab", name="Explain").click()
    tab.click("#explain-run")
    tab.wait_for_selector("#explain-rest .stages")
    with tab.expect_download() as coming:
        tab.locator("#explain-rest").get_by_role("link", name="Download as zip").click()
    coming.value.save_as("page.zip")
    command, python = tab.locator("#explain-rest .copy code").all_text_contents()
    return command, python


def notebook(python: str) -> None:
    """Execute the call in a notebook, which saves what it finds."""
    cell = nbformat.v4.new_code_cell(python.replace("infill-out", "notebook"))
    book = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(book, timeout=600, kernel_name="python3").execute()
    shown = [output for output in book.cells[0].outputs if "image/png" in output.get("data", {})]
    if not shown:
        sys.exit("faces: the notebook shows no picture")


if __name__ == "__main__":
    main()
