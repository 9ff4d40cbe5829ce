"""Do heatmaps depend on what was learned, and do they point at what can be learned? Two tests that train.

Remove and retrain (Hooker et al. 2019): the strongest pixels of every image of a small set of scenes, for
training and for testing, are replaced by the mean color, and the network is trained again: the lower its
accuracy, the more of the evidence is gone. It starts from the shipped weights, not from nothing, for which
thousands of scenes would be needed. Labels permuted (Adebayo et al. 2018, 5.2): a network that has
learned by heart what means nothing should not be explained by the same maps.

``python -m benchmarks.retraining`` writes ``results/retraining.md``, piece by piece.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attribution import Execution, Explainer, Lime, MaskedScore, Rise, SlidingPatch
from attribution.evaluation.agreement import AGREEMENTS
from attribution.evaluation.baselines import random_map
from benchmarks.origin import modules_of, origin
from benchmarks.report import Found, command, kept, launch, table, write
from infill import Blur, Filler, Gray
from models.classifiers.scenes import FILE as SHIPPED
from models.classifiers.scenes import PREPROCESSING, SceneClassifier, load
from models.scenes import draw
from studio.registry.identity import content

RUNS = Path("runs/retraining")
USED = ("attribution.evaluation.agreement", "attribution.evaluation.baselines",
        "models.classifiers.scenes", "models.scenes")  # fmt: skip
"""What else maps and scenes come from; after a change of this file itself, delete what is kept."""
SIDE, SMALL, WORLD = 112, 64, 5
SHARES = (0.1, 0.3)
METHODS: Mapping[str, tuple[Explainer, Filler]] = {
    "sp / gray": (SlidingPatch(patch=28, stride=14), Gray()),
    "sp / blur": (SlidingPatch(patch=28, stride=14), Blur()),
    "lime / gray": (Lime(samples=100), Gray()),
    "rise / gray": (Rise(masks=100, estimator="covariance"), Gray()),
}
ROWS = ("random", *METHODS, "object")


@dataclass(frozen=True, eq=False)
class Drawn:
    """Scenes with one object.

    Attributes:
        images: In [0, 1].
        labels: What a network is taught that they show.
        objects: Where the object is.
        first: The number of the first scene; maps that are drawn by chance are drawn by it.
    """

    images: Tensor
    labels: Tensor
    objects: Tensor
    first: int

    def changed(self, images: Tensor) -> "Drawn":
        """Return the same scenes with other pixels."""
        return replace(self, images=images)

    def some(self, count: int) -> "Drawn":
        """Return the first of the scenes."""
        return replace(
            self, images=self.images[:count], labels=self.labels[:count], objects=self.objects[:count]
        )


def scenes(count: int, start: int) -> Drawn:
    """Draw scenes, smaller than usual."""
    found = [draw(number, WORLD, objects=1) for number in range(start, start + count)]
    images = torch.stack([scene.image for scene in found])
    objects = torch.stack([scene.silhouettes[0] for scene in found])[:, None].float()
    return Drawn(
        F.interpolate(images, size=SIDE, mode="area"),
        torch.tensor([scene.labels[0] for scene in found]),
        F.interpolate(objects, size=SIDE, mode="area")[:, 0],
        start,
    )


class Centered(nn.Module):
    """The classifier of scenes, of images in [0, 1]; as it ships without a seed, else as it begins."""

    def __init__(self, seed: int | None) -> None:
        super().__init__()
        if seed is None:
            self.network = load()
            return
        with torch.random.fork_rng():  # layers draw from the global generator, which is given back as it was
            torch.default_generator.manual_seed(seed)
            self.network = SceneClassifier()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (PREPROCESSING.mean, PREPROCESSING.std))
        logits: Tensor = self.network((images - mean) / std)
        return logits


def trained(data: Drawn, epochs: int, seed: int, shipped: bool = True) -> Centered:
    """Train the shipped network on, with flips; or one from nothing, which can learn images by heart."""
    network = Centered(None if shipped else seed).train()
    rng = torch.Generator().manual_seed(seed)
    steps, rate = epochs * (len(data.labels) // 32), 1e-3 if shipped else 3e-3
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.15)
    for _ in range(epochs):
        for rows in torch.randperm(len(data.labels), generator=rng).split(32)[: len(data.labels) // 32]:
            images = data.images[rows]
            if shipped and bool(torch.rand((), generator=rng) < 0.5):
                images = images.flip(3)
            loss = F.cross_entropy(network(images), data.labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, data: Drawn) -> float:
    """How many scenes are taken for what they show."""
    logits = torch.cat([network(images) for images in data.images.split(64)])
    return float((logits.argmax(1) == data.labels).float().mean())


def heatmaps(row: str, network: Centered, data: Drawn) -> Tensor:
    """The maps of all scenes, for the class of their labels."""
    if row == "object":
        rng = torch.Generator().manual_seed(data.first)
        return data.objects + 1e-3 * torch.rand(data.objects.shape, generator=rng)
    if row == "random":  # one a scene: the same holes everywhere would take the same evidence from no scene
        seeds = range(data.first, data.first + len(data.objects))
        return torch.stack([random_map((SIDE, SIDE), torch.Generator().manual_seed(seed)) for seed in seeds])
    method, filler = METHODS[row]
    maps = []
    for image, label in zip(data.images, data.labels.tolist(), strict=True):
        maps.append(method(MaskedScore(image, label, network, filler, execution=Execution(64)))[0])
    return torch.stack(maps)


def without(data: Drawn, maps: Tensor, share: float, color: Tensor) -> Drawn:
    """Replace the strongest pixels by a color; of equal ones the first."""
    count = round(share * SIDE * SIDE)
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)[:, :count]
    gone = torch.zeros_like(maps).flatten(1).scatter_(1, order, 1.0).view_as(maps)[:, None]
    return data.changed(torch.lerp(data.images, color.view(1, 3, 1, 1).expand_as(data.images), gone))


def retrained(row: str, network: Centered, data: tuple[Drawn, Drawn], epochs: int, seeds: int) -> Found:
    """Accuracy after each share of the pixels was removed, by share and seed."""
    maps = [heatmaps(row, network, each) for each in data]
    color, found = data[0].images.mean((0, 2, 3)), np.empty((len(SHARES), seeds))
    for i, share in enumerate(SHARES):
        train, test = (without(each, some, share, color) for each, some in zip(data, maps, strict=True))
        for seed in range(seeds):
            found[i, seed] = accuracy(trained(train, epochs, 10 + seed), test)
    return {"accuracy": found}


def by_heart(train: Drawn, epochs: int, count: int) -> Found:
    """Agreement with the maps of a network that learned permuted labels, and with one of another seed.

    Each network is explained for the class that it was taught: what it has learned to be wrong is no
    evidence of anything.
    """
    train = train.changed(F.interpolate(train.images, size=SMALL, mode="area"))
    order = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(3))
    taught = {"true": train, "other": train, "permuted": replace(train, labels=train.labels[order])}
    networks = {
        "true": trained(train, epochs, 1, False),
        "other": trained(train, epochs, 2, False),
        "permuted": trained(taught["permuted"], 3 * epochs, 3, False),
    }
    found: dict[str, np.ndarray] = {"learned": np.array(accuracy(networks["permuted"], taught["permuted"]))}
    for row in METHODS:
        maps = {name: heatmaps(row, network, taught[name].some(count)) for name, network in networks.items()}
        for name in ("other", "permuted"):
            for metric, alike in AGREEMENTS.items():
                pairs = zip(maps["true"], maps[name], strict=True)
                found[f"{row}|{name}|{metric}"] = np.array([alike(a, b) for a, b in pairs])
    return found


def main() -> None:
    """Train, measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=384)
    parser.add_argument("--test", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--explained", type=int, default=40, help="Scenes whose maps are compared.")
    options = parser.parse_args()
    data = scenes(options.train, 0), scenes(options.test, 10**5)
    network = trained(data[0], options.epochs, 1)
    whole = [accuracy(trained(data[0], options.epochs, 10 + seed), data[1]) for seed in range(options.seeds)]
    print("untouched", whole, flush=True)
    size = f"{options.train}-{options.test}-{options.epochs}-{options.seeds}-{made_by()}"
    rows = {}
    for row in ROWS:
        job: Callable[[], Found] = partial(retrained, row, network, data, options.epochs, options.seeds)
        rows[row] = kept(RUNS / size / f"{row.replace(' / ', '-')}.npz", job)["accuracy"]
        print(row, rows[row].tolist(), flush=True)
    job = partial(by_heart, data[0], 25, options.explained)
    found = kept(RUNS / size / f"permuted-{options.explained}.npz", job)
    body = f"{_retrained(rows, whole, options)}\n\n{_permuted(found, options)}"
    title = "Remove and retrain, and labels permuted"
    write("retraining", title, command("benchmarks.retraining", parser, options), body)


def made_by() -> str:
    """What the maps come from."""
    things = [each for pair in METHODS.values() for each in pair]
    return origin({*modules_of(things), *USED}, METHODS, content(SHIPPED))


def _retrained(rows: Mapping[str, np.ndarray], whole: list[float], options: argparse.Namespace) -> str:
    lines = [
        [row, *(" ".join(f"{100 * value:.1f}" for value in values) for values in found)]
        for row, found in rows.items()
    ]
    untouched = " ".join(f"{100 * value:.1f}" for value in whole)
    return (
        "## Remove and retrain\n\nAccuracy in percent, seed by seed, of the shipped network trained on and "
        f"tested on scenes (one\nobject of 12 classes, {SIDE} x {SIDE}, {options.train} for training, "
        f"{options.test} for testing) without their strongest pixels.\nUntouched: {untouched}.\n\n"
        + table(["", *(f"{100 * share:.0f} % removed" for share in SHARES)], lines)
    )


def _permuted(found: Found, options: argparse.Namespace) -> str:
    lines = [
        [
            row,
            *(
                f"{found[f'{row}|{name}|{metric}'].mean():.3f}"
                for metric in AGREEMENTS
                for name in ("other", "permuted")
            ),
        ]
        for row in METHODS
    ]
    head = [f"{metric}, {name}" for metric in AGREEMENTS for name in ("another seed", "permuted")]
    return (
        f"## Labels permuted\n\nAgreement of the maps of {options.explained} scenes that were trained on, "
        "of a network with the true labels: with\nthose of one from another seed, and with those of one that "
        "has learned permuted labels by heart,\neach for the class that it was taught, "
        f"at {SMALL} x {SMALL} "
        f"({100 * float(found['learned']):.1f} % of them).\n\n" + table(["", *head], lines)
    )


if __name__ == "__main__":
    launch(main)
