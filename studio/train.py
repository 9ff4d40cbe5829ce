"""`infill train`: trains the two networks that ship with the package."""

from __future__ import annotations

from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


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
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the weights. [default: shipped]")
@click.pass_context
def train(context: click.Context, /, **shared: object) -> None:
    """Train the networks that ship with infill: a classifier of scenes and an inpainter."""
    import torch

    if shared["device"] == "auto":
        shared["device"] = "cuda" if torch.cuda.is_available() else "cpu"
    if shared["out"] is None:
        del shared["out"]
    context.obj = {**shared, "log": click.echo}


@train.command()
@click.option("--epochs", default=8, show_default=True)
@click.option("--batch", default=64, show_default=True)
@click.pass_obj
def classifier(shared: dict[str, object], /, **options: object) -> None:
    """Train the classifier of scenes."""
    from models.training.classifier import train_classifier

    train_classifier(**options, **shared)  # type: ignore[arg-type]


@train.command()
@click.option(
    "--photos",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of photographs; without it, scenes only.",
)
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--side", default=128, show_default=True, help="Side of the training crops, in pixels.")
@click.option("--batch", default=16, show_default=True)
@click.option("--lr", default=1e-3, show_default=True, help="Highest learning rate.")
@click.option(
    "--perceptual",
    default=0.2,
    show_default=True,
    help="Weight of LPIPS (squeeze), whose backbone torchvision keeps under TORCH_HOME; 0 does without.",
)
@click.option("--start", type=_FILE, help="Weights to go on from.")
@click.pass_obj
def inpainter(shared: dict[str, object], /, **options: object) -> None:
    """Train the small inpainter."""
    from models.training.inpainter import train_inpainter

    train_inpainter(**options, **shared)  # type: ignore[arg-type]
