"""Known weights: fetched from a server on this machine that behaves as badly as servers do."""

import errno
import hashlib
import re
import socket
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from misbehaving import Behavior, serving

from models.weights import catalog, download, environment, store
from models.weights.catalog import CATALOG, CatalogEntry

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Behavior, str]]:
    """A server of one file, its address, a home of one's own, and no patience."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "INFILL_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("INFILL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "_PAUSE", 0.0)
    monkeypatch.setattr(download, "_TIMEOUT", 5.0)
    behavior = Behavior(CONTENT)
    with serving(behavior) as url:
        yield behavior, url


@pytest.fixture
def row(server: tuple[Behavior, str], monkeypatch: pytest.MonkeyPatch) -> CatalogEntry:
    """The only row of the table: the server's file."""
    one = known(server[1])
    put(monkeypatch, one)
    return one


def known(url: str) -> CatalogEntry:
    return CatalogEntry(
        "it",
        "it.pt",
        "infill",
        len(CONTENT),
        DIGEST,
        "CC0-1.0",
        (url,),
        "https://a.paper",
        "a filler: of tests",
    )


def put(monkeypatch: pytest.MonkeyPatch, *rows: CatalogEntry) -> None:
    monkeypatch.setattr(catalog, "CATALOG", {row.name: row for row in rows})


def left(home: Path) -> set[str]:
    return {path.name for path in home.iterdir()} if home.exists() else set()


@pytest.fixture
def behavior(server: tuple[Behavior, str], row: CatalogEntry) -> Behavior:
    return server[0]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def fault() -> str:
    with pytest.raises(ValueError, match=r"^weights: ") as caught:
        store.fetch("it")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_fetched_whole_and_only_once(behavior: Behavior, home: Path) -> None:
    told: list[tuple[int, int]] = []
    found = store.fetch("it", lambda done, total: told.append((done, total)))
    assert found == home / "it.pt" == store.path("it")
    assert found.read_bytes() == CONTENT
    assert left(home) == {"it.pt"}
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert store.fetch("it") == found
    assert behavior.asked == [None]
    assert store.verify("it") == "ok: SHA-256"


def test_what_is_missing_is_said_with_all_that_is_needed_to_get_it(row: CatalogEntry, home: Path) -> None:
    assert not store.here("it")
    with pytest.raises(ValueError, match=r"it\.pt is not here") as caught:
        store.path("it")
    for needed in (row.urls[0], str(home / "it.pt"), "1.0 MB", "CC0-1.0", "`infill weights fetch it`"):
        assert needed in str(caught.value)
    with pytest.raises(ValueError, match="not here"):
        store.verify("it")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown name 'lamma'; did you mean 'lama'"):
        store.path("lamma")
    with pytest.raises(ValueError, match="unknown name 'zzzzzz'; known: lama, "):
        store.fetch("zzzzzz")


def test_a_broken_connection_is_resumed_where_it_was(behavior: Behavior, home: Path) -> None:
    behavior.cut = [300_000, 200_000]
    assert store.fetch("it").read_bytes() == CONTENT
    assert behavior.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_another_command_goes_on_where_the_first_broke_off(behavior: Behavior, home: Path) -> None:
    behavior.cut = [100_000] * 4
    said = fault()
    assert "broke off after 400000 of 1024000 bytes" in said
    assert f"kept in {home / 'it.pt.part'}, and fetching goes on from there" in said
    assert (home / "it.pt.part").read_bytes() == CONTENT[:400_000]
    assert not (home / "it.pt").exists()
    behavior.asked.clear()
    assert store.fetch("it").read_bytes() == CONTENT
    assert behavior.asked == ["bytes=400000-"]
    assert left(home) == {"it.pt"}


@given(have=st.integers(0, len(CONTENT)), ranges=st.booleans())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_there_is_gone_on_with(have: int, ranges: bool, behavior: Behavior, home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "it.pt").unlink(missing_ok=True)
    (home / "it.pt.part").write_bytes(CONTENT[:have])
    behavior.asked.clear()
    behavior.ranges = ranges
    assert store.fetch("it").read_bytes() == CONTENT
    rest = [] if have == len(CONTENT) else [f"bytes={have}-" if have else None]
    assert behavior.asked == rest


