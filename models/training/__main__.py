"""`python -m models.training classifier|inpainter`: trains the two networks that ship with the package."""

from pathlib import Path

import click
import torch

from models.training.classifier import train_classifier
from models.training.inpainter import train_inpainter


@click.group()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("runs/data"),
    show_default=True,
    help="Where drawn scenes are kept.",
)
@click.option("--scenes", default=10000, show_default=True, help="How many scenes to train on.")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu", show_default=True)
@click.pass_context
def main(context: click.Context, data: Path, scenes: int, seed: int, device: str) -> None:
    """Train the networks that ship with the package."""
    context.obj = {"data": data, "scenes": scenes, "seed": seed, "device": device, "log": click.echo}


@main.command()
@click.option("--epochs", default=10, show_default=True)
@click.option("--batch", default=64, show_default=True)
@click.pass_obj
def classifier(shared: dict[str, object], epochs: int, batch: int) -> None:
    """Train the classifier of scenes."""
    train_classifier(epochs=epochs, batch=batch, **shared)  # type: ignore[arg-type]


@main.command()
@click.option(
    "--photos",
    type=click.Path(path_type=Path, exists=True),
    help="A folder of photographs; without it, scenes only.",
)
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--side", default=160, show_default=True, help="Side of the training crops, in pixels.")
@click.option("--batch", default=16, show_default=True)
@click.option(
    "--perceptual",
    default=0.0,
    show_default=True,
    help="Weight of LPIPS; needs its backbone under TORCH_HOME.",
)
@click.option("--lr", default=6e-4, show_default=True)
@click.option("--start", type=click.Path(path_type=Path, exists=True), help="Weights to go on from.")
@click.pass_obj
def inpainter(shared: dict[str, object], /, **options: object) -> None:
    """Train the small inpainter."""
    train_inpainter(**options, **shared)  # type: ignore[arg-type]


main()
