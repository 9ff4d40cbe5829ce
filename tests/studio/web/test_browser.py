"""The page in a real browser: what it shows is the command's, it asks nobody else, and mishaps are told.

One test, for one server: importing gradio takes longer than all that is looked at here.
"""

import http.cookiejar
import io
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studio_server
from command import Run, runner
from PIL import Image
from png import huge
from proxy import proxy

FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
TABS = ("Draw a hole", "Explain", "Smallest removal", "Compare")


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[list[str]]:
    """Of a studio, and of one that has a run and wants a password."""
    pytest.importorskip("gradio", reason="gradio is not installed")
    (tmp_path / "temporary").mkdir()
    (tmp_path / "run").mkdir()
    metric = {"title": "L1 to the truth", "better": "lower", "scale": 1, "digits": ".3f", "best": "inpaint",
              "figures": {"inpaint": {"value": 0.064, "low": 0.06, "high": 0.07}}}  # fmt: skip
    report = {"title": "scenes", "images": 4, "area": 0.1, "rows": ["inpaint"], "metrics": {"l1": metric},
              "labels": {}, "notes": [], "missing": {}, "skipped": []}  # fmt: skip
    (tmp_path / "run" / "realism.json").write_text(json.dumps(report))
    command = [sys.executable, "-W", "ignore", studio_server.__file__, str(tmp_path / "run")]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": "."},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        yield json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(30) == 0
    assert list((tmp_path / "temporary").glob("infill-studio-*")) == []  # nothing is left behind


@pytest.fixture
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=chromium, args=list(FLAGS))


class Tab:
    """A page that somebody has opened; it remembers what went wrong, and who was asked."""

    def __init__(self, browser: Any, address: str) -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="dark")
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.wait(".seen ol.bars")
        self.address = address

    def wait(self, selector: str) -> None:
        self.page.wait_for_selector(selector)

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).first.inner_text()).strip()

    def open(self, name: str) -> None:
        if not self.page.get_by_role("tab", name=name).is_visible():  # on a phone
            self.page.get_by_role("button", name="More tabs").click()
            self.page.locator(".overflow-dropdown button", has_text=name).click()
        else:
            self.page.get_by_role("tab", name=name).click()

    def settings(self) -> Any:
        """The field of further settings, which is opened first."""
        self.open("Explain")
        field = self.page.locator("#explain-settings textarea")
        if not field.is_visible():
            self.page.locator(".further > button >> visible=true").first.click()
        return field

    def explain(self, settings: str) -> None:
        self.settings().fill(settings)
        self.page.click("#explain-run")

    def close(self) -> None:
        self.page.close()
        assert self.wrong == []
        assert [url for url in self.asked if not url.startswith((self.address, "data:", "blob:"))] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # playwright's own, of its sockets
