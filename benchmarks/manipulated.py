"""Explanations that are manipulated: an image changed so that its gradient looks like that of another image.

``python -m benchmarks.manipulated`` does what Dombrowski et al. (2019, eq. 2) do: in steps of Adam a scene
is changed until its gradient heatmap is near another scene's while the logits stay; ReLUs are softplus
meanwhile, for they have no second derivative. It then asks how far the heatmap of each method has moved,
beside how far it moves when the same change is made in shuffled pixels, and writes
``results/manipulated.md``. What is found is kept in ``runs/manipulated``, scene by scene.
"""

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from attribution import Explainer, MaskedScore
from attribution.evaluation.agreement import agreement
from benchmarks.fillers import origin_of
from benchmarks.intervals import FEW, interval
from benchmarks.report import Found, command, kept, launch, table, write
from models.classifiers import load_classifier
from models.classifiers.scenes import FILE as SHIPPED
from models.scenes import draw
from studio.registry.build import build_filler, build_method
from studio.registry.tables import METHODS as KNOWN

RUNS = Path("runs/manipulated")
METHODS = (
    ("gradient", "gray"), ("integrated", "gray"), ("gradcam", "gray"),
    ("sp", "gray"), ("sp", "inpaint"), ("rise", "gray"),
)  # fmt: skip
SETTINGS = {
    "integrated": {"steps": "20"},
    "sp": {"stride": "16"},
    "rise": {"masks": "300"},
}
USED = (agreement.__module__, "models.scenes")
BETA, RATE = 20.0, 2e-3
"""Of softplus, and of Adam."""
OUTPUT = 10.0
"""Weight of the logits, beside a distance of heatmaps that is 1 where nothing is alike."""


class Softened(TorchFunctionMode):
    """Every ReLU is softplus."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch, or softplus in its place."""
        if func in (torch.relu, F.relu, Tensor.relu):
            return F.softplus(args[0], beta=BETA)
        return func(*args, **(kwargs or {}))


def gradient(network: nn.Module, image: Tensor, target: int, graph: bool) -> tuple[Tensor, Tensor]:
    """The gradient heatmap of an image, of mean 1, and its logits."""
    logits = network(image)
    (slope,) = torch.autograd.grad(logits[0, target], image, create_graph=graph)
    heatmap = slope.abs().sum(dim=1)
    return heatmap / heatmap.mean(), logits


def manipulated(network: nn.Module, image: Tensor, target: int, other: Tensor, options: Any) -> Tensor:
    """An image near the first whose gradient heatmap is near that of the other (eq. 2)."""
    start = image.clone().requires_grad_()
    wanted, _ = gradient(network, other.clone().requires_grad_(), int(network(other).argmax()), False)
    with torch.no_grad():
        logits = network(image)
    with Softened():
        first, _ = gradient(network, start, target, False)
    apart = (first - wanted).square().mean()
    changed = image.clone().requires_grad_()
    search = torch.optim.Adam([changed], lr=RATE)
    for _ in range(options.steps):
        search.zero_grad()
        with Softened():
            heatmap, _ = gradient(network, changed, target, True)
        distance = (heatmap - wanted).square().mean() / apart
        loss = distance + OUTPUT * (network(changed) - logits).square().mean() / logits.var()
        loss.backward()
        search.step()
        with torch.no_grad():
            change = (changed - image).clamp(-options.epsilon, options.epsilon)
            changed.copy_((image + change).clamp(0, 1))
    return changed.detach()


def explainer(name: str) -> Explainer:
    """A method, with quick settings."""
    return build_method(name, {name: SETTINGS.get(name, {})}, preset="quick")


def heatmaps(classifier: Any, image: Tensor, target: int) -> dict[str, Tensor]:
    """The heatmap of each method."""
    found = {}
    for name, filler in METHODS:
        score = MaskedScore(image[0], target, classifier, build_filler(filler, {}, image[0]))
        found[f"{name} / {filler}"] = explainer(name)(score)[0].float().cpu()
    return found