def test_a_server_without_ranges_begins_anew(behavior: Behavior, home: Path) -> None:
    behavior.ranges, behavior.cut = False, [300_000]
    assert store.fetch("it").read_bytes() == CONTENT
    assert behavior.asked == [None, "bytes=300000-"]


def test_a_server_that_answers_with_another_part_is_not_believed(behavior: Behavior, home: Path) -> None:
    behavior.cut, behavior.shift = [300_000], 10
    assert store.fetch("it").read_bytes() == CONTENT
    assert behavior.asked == [None, "bytes=300000-", None]


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_part_longer_than_the_file_is_thrown_away(
    size: int | None, behavior: Behavior, row: CatalogEntry, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, replace(row, size=size))
    home.mkdir()
    (home / "it.pt.part").write_bytes(CONTENT + b"more")
    assert store.fetch("it").read_bytes() == CONTENT
    assert behavior.asked == ([None] if size else [f"bytes={len(CONTENT) + 4}-", None])


def test_a_whole_part_of_unknown_size_is_taken(
    behavior: Behavior, row: CatalogEntry, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, replace(row, size=None))
    home.mkdir()
    (home / "it.pt.part").write_bytes(CONTENT)
    assert store.fetch("it").read_bytes() == CONTENT
    assert behavior.asked == [f"bytes={len(CONTENT)}-"]


def test_a_wrong_checksum_is_refused_and_deleted(behavior: Behavior, home: Path) -> None:
    behavior.content = CONTENT[::-1]
    said = fault()
    assert f"instead of {DIGEST}" in said
    assert hashlib.sha256(behavior.content).hexdigest() in said
    assert not {"it.pt", "it.pt.part"} & left(home)


def test_a_damaged_part_is_found_out(behavior: Behavior, home: Path) -> None:
    home.mkdir()
    (home / "it.pt.part").write_bytes(b"x" * 1000)
    assert "not what was published" in fault()
    assert store.fetch("it").read_bytes() == CONTENT