def test_the_page(
    browser: Any, addresses: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    address, guarded = addresses
    tab = Tab(browser, address)
    a_hole_is_drawn_and_every_filler_completes_it(tab)
    a_picture_is_picked_by_keys_alone(tab)
    the_map_is_the_commands_byte_for_byte(tab, runner(capsys))
    the_slider_and_the_spot_can_be_had_by_keys_alone(tab)
    bad_files_are_told_and_change_nothing(tab, tmp_path)
    wrong_settings_are_told_and_stay(tab)
    stopped_and_reloaded_in_the_middle_while_another_tab_waits(tab, Tab(browser, address))
    what_is_kept_of_another_server_is_left_out(tab)
    a_page_that_the_server_has_lost_says_so(browser, address)
    a_phone_can_show_it(tab)
    tab.close()
    files_are_out_of_reach(address)
    a_large_upload_is_refused(address)
    a_password_is_asked_for(guarded)


def a_hole_is_drawn_and_every_filler_completes_it(tab: Tab) -> None:
    box = tab.page.locator(".canvas canvas").bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    tab.page.mouse.move(x + 0.65 * side, y + 0.3 * side)
    tab.page.mouse.down()
    tab.page.mouse.move(x + 0.8 * side, y + 0.4 * side, steps=4)
    tab.page.mouse.up()
    tab.wait("#completed .card:nth-child(6) ol.bars")
    names = tab.page.locator("#completed figcaption b").all_inner_texts()
    assert names == ["original", "gray", "blur", "telea", "exemplar", "inpaint"]
    assert 1 < float(tab.text(".canvas-said").split()[0]) < 9
    tab.wait("#completed .copies")
    assert tab.text("#completed code") == "infill remove --scene 4 --hole hole.png"
    with tab.page.expect_download() as coming:
        tab.page.get_by_role("link", name="Download as zip").click()
    with zipfile.ZipFile(io.BytesIO(Path(coming.value.path()).read_bytes())) as archive:
        assert {"hole.png", "remove.json", "completion-exemplar.png"} < set(archive.namelist())
    # It outlives a reload, with its picture.
    share, cards = tab.text(".canvas-said"), "#completed .card:nth-child(6) ol.bars"
    tab.page.reload()
    tab.wait(cards)
    assert tab.text(".canvas-said") == share
    tab.wrong.clear()  # gradio's, of the connection that the reload has cut
    # By keys alone.
    tab.page.get_by_role("button", name="clear").press("Enter")
    tab.wait("text=Nothing is removed yet")
    canvas = tab.page.locator(".canvas")
    for key in ("ArrowRight", "ArrowLeft"):
        canvas.press(key)
    untouched = canvas.screenshot()
    canvas.press("Space")
    assert canvas.screenshot() != untouched
    canvas.press("Escape")  # takes the stroke back
    assert canvas.screenshot() == untouched
    for key in ("Space", "ArrowRight"):
        canvas.press(key)
    drawn = canvas.screenshot()
    tab.page.mouse.move(x + 0.1 * side, y + 0.9 * side)  # is no stroke of the mouse's
    tab.page.mouse.move(x + 0.2 * side, y + 0.9 * side)
    assert canvas.screenshot() == drawn
    canvas.press("Tab")  # ends the stroke
    tab.wait("#completed .card:nth-child(6) ol.bars")
    tab.page.locator("[data-key='scene:4']").click()  # it is chosen already
    assert tab.text(".canvas-said").endswith("% of the view is removed")


def a_picture_is_picked_by_keys_alone(tab: Tab) -> None:
    focused = "document.activeElement.dataset.key"
    tab.page.locator("[data-key='scene:4']").focus()
    for key, number in (("ArrowRight", 1), ("ArrowLeft", 4)):
        tab.page.keyboard.press(key)
        assert tab.page.evaluate(focused) == f"scene:{number}"
        assert tab.page.locator(".thumb[tabindex='0']").count() == 1
        tab.page.keyboard.press("Enter")
        tab.wait(f"#seen >> text=scene {number}:")
        tab.wait(f"[data-key='scene:{number}'][aria-pressed='true']:focus")


def the_map_is_the_commands_byte_for_byte(tab: Tab, run: Run) -> None:
    tab.explain("sp.stride=64")
    tab.wait("#explain-rest .stages")
    tab.page.wait_for_function("document.querySelector('#heard').textContent === 'The run has ended.'")
    line = tab.text("#explain-rest code")
    assert line == "infill explain --scene 4 --method sp --filler inpaint --set sp.stride=64"
    with tab.page.expect_download() as coming:
        tab.page.get_by_role("link", name="Download as zip").click()
    with zipfile.ZipFile(io.BytesIO(Path(coming.value.path()).read_bytes())) as archive:
        ours = archive.read("heatmaps.npz")
    said = run(*line.split()[2:])
    assert said.code == 0, said.err
    assert Path("infill-out/heatmaps.npz").read_bytes() == ours


def the_slider_and_the_spot_can_be_had_by_keys_alone(tab: Tab) -> None:
    slider = tab.page.locator(".stages input[type=range]")
    slider.press("End")
    assert tab.text(".stage-share") == "100 %"
    slider.press("Home")
    assert float(tab.text(".stage-bars .target .p")) == pytest.approx(
        0.69, abs=0.02
    )  # the processor's digits
    for key in ("ArrowRight", "Enter"):
        tab.page.locator("#explain-result .map").press(key)
    tab.wait("#spot h3")


def bad_files_are_told_and_change_nothing(tab: Tab, folder: Path) -> None:
    (folder / "text.jpg").write_text("no picture")
    (folder / "huge.png").write_bytes(huge(20000, 10000))
    Image.fromarray(np.full((80, 90, 3), 99, np.uint8)).save(folder / "fine.png")
    drop = tab.page.locator("#drop input[type=file]")
    for name, said in (("text.jpg", "not an image that Pillow can read"), ("huge.png", "megapixels")):
        drop.set_input_files(folder / name)
        tab.wait(f"#said .notice >> text={said}")
        assert name in tab.text("#said")
        assert "scene 4" in tab.text("#seen")
    drop.set_input_files(folder / "fine.png")
    tab.wait("#seen >> text=fine.png, 90 x 80")
    assert tab.text("#said") == ""
    (folder / "fine.png").rename(folder / "so: fine?.png")
    Image.fromarray(np.full((80, 91, 3), 99, np.uint8)).save(folder / "so: fine?.png")
    drop.set_input_files(folder / "so: fine?.png")
    tab.wait("#seen >> text=so: fine?.png, 91 x 80")
    tab.page.locator("[data-key='scene:4']").click()
    tab.wait("#seen >> text=scene 4")


def wrong_settings_are_told_and_stay(tab: Tab) -> None:
    tab.explain("sp.patsh=3")
    tab.wait("#explain-said >> text=did you mean 'patch'")
    assert tab.settings().input_value() == "sp.patsh=3"


def stopped_and_reloaded_in_the_middle_while_another_tab_waits(tab: Tab, other: Tab) -> None:
    tab.page.locator("[data-key='scene:9']").click()
    tab.wait("#seen >> text=scene 9")
    tab.page.locator("#target input").click()
    tab.page.get_by_role("option", name="crate").click()
    tab.wait("#seen .target >> text=crate")
    tab.explain("sp.stride=1")
    tab.wait("#explain-result >> text=composites")
    other.explain("sp.stride=2")
    other.wait("text=one run is before this one")
    assert tab.wrong == []
    tab.page.reload()
    tab.wait("#said >> text=reloaded while a run was going on")
    tab.wrong.clear()  # gradio's, of the connection that the reload has cut
    assert tab.settings().input_value() == "sp.stride=1"
    assert "scene 9" in tab.text("#seen")
    assert tab.text("#seen .target .name") == "crate"
    assert tab.page.locator("#target input").input_value() == "crate"
    other.wait("#explain-result >> text=composites")  # it is its turn
    other.page.click("#explain-stop")
    other.wait("#explain-said >> text=Stopped.")
    assert other.page.locator("#explain-run").is_enabled()
    assert other.settings().input_value() == "sp.stride=2"
    other.close()


def what_is_kept_of_another_server_is_left_out(tab: Tab) -> None:
    tab.page.evaluate(
        "() => { const kept = JSON.parse(sessionStorage.getItem('infill-studio'));"
        "kept[0] = 'mine'; kept[1] = ['lama', 'gray']; kept[3] = 'lama';"
        "sessionStorage.setItem('infill-studio', JSON.stringify(kept));"
        "sessionStorage.setItem('infill-target', JSON.stringify(['unicorn', '']));"
        "sessionStorage.setItem('infill-picture', 'upload:1234'); }"
    )
    tab.page.reload()
    tab.wait("#said >> text=Your own photograph is not kept")
    assert "expected one of scenes, got 'mine'" in tab.text("#said")
    assert tab.page.locator("#classifier input").input_value() == "scenes"
    assert "scene 4" in tab.text("#seen")
    assert tab.page.locator("#wanted label:has(input:checked)").all_inner_texts() == ["gray"]
    tab.wrong.clear()


def a_page_that_the_server_has_lost_says_so(browser: Any, address: str) -> None:
    lost = "The server no longer knows this page"
    with proxy(address) as between:
        tab = Tab(browser, between.address)
        between.cut()
        for number in (9, 3) * 10:  # until the server has noticed
            tab.page.locator(f"[data-key='scene:{number}']").click()
            tab.page.wait_for_timeout(1000)
            if lost in tab.text("#said"):
                break
        picture = tab.text("#seen .what")
        tab.explain("sp.stride=64")
        tab.wait(f"#explain-said >> text={lost}")
        tab.page.reload()
        tab.wait("#seen ol.bars")
        assert tab.text("#seen .what") == picture
        assert tab.settings().input_value() == "sp.stride=64"
        tab.page.close()


def a_phone_can_show_it(tab: Tab) -> None:
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    tab.page.set_viewport_size({"width": 400, "height": 800})
    for name in TABS:
        tab.open(name)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400


def asked(url: str, **more: Any) -> tuple[int, Any, str]:
    """Return the status, the headers and the text that a request gets."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **more), timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode("utf-8", "replace")


def files_are_out_of_reach(address: str) -> None:
    _, headers, _ = asked(address)
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert not any("http" in sources or "*" in sources for sources in policy.values())
    here = Path(__file__)
    for path in ("/etc/passwd", str(here), str(here.parents[3] / "README.md"), "README.md", "../README.md"):
        assert asked(f"{address}/gradio_api/file={path}")[0] in (403, 404), path
    for path in ("x", "..%2F..%2Fetc%2Fpasswd"):
        assert asked(f"{address}/download/{path}")[0] == 404
    assert json.loads(asked(f"{address}/gradio_api/info")[2])["named_endpoints"] == {}
    # another page's name for this machine
    assert asked(address, headers={"Host": "evil.example"})[0] == 400


def a_large_upload_is_refused(address: str) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body = head + b"0" * (26 * 2**20) + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert asked(f"{address}/gradio_api/upload", data=body, headers=kind)[0] == 413


def a_password_is_asked_for(address: str) -> None:
    assert asked(f"{address}/config")[0] == 401

    def logged_in(password: str) -> tuple[int, str]:
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        form = urllib.parse.urlencode({"username": "me", "password": password}).encode()
        try:
            with opener.open(f"{address}/login", form, timeout=20):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, ""
        with opener.open(f"{address}/config", timeout=20) as answer:
            (place,) = set(re.findall(r"run/[\w-]{20,}", answer.read().decode()))
        with opener.open(f"{address}/{place}", timeout=20) as answer:
            return answer.status, answer.read().decode()

    assert logged_in("wrong") == (400, "")
    status, page = logged_in(studio_server.PASSWORD)
    assert status == 200
    assert "L1 to the truth ↓" in page
    assert "0.060 … 0.070" in page
    assert "0.064<abbr" in page