def measured(number: int, options: Any) -> Found:
    """What the manipulation of one scene does to output, image and heatmaps."""
    classifier = load_classifier("scenes")
    network = classifier.requires_grad_(False).eval()
    scene, other = draw(number, objects=1), draw(number + 1000, objects=1)
    image, target = scene.image[None], scene.labels[0]
    changed = manipulated(network, image, target, other.image[None], options)
    order = torch.randperm(image[0, 0].numel(), generator=torch.Generator().manual_seed(number))
    change = (changed - image).flatten(2)[..., order].view_as(image)
    shuffled = (image + change).clamp(0, 1)
    with torch.no_grad():
        shares = [network(each).softmax(1)[0] for each in (image, changed, shuffled)]
    maps = {
        name: heatmaps(classifier, each, target)
        for name, each in {"before": image, "after": changed, "shuffled": shuffled}.items()
    }
    wanted = heatmaps_of_gradient(classifier, other.image, int(other.labels[0]))
    found = {
        "probability": np.array([float(share[target]) for share in shares]),
        "same": np.array([int(share.argmax() == shares[0].argmax()) for share in shares]),
        "largest": np.array(float((changed - image).abs().max())),
        "mean": np.array(float((changed - image).square().mean().sqrt())),
        "to-other": np.array(
            [agreement(torch.stack([maps[name]["gradient / gray"], wanted]))["spearman"] for name in maps]
        ),
    }
    for row in maps["before"]:
        for name in ("after", "shuffled"):
            alike = agreement(torch.stack([maps["before"][row], maps[name][row]]))
            found[f"{row}|{name}"] = np.array([alike["spearman"], alike["ssim"]])
    return found


def heatmaps_of_gradient(classifier: Any, image: Tensor, target: int) -> Tensor:
    """The gradient's heatmap alone."""
    return build_method("gradient", {})(MaskedScore(image, target, classifier))[0].float().cpu()


def body(scenes: list[Found], options: argparse.Namespace) -> str:
    """The tables."""
    together: Mapping[str, np.ndarray] = {key: np.stack([each[key] for each in scenes]) for key in scenes[0]}
    rows = []
    for name, filler in METHODS:
        row = f"{name} / {filler}"
        cells = [interval(together[f"{row}|{how}"][:, at]) for at in (0, 1) for how in ("after", "shuffled")]
        rows.append([row if KNOWN[name].fills else name, *cells])
    head = ["", "Spearman", "Spearman, shuffled", "SSIM", "SSIM, shuffled"]
    chance, same = together["probability"].mean(0), together["same"].mean(0)
    other = together["to-other"].mean(0)
    return f"""\
How alike each method's heatmap and that of the untouched scene are, after the scene was changed so that its
gradient looks like another scene's, and after the same change in shuffled pixels: means over {len(scenes)}
scenes with 95 % intervals ({FEW}); 1: nothing has moved. Shipped classifier, quick settings (`sp.stride=16`,
`rise.masks=300`, `integrated.steps=20`). No value changes by more than {options.epsilon:.4f}; by
{together["mean"].mean():.4f} on average (root mean square).

The probability of the class is {chance[0]:.3f} before, {chance[1]:.3f} after, and {chance[2]:.3f} with the
shuffled change; the first choice stays for {100 * same[1]:.0f} %. The gradient's rank correlation with the
other scene's gradient is {other[0]:.2f} before, {other[1]:.2f} after, {other[2]:.2f} shuffled. The attack is
on the gradient alone (Dombrowski et al. 2019, eq. 2; {options.steps} steps of Adam, softplus of beta
{BETA:.0f}): it says nothing of how another method would stand one that is made for it.

{table(head, rows)}"""


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--epsilon", type=float, default=8 / 255, help="The most that a value changes.")
    options = parser.parse_args()
    made_by = origin_of(
        [filler for _, filler in METHODS],
        [explainer(name) for name, _ in METHODS],
        USED,
        classifiers=[SHIPPED],
    )
    found = []
    for number in range(options.scenes):
        path = RUNS / f"{options.steps}-{options.epsilon:.5f}-{made_by}" / f"{number}.npz"
        found.append(kept(path, partial(measured, number, options)))
        print(number, flush=True)
    title = "Explanations that are manipulated"
    said = command("benchmarks.manipulated", parser, options)
    write("manipulated", title, said, body(found, options), ("torch", "captum", "grad-cam"))


if __name__ == "__main__":
    launch(main)
