"""The folder of a run: its settings, a part for every unit that is done, heatmaps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from studio.files import BY_CONTENT
from studio.output import require_folder
from studio.runs.part import DamagedError, ForeignError, Part, read_part, write_part
from studio.runs.write import remove_unfinished, write_whole

if TYPE_CHECKING:
    from numpy import ndarray

Key: TypeAlias = "tuple[int, str]"
"""Which unit: the number of its image, and what is done with it."""

FORMAT = 1
"""Of the folder; another one's parts are not understood."""
REVISION = 5
"""Of what `infill evaluate` finds. It is raised when that is something else, so that no run is half of each.
2: heatmaps say nothing of what the classifier does not see of a photograph (was: 0). 3: of pixels that
rounding alone tells apart the pointing game takes the first; curves are over the share of pixels. 4: which
class of an image is the target does not depend on boxes that overlap, or stand twice. 5: deletion and
insertion take 28 steps of images of any size, a last one as wide as it is."""
SETTINGS = "run.json"
JOINT = "--"
"""What stands between a method and its filler in a unit's name, and in none of theirs."""
_PARTS, _HEATMAPS = "parts", "heatmaps"
EXAMPLE = "example"
"""The unit that looks at an image, and says whether it is used."""


class RunFolder:
    """Parts by unit. What is there is done; what is not, is to be done.

    Every file is written under another name first, so that a run can be killed at any moment.

    Attributes:
        damaged: Files that could not be read, and count as not there.
        settings: All that the run's results depend on.
        asked: As what the user has given the folder.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], asked: str = "--out") -> None:
        self.path, self.settings, self._asked = path, settings, asked
        text = json.dumps(settings, sort_keys=True, default=str)
        self._digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.damaged: list[Path] = []

    def begin(self) -> None:
        """Write down the settings, or check that they are those with which the run began.

        Raises:
            ValueError: If they are not; the message says in what they differ. Or if there is a file where
                parts or heatmaps are to be.
        """
        path = self.path / SETTINGS
        for name in (_PARTS, _HEATMAPS):
            require_folder(self.path / name)
        if path.exists():
            before = read_settings(self.path, self._asked)
            _check_same(before, json.loads(json.dumps(self.settings, default=str)), self.path)
        remove_unfinished(self.path)
        if not path.exists():
            content = {"format": FORMAT, "settings": self.settings}
            text = json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"
            write_whole(path, lambda draft: draft.write_text(text, "utf-8"))

    def load(self, key: Key) -> Part | None:
        """Return what was kept; ``None`` if nothing was, or the file is damaged.

        Raises:
            ValueError: If it is of another run.
        """
        path = self.file(key)
        try:
            return read_part(path, self._digest)
        except FileNotFoundError:
            return None
        except DamagedError:
            if path not in self.damaged:
                self.damaged.append(path)
            return None
        except ForeignError:
            raise ValueError(
                f"{self._asked}: {path} is a part of another run; move it away, or give another folder"
            ) from None

    def save(self, key: Key, part: Part, heatmap: ndarray | None = None) -> None:
        """Keep what a unit has found, the heatmap (or a picture, in 8 bits) first: a part's is there."""
        if heatmap is not None:
            write_whole(self.heatmap_file(key), lambda draft: _save_heatmap(draft, heatmap))
        write_whole(self.file(key), lambda draft: write_part(part, draft, self._digest))

    def file(self, key: Key) -> Path:
        """Return where a part is."""
        return self.path / _PARTS / f"{key[0]:06d}" / f"{key[1]}.parquet"

    def heatmap_file(self, key: Key) -> Path:
        """Return where a unit's heatmap is."""
        return self.path / _HEATMAPS / f"{key[0]:06d}" / f"{key[1]}.npz"

    def heatmap(self, key: Key) -> ndarray | None:
        """Return a unit's heatmap, of half precision, or its picture; ``None`` if it cannot be read."""
        import numpy as np

        try:
            with np.load(self.heatmap_file(key), allow_pickle=False) as arrays:
                found: ndarray = arrays["heatmap"]
                # Pictures have no scale, nor have heatmaps of older runs.
                return found.astype(np.float32) * arrays["scale"] if "scale" in arrays else found
        except Exception:  # whatever is wrong with a file, it is a picture less
            return None