@pytest.mark.parametrize("count", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_wrong_size_is_refused_before_it_is_fetched(count: int, behavior: Behavior, home: Path) -> None:
    behavior.content = (CONTENT + b"x")[:count]
    assert f"has {count} bytes instead of {len(CONTENT)}" in fault()
    assert not {"it.pt", "it.pt.part"} & left(home)
    assert len(behavior.asked) == 1


def test_a_server_that_sends_too_much_is_stopped(behavior: Behavior, home: Path) -> None:
    behavior.told, behavior.content = False, CONTENT * 3
    assert "sends more than the 1024000 bytes" in fault()
    assert not {"it.pt", "it.pt.part"} & left(home)


def test_a_file_whose_length_nobody_knows_is_refused(
    behavior: Behavior, row: CatalogEntry, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behavior.told = False
    put(monkeypatch, replace(row, size=None))
    assert "does not say how long the file is" in fault()


def test_a_missing_file_is_not_asked_for_again(behavior: Behavior, row: CatalogEntry) -> None:
    behavior.status = [404]
    said = fault()
    assert f"{row.urls[0]}: HTTP 404 Not Found" in said
    assert "kept in" not in said
    assert len(behavior.asked) == 1


def test_a_busy_server_is_asked_a_few_times(behavior: Behavior) -> None:
    behavior.status = [503, 429]
    assert store.fetch("it").is_file()
    assert len(behavior.asked) == 3


def test_a_server_that_stays_busy_is_given_up(behavior: Behavior) -> None:
    behavior.status = [503] * 9
    assert "HTTP 503" in fault()
    assert len(behavior.asked) == download._TRIES


def test_a_web_page_is_no_file(
    behavior: Behavior, row: CatalogEntry, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, replace(row, size=None, sha256=None))
    behavior.kind = "text/html; charset=utf-8"
    assert "answers with a web page instead of the file" in fault()
    assert not store.here("it")


def test_a_stalled_server_is_left_and_asked_for_the_rest(
    behavior: Behavior, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_TIMEOUT", 0.3)
    behavior.cut, behavior.stall = [262_144], 1
    assert store.fetch("it").read_bytes() == CONTENT
    assert behavior.asked == [None, "bytes=262144-"]


def test_a_dead_address_says_so(row: CatalogEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    put(monkeypatch, replace(row, urls=(f"http://127.0.0.1:{port}/it.pt",)))
    assert "refused" in fault()


def test_the_second_address_is_taken_if_the_first_fails(
    behavior: Behavior, row: CatalogEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, replace(row, urls=(row.urls[0] + "?first", row.urls[0])))
    behavior.status = [404]
    assert store.fetch("it").is_file()
    assert behavior.paths == ["/file.pt?first", "/file.pt"]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/it.pt", "/etc/hostname", "data:,it"])
def test_other_schemes_are_refused(url: str, row: CatalogEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, replace(row, urls=(url,)))
    assert "expected an address that starts with one of http://, https://, file://" in fault()


def test_a_file_of_this_machine(row: CatalogEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "mirror.pt"
    put(monkeypatch, replace(row, urls=(source.as_uri(),)))
    assert "No such file" in fault()
    source.write_bytes(CONTENT)
    assert store.fetch("it").read_bytes() == CONTENT


def test_the_proxy_of_the_environment_is_used(
    behavior: Behavior, row: CatalogEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", row.urls[0].removesuffix("/file.pt"))
    monkeypatch.setenv("no_proxy", "")
    put(monkeypatch, replace(row, urls=("http://nowhere.invalid/it.pt",)))
    assert store.fetch("it").read_bytes() == CONTENT
    assert behavior.paths == ["http://nowhere.invalid/it.pt"]


class FullDisk:
    """An open file that takes some bytes and no more."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, block: bytes) -> None:
        self.file.write(block[: self.room])
        if len(block) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(block)


def test_a_full_disk_is_one_line_and_what_came_is_gone_on_with(
    behavior: Behavior, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening: Callable[..., Any] = Path.open

    def crowded(path: Path, mode: str = "r", *rest: Any) -> Any:
        file = opening(path, mode, *rest)
        return FullDisk(file, 300_000) if path.suffix == ".part" and mode in ("ab", "wb") else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", crowded)
        said = fault()
    assert "No space left on device" in said
    assert "fetching goes on from there" in said
    assert (home / "it.pt.part").read_bytes() == CONTENT[:300_000]
    assert len(behavior.asked) == 1
    assert store.fetch("it").read_bytes() == CONTENT
    assert behavior.asked[1:] == ["bytes=300000-"]


def test_a_folder_that_cannot_be_made_is_one_line(
    behavior: Behavior, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_text("a file where the folder should be")
    said = fault()
    assert f"cannot write {home / 'it.pt'}" in said
    assert behavior.asked == []

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(home))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    assert f"Permission denied ({home})" in fault()


def test_threads_do_not_get_into_each_others_way(behavior: Behavior, home: Path) -> None:
    behavior.cut = [200_000]
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(store.fetch("it").read_bytes())) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 6
    assert behavior.asked == [None, "bytes=200000-"]
    assert not list(home.glob("*.part"))


def test_processes_do_not_get_into_each_others_way(behavior: Behavior, row: CatalogEntry, home: Path) -> None:
    behavior.cut = [200_000]
    code = "\n".join(
        [
            "from models.weights import catalog, store",
            f"catalog.CATALOG = {{'it': catalog.{row!r}}}",
            "print(store.verify('it') if store.fetch('it') else '')",
        ]
    )
    root = Path(store.__file__).parents[2]
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=60)[0] for process in running] == ["ok: SHA-256\n"] * 3
    assert behavior.asked == [None, "bytes=200000-"]


def test_offline_nothing_is_fetched(behavior: Behavior, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    assert "INFILL_OFFLINE forbids" in fault()
    assert behavior.asked == []
    assert not home.exists()
    monkeypatch.setenv("INFILL_OFFLINE", "0")
    found = store.fetch("it")
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    assert store.fetch("it") == found


@pytest.fixture
def unpublished(behavior: Behavior, row: CatalogEntry, monkeypatch: pytest.MonkeyPatch) -> Behavior:
    """The same file, without a published size or hash."""
    put(monkeypatch, replace(row, size=None, sha256=None))
    return behavior


def test_without_a_published_hash_that_of_the_fetched_file_is_kept(unpublished: Behavior, home: Path) -> None:
    found = store.fetch("it")
    assert left(home) == {"it.pt", "it.pt.sha256"}
    assert (home / "it.pt.sha256").read_text() == f"{DIGEST}  it.pt\n"
    assert store.verify("it") == "not verified: no published hash; unchanged since it was fetched"
    found.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(
        ValueError, match=rf"it\.pt is damaged, or another file: its SHA-256 is .* instead of {DIGEST}"
    ):
        store.verify("it")
    (home / "it.pt.sha256").write_text("nonsense")
    with pytest.raises(ValueError, match=r"it\.pt\.sha256 holds no SHA-256"):
        store.verify("it")
    (home / "it.pt.sha256").unlink()
    assert store.verify("it").startswith("not verified: no published hash, and none")


def test_without_a_published_hash_no_old_pieces_are_used(unpublished: Behavior, home: Path) -> None:
    unpublished.cut = [100_000] * 4
    assert "kept in" not in fault()
    unpublished.asked.clear()
    assert store.fetch("it").read_bytes() == CONTENT
    assert unpublished.asked == [None]


def test_the_first_digits_of_a_hash_are_enough(
    behavior: Behavior, row: CatalogEntry, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, replace(row, sha256=DIGEST[:8]))
    store.fetch("it")
    assert store.verify("it") == "ok: SHA-256 (its first 8 digits)"


@pytest.mark.parametrize(
    ("damaged", "said"),
    [(CONTENT[:-1], "has 1023999 bytes instead of 1024000"), (CONTENT[::-1], f"instead of {DIGEST}")],
    ids=["shorter", "other"],
)
def test_damage_is_found(damaged: bytes, said: str, behavior: Behavior, home: Path) -> None:
    home.mkdir()
    (home / "it.pt").write_bytes(damaged)
    for check in (store.verify, store.fetch):
        with pytest.raises(ValueError, match=rf"is damaged, or another file: .*{said}; delete it"):
            check("it")
    assert behavior.asked == []


def test_where_things_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("INFILL_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert environment.infill_folder() == tmp_path / ".cache" / "infill"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert environment.infill_folder() == tmp_path / "xdg" / "infill"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert environment.infill_folder() == tmp_path / "Library" / "Caches" / "infill"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert environment.infill_folder() == tmp_path / "local" / "infill"
    monkeypatch.setenv("INFILL_HOME", "~/mine")
    assert store.location("lama") == tmp_path / "mine" / "big-lama.pt"


@pytest.mark.parametrize("named", ["TORCH_HOME", "XDG_CACHE_HOME", None])
def test_torchvisions_files_are_where_torch_hub_looks(
    named: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if named:
        monkeypatch.setenv(named, str(tmp_path))
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    assert environment.torch_folder() == folder
    assert store.location("resnet50") == folder / "resnet50-11ad3fa6.pth"
    assert store.location("fcn_resnet50") == folder / "fcn_resnet50_coco-1167a1af.pth"


def test_every_classifier_and_segmenter_of_torchvision_is_known() -> None:
    from torchvision import models

    for module in (models, models.segmentation):
        for name in models.list_models(module=module):
            row, best = catalog.known(name), models.get_model_weights(name).DEFAULT
            assert (row.name, row.kept, row.urls) == (name, "torch", (best.url,))
            assert row.file == best.url.rsplit("/", 1)[-1]
            assert f"-{row.sha256[:8]}" in row.file
            assert row.license == best.meta.get("license", "BSD-3-Clause")
            size = row.size or row.roughly
            assert size / 2**20 == pytest.approx(best.meta["_file_size"], abs=0.01)
    assert store.measure(catalog.known("resnet18")) == "about 47 MB"
    with pytest.raises(
        ValueError, match="unknown name 'deeplabv3_resnet5'; did you mean 'deeplabv3_resnet50'"
    ):
        catalog.known("deeplabv3_resnet5")


def test_a_version_of_torchvisions_weights_has_a_name() -> None:
    from torchvision import models

    for name in ("resnet50", "resnet18", "vit_b_16"):
        entry = models.get_model_weights(name).IMAGENET1K_V1
        row = catalog.known(f"{name}@v1")
        assert (row.name, row.kept, row.urls) == (f"{name}@v1", "torch", (entry.url,))
        assert f"-{row.sha256}" in row.file
        assert row.roughly / 2**20 == pytest.approx(entry.meta["_file_size"], abs=0.01)
    assert catalog.known("resnet50@V2").file == catalog.known("resnet50").file
    with pytest.raises(ValueError, match="torchvision has no resnet50@v7; known: resnet50@v1, resnet50@v2"):
        catalog.known("resnet50@v7")


def test_a_name_of_torchvision_is_fetched_like_any_other(
    behavior: Behavior, row: CatalogEntry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from torchvision import models

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    content = models.ResNet18_Weights.DEFAULT.value
    file = f"resnet18-{DIGEST[:8]}.pth"
    best = SimpleNamespace(DEFAULT=replace(content, url=row.urls[0].replace("file.pt", file)))
    monkeypatch.setattr(models, "get_model_weights", lambda name: best)
    behavior.cut = [300_000]
    found = store.fetch("resnet18")
    assert found == tmp_path / "hub" / "checkpoints" / file
    assert found.read_bytes() == CONTENT
    assert behavior.asked == [None, "bytes=300000-"]
    assert store.verify("resnet18") == "ok: SHA-256 (its first 8 digits)"


def test_weights_without_a_name_are_obtained_like_any_other(behavior: Behavior, row: CatalogEntry) -> None:
    other = replace(row, name="other", file="other.pt")
    assert store.obtain(other).read_bytes() == CONTENT == store.obtain(other).read_bytes()
    assert behavior.asked == [None]
    store.obtain(other).write_bytes(CONTENT[::-1])
    with pytest.raises(ValueError, match=r"other\.pt is damaged"):
        store.obtain(other)


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (urllib.error.URLError(TimeoutError("timed out")), 1),
        (urllib.error.URLError(socket.gaierror(-2, "Name or service not known")), 1),
        (TimeoutError("timed out"), download._TRIES),
        (urllib.error.URLError(ConnectionResetError("reset")), download._TRIES),
    ],
    ids=["no connection", "no such name", "no answer", "reset"],
)
def test_where_nothing_is_reached_nothing_is_tried_again(
    error: OSError, calls: int, row: CatalogEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def fails(*said: object, **_: object) -> None:
        opened.append(said)
        raise error

    monkeypatch.setattr(download, "_opener", lambda: SimpleNamespace(open=fails))
    fault()
    assert len(opened) == calls


def test_the_table_is_in_order() -> None:
    for name, row in CATALOG.items():
        assert row.name == name
        assert row.sha256 is None or re.fullmatch("[0-9a-f]{8}|[0-9a-f]{64}", row.sha256)
        assert row.urls
        assert all(url.startswith(("https://", "http://")) for url in (*row.urls, row.paper))
        digits = re.search(r"-([0-9a-f]{8})\.pth$", row.file)
        assert not digits or row.sha256.startswith(digits[1])
        if row.kept == "hub":
            assert row.urls == (f"https://huggingface.co/{row.file}",)


def test_a_fetch_that_fails_leaves_nothing_behind(
    row: CatalogEntry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INFILL_HOME", str(tmp_path / "deep" / "home"))
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    with pytest.raises(ValueError, match="INFILL_OFFLINE forbids to fetch it"):
        store.obtain(row)
    assert list(tmp_path.iterdir()) == []


def test_another_file_that_lies_where_weights_belong_is_not_used(row: CatalogEntry, home: Path) -> None:
    """It may be a program."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / row.file
    path.write_bytes(b"a program" * 100)
    with pytest.raises(ValueError, match=r"it\.pt is damaged, or another file: it has 900 bytes instead of"):
        store.path(row.name)
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(ValueError, match=r"it\.pt is damaged, or another file: its SHA-256 is"):
        store.path(row.name)
    path.write_bytes(CONTENT)
    assert store.path(row.name) == path
