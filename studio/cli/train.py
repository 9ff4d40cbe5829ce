"""`infill train`: trains the two networks that ship with the package."""

from __future__ import annotations

from pathlib import Path

import click

from studio.cli.options import FILES, Files, stoppable

_FOLDER = Files(path_type=Path, file_okay=False)
_FILE = Files(path_type=Path, exists=True, dir_okay=False)


@click.group()
@click.option(
    "--data",
    type=_FOLDER,
    default="runs/data",
    show_default=True,
    help="Where drawn scenes are kept between runs.",
)
@click.option("--scenes", default=10000, show_default=True, help="How many scenes to train on.")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, ...; auto takes a GPU if any.")
@click.option("--out", type=FILES, help="Where to write the weights. [default: shipped]")
@click.pass_context
def train(context: click.Context, /, **shared: object) -> None:
    """Train the networks that ship with infill: a classifier of scenes and an inpainter."""
    from studio.registry.parse import parse_device

    shared["device"] = str(parse_device(str(shared["device"])))
    if shared["out"] is None:
        del shared["out"]
    context.obj = {**shared, "log": click.echo}


@train.command()
@click.option("--epochs", default=8, show_default=True)
@click.option("--batch", default=64, show_default=True)
@click.pass_obj
def classifier(shared: dict[str, object], /, **options: object) -> None:
    """Train the classifier of scenes."""
    from studio.training.classifier import train_classifier

    with stoppable():
        train_classifier(**options, **shared)  # type: ignore[arg-type]


@train.command()
@click.option(
    "--photos",
    type=Files(path_type=Path, exists=True, file_okay=False),
    help="A folder of photographs; without it, scenes only.",
)
@click.option("--minutes", default=60.0, show_default=True, help="Wall time in all.")
@click.option("--side", type=int, help="Side of the training crops, in pixels. [default: 128; on a GPU 224]")
@click.option("--batch", type=int, help="Crops a step. [default: 16; on a GPU 64]")
@click.option("--workers", type=int, help="Processes that cut crops; 0: this one. [default: 1; on a GPU 8]")
@click.option("--lr", default=6e-4, show_default=True, help="Highest learning rate.")
@click.option(
    "--perceptual",
    default=0.5,
    show_default=True,
    help="Weight of LPIPS (squeeze), whose backbone torchvision keeps under TORCH_HOME; 0 does without.",
)
@click.option(
    "--adversarial",
    default=0.01,
    show_default=True,
    help="Weight of a critic of the same features; 0 does without.",
)
@click.option("--start", type=_FILE, help="Weights to start from.")
@click.option("--run", type=_FOLDER, default="runs/inpainter", show_default=True,
              help="Where the log, sheets of samples, and the state to resume from are kept.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with what --run holds.")
@click.pass_obj
def inpainter(
    shared: dict[str, object], /, side: int | None, batch: int | None, workers: int | None, minutes: float,
    lr: float, perceptual: float, adversarial: float, **options: object,
) -> None:  # fmt: skip
    """Train the small inpainter: on a CPU in a small configuration, on a GPU in the full one."""
    from studio.training.inpainter import train_inpainter
    from studio.training.steps import Recipe

    full = str(shared["device"]).startswith("cuda")
    seed = shared.pop("seed")
    recipe = Recipe(
        minutes=minutes, side=_or(side, 224 if full else 128), batch=_or(batch, 64 if full else 16), lr=lr,
        perceptual=perceptual, adversarial=adversarial, seed=seed,  # type: ignore[arg-type]
    )  # fmt: skip
    workers = _or(workers, 8 if full else 1)
    with stoppable():
        train_inpainter(recipe=recipe, workers=workers, **options, **shared)  # type: ignore[arg-type]


def _or(given: int | None, usual: int) -> int:
    return usual if given is None else given