def unit_name(method: str, filler: str) -> str:
    """Return what the unit of a method and a filler is called; a baseline has no filler."""
    return f"{method}{JOINT}{filler}" if filler else method


def read_settings(path: Path, asked: str = "RUN") -> dict[str, Any]:
    """Return the settings with which a run began; ``asked`` is as what the user has given the folder.

    Raises:
        ValueError: If there are none, they cannot be read, or the folder is of another version.
    """
    try:
        content = json.loads((path / SETTINGS).read_text("utf-8"))
        number, settings = content["format"], dict(content["settings"])
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{asked}: {_no_run(path)}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{asked}: {path / SETTINGS} cannot be read ({error}); give another folder"
        ) from error
    if number != FORMAT:
        raise ValueError(
            f"{asked}: {path} is of format {number}, and this version of infill knows format {FORMAT}; "
            "give another folder, or take the version that made it"
        )
    return settings


def _no_run(path: Path) -> str:
    if not path.is_dir():
        return f"{path} is no folder"
    if (path / "realism.json").exists():
        return f"{path} is a run of `infill realism`, whose table is its realism.csv"
    return f"{path} is no run of `infill evaluate`: it has no {SETTINGS}"


def opened(path: Path) -> RunFolder:
    """Return the folder of a run that has begun.

    Raises:
        ValueError: As for `read_settings`.
    """
    return RunFolder(path, read_settings(path), "RUN")


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    differences = list(_differences(before, now))
    if differences and _knows_places(before):
        raise ValueError(
            f"--out: {path} was begun by an older infill, which knew weights by where their file was, not by "
            "its content; go on with that infill, or give another folder (`infill report` reads this one)"
        )
    if _knows_times(before, now):
        raise ValueError(
            f"--out: {path} was begun by an older infill, which knew photographs by their files' times, "
            "not by their content; go on with that infill, or give another folder (`infill report` reads "
            "this one)"
        )
    if before.get("revision") != now.get("revision"):
        raise ValueError(
            f"--out: {path} was begun by an older infill, whose metrics find something else; go on with that "
            "infill, or give another folder (`infill report` reads this one)"
        )
    if differences:
        # Mostly they follow from other methods and fillers, and then say the same again.
        told = [each for each in differences if not each.startswith("pairs: ")] or differences
        raise ValueError(
            f"--out: {path} holds a run with other settings; give another folder. " + "; ".join(told)
        )


def _knows_places(settings: Mapping[str, Any]) -> bool:
    """Whether a filler's weights are a list, as before they were the digests of files by name."""
    fillers = settings.get("fillers", settings.get("filler"))  # `infill fill-blanks` has one
    known = fillers.values() if isinstance(fillers, dict) else ()
    return any(isinstance(each, dict) and isinstance(each.get("weights"), list) for each in known)


def _knows_times(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the data's fingerprint is of content now, and was not before."""
    was, is_ = (str(settings.get("fingerprint", BY_CONTENT)) for settings in (before, now))
    same: bool = before.get("data") == now.get("data")
    return same and is_.startswith(BY_CONTENT) and not was.startswith(BY_CONTENT)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> Iterator[str]:
    for name in sorted({*before, *now}):
        old, new, place = before.get(name), now.get(name), f"{within}{name}"
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{place}.")
        elif old != new:
            yield f"{place}: {_said(old, new)} there, {_said(new, old)} now"


def _said(value: Any, other: Any) -> str:
    """Return one side of a difference; of what is on one side alone, that it is there is enough."""
    if value is None:
        return "none"
    return "given" if other is None and isinstance(value, dict) else _short(value)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _save_heatmap(path: Path, heatmap: ndarray) -> None:
    import numpy as np

    with path.open("wb") as file:
        if heatmap.dtype == np.uint8:
            np.savez_compressed(file, heatmap=heatmap)
        else:
            # Half precision is infinite above 65504 and 0 below 6e-8; scores have any unit.
            finite = np.abs(heatmap[np.isfinite(heatmap)], dtype=np.float32)
            scale = np.float32(finite.max(initial=0) or 1)
            np.savez_compressed(file, heatmap=(heatmap / scale).astype(np.float16), scale=scale)
