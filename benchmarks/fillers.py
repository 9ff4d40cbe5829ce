"""`uv run python -m benchmarks.fillers`: how near each filler comes to the truth behind a hole, on scenes.

The holes are the silhouettes of the objects, grown by two pixels (what is behind them is known), and squares
on empty backgrounds. Figures are means over scenes with a bootstrap 95 % interval; lower is better except
for PSNR.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from benchmarks.report import table, write
from infill import Blur, Filler, Gray, Mean, NavierStokes, Noise, Telea
from models.scene_classifier import MEAN, STD
from models.scene_classifier import load as load_classifier
from models.scenes import draw
from studio.registry import build_filler

WORLD = 2
"""Neither the default world nor the one that the networks were trained in."""

FILLERS: dict[str, Filler] = {
    "gray": Gray(), "mean": Mean(), "noise": Noise(), "blur": Blur(), "telea": Telea(), "ns": NavierStokes(),
}  # fmt: skip


def silhouettes(count: int) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
    """(image, truth, hole, label) with every object under the hole."""
    for index in range(count):
        scene = draw(index, WORLD, objects=1)
        hole = max_pool2d(scene.silhouettes.any(0)[None].float(), 5, 1, 2)
        yield scene.image, scene.background, hole, scene.labels[0]


def squares(count: int, side: int) -> Iterator[tuple[Tensor, Tensor, Tensor, int]]:
    """(image, truth, hole, label) on scenes without an object; the label means nothing."""
    rng = torch.Generator().manual_seed(side)
    for index in range(count):
        background = draw(index, WORLD, objects=0).image
        y, x = torch.randint(0, 224 - side + 1, (2,), generator=rng).tolist()
        hole = torch.zeros(1, 224, 224)
        hole[:, y : y + side, x : x + side] = 1
        yield background, background, hole, 0


def interval(values: np.ndarray) -> str:
    """Mean and bootstrap 95 % interval."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (1000, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


@torch.inference_mode()
def measure(filler: Filler, cases: list[tuple[Tensor, Tensor, Tensor, int]]) -> dict[str, np.ndarray]:
    """Error inside the hole, the probability left of the removed class, and the time, case by case."""
    classifier = load_classifier()
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    rng = torch.Generator().manual_seed(0)
    rows = []
    for image, truth, hole, label in cases:
        started = time.perf_counter()
        fill = filler(image[None], hole[None], rng)[0]
        spent = time.perf_counter() - started
        seen = hole[0] > 0
        error = (fill - truth)[:, seen]
        composite = torch.lerp(image, fill, hole)
        left = classifier(((composite - mean) / std)[None]).softmax(1)[0, label]
        rows.append(
            (
                error.abs().mean().item(),
                -10 * error.square().mean().clamp(min=1e-10).log10().item(),
                left.item(),
                spent,
            )
        )
    return dict(zip(("L1", "PSNR", "p", "seconds"), np.array(rows).T, strict=True))


def main() -> None:
    """Measure every filler on every kind of hole and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    count = parser.parse_args().count
    fillers = FILLERS | {"inpaint": build_filler("inpaint", {}, draw(0).image)}
    parts = []
    for title, cases in {
        "Silhouettes": list(silhouettes(count)),
        "Squares of 29 px": list(squares(count, 29)),
        "Squares of 53 px": list(squares(count, 53)),
    }.items():
        rows = []
        for name, filler in fillers.items():
            found = measure(filler, cases)
            row = [name, interval(found["PSNR"]), interval(found["L1"])]
            if title == "Silhouettes":
                row.append(interval(found["p"]))
            rows.append([*row, f"{1000 * np.median(found['seconds']):.0f} ms"])
        header = ["filler", "PSNR in the hole, dB (higher is better)", "L1 in the hole (lower)"]
        header += ["probability of the removed class (lower)"] if title == "Silhouettes" else []
        parts.append(f"## {title}\n\n{table([*header, 'median time, batch 1'], rows)}")
    body = (
        f"{count} scenes of world {WORLD}, against the true background; mean and bootstrap 95 % interval.\n\n"
    )
    write(
        "fillers",
        "How near a filler comes to what was behind the hole",
        "python -m benchmarks.fillers",
        body + "\n\n".join(parts),
    )


if __name__ == "__main__":
    main()
