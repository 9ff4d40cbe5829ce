"""How far the training of the small inpainter has come: networks, optimizers, one step after another."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from infill.network import fast_dtype
from infill.realism.similarity import Perceptual
from infill.validate import Count, Positive, Range, Seed, Weight, require, require_settings
from models.inpainters.small import MULTIPLE, SOFTEN_IN_TRAINING, TILE, SmallInpainter, evened, load
from models.scenes import SIDE
from models.weights.libraries import one_line
from studio.training.adversary import Critic, critic_loss, fooling_loss, perceptual


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        minutes: Wall time, that of what is resumed included.
        side: Side of the crops in pixels, a multiple of 8; scenes have 224.
        batch: Crops a step.
        lr: Highest learning rate; it warms up over 200 steps and falls as a cosine.
        perceptual: Weight of LPIPS of the composite, beside the mean absolute error under the hole.
        adversarial: Weight of the critic's verdict on the composite.
        seed: Seed of weights and samples.

    Raises:
        ValueError: If one is out of its range.
    """

    minutes: Positive = 60.0
    side: Annotated[int, Range(32, SIDE)] = 128
    batch: Count = 16
    lr: Positive = 6e-4
    perceptual: Weight = 0.5
    adversarial: Weight = 0.01
    seed: Seed = 0

    def __post_init__(self) -> None:
        require_settings(self)
        require(self.side % MULTIPLE == 0, "side", f"a multiple of {MULTIPLE}", self.side)


class Training:
    """The networks, their optimizers, and how far they have come; ``data`` is what they learn from."""

    def __init__(
        self, recipe: Recipe, device: str, start: Path | None, data: Mapping[str, object] | None = None
    ) -> None:
        self.recipe, self.data = recipe, dict(data or {})
        with torch.random.fork_rng():  # layers draw from the global generator, which is given back as it was
            torch.default_generator.manual_seed(recipe.seed)
            network = evened(load(start)) if start else SmallInpainter(even=True)
            self.network = network.to(device).to(memory_format=torch.channels_last).train()
            self.critic = Critic().to(device)
        self.average = deepcopy(self.network)
        self.lpips = None
        if recipe.perceptual or recipe.adversarial:
            self.lpips = perceptual().to(device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), recipe.lr, betas=(0.9, 0.98), weight_decay=1e-4
        )
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), 4e-4, betas=(0.0, 0.98))
        self.chance = torch.Generator().manual_seed(recipe.seed)
        self.step, self.seconds = 0, 0.0

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """What has to be kept to go on."""
        return {
            "network": self.network, "average": self.average, "critic": self.critic,
            "optimizer": self.optimizer, "critic_optimizer": self.critic_optimizer,
        }  # fmt: skip

    def keep(self, path: Path) -> None:
        """Write everything that is needed to go on from here."""
        state: dict[str, object] = {name: part.state_dict() for name, part in self.parts().items()}
        unfinished = path.with_suffix(".part")
        recipe = {**asdict(self.recipe), **self.data}
        more = {"step": self.step, "seconds": self.seconds, "recipe": recipe}
        torch.save({**state, **more}, unfinished)
        unfinished.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from what `keep` wrote.

        Raises:
            ValueError: If there is nothing to go on from, it is damaged, or of a training by another recipe
                or on other data; only ``minutes`` may be others. A state of before data were told says
                nothing of them.
        """
        if not path.is_file():
            raise ValueError(f"nothing to resume: {path} is missing")
        device = next(self.network.parameters()).device
        try:
            state = torch.load(path, weights_only=True, map_location=device)
            for name, part in self.parts().items():
                part.load_state_dict(state[name])
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
        except Exception as error:  # unpickling what is damaged may fail in any way
            raise ValueError(
                f"{path} is damaged, or no state of this training ({one_line(error)}); move it away, or give "
                "another --run, and begin anew without --resume"
            ) from error
        recipe = {**asdict(self.recipe), **self.data}
        others = [
            f"{name} {value} there, {recipe[name]} now"
            for name, value in state.get("recipe", {}).items()
            if name in recipe.keys() - {"minutes"} and recipe[name] != value
        ]
        require(not others, "resume", "with the settings and data that it began with", "; ".join(others))
        self.chance.manual_seed(self.recipe.seed + self.step)

    def rate(self) -> float:
        """The learning rate now."""
        share = min(1, self.seconds / (60 * self.recipe.minutes))
        return float(self.recipe.lr * min(1, (self.step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * share)))

    @staticmethod
    def _autocast(device: torch.device) -> torch.autocast:
        """bfloat16 where it is native; elsewhere it is slower than float32."""
        return torch.autocast(device.type, torch.bfloat16, enabled=fast_dtype(device) is torch.bfloat16)

    def advance(self, sample: list[Tensor]) -> np.ndarray:
        """One step; returns the mean absolute error, LPIPS, and the losses of critic and inpainter.

        Raises:
            ValueError: If loss or gradients are not finite; the inpainter is as it was before.
        """
        picture, truth = (part.permute(0, 3, 1, 2).float() / 255 for part in sample[:2])
        hole = sample[2][:, None].float()
        self.optimizer.param_groups[0]["lr"] = self.rate()
        shift: list[int] = torch.randint(0, TILE, (2,), generator=self.chance).tolist()
        with self._autocast(picture.device):
            proposal = self.network.proposal(picture, hole, (shift[0], shift[1]), SOFTEN_IN_TRAINING)
        away = (proposal.float() - truth).abs()
        # every sample weighs the square root of its hole: a large hole says more, but not in proportion
        weight = hole / (hole.sum((1, 2, 3), keepdim=True) * hole[0].numel()).sqrt()
        loss = (weight * away).sum() / (3 * len(hole))
        losses = np.zeros(3)
        if self.lpips is not None:
            more, losses = self._perceived(self.lpips, torch.lerp(truth, proposal.float(), hole), truth, hole)
            loss = loss + more
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        steepness = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        finite = bool((loss.detach() + steepness).isfinite())
        rule = f"so low that losses and gradients stay finite (step {self.step + 1}: loss {loss.item()})"
        require(finite, "lr", rule, self.recipe.lr)
        self.optimizer.step()
        self.step += 1
        _average(self.average, self.network, min(0.999, self.step / (self.step + 10)))
        return np.array([((hole * away).sum() / (3 * hole.sum())).item(), *losses])

    def _perceived(
        self, lpips: Perceptual, fused: Tensor, truth: Tensor, hole: Tensor
    ) -> tuple[Tensor, np.ndarray]:
        """The losses on features, for the inpainter; the critic takes its own step."""
        # The backbone's strides see some pixels more often than others: from another corner each time, that
        # leaves no pattern in what is learned.
        y, x = torch.randint(0, 8, (2,), generator=self.chance).tolist()
        fused, truth, hole = (part[..., y:, x:] for part in (fused, truth, hole))
        with self._autocast(fused.device):
            with torch.no_grad():
                theirs = lpips.features(truth)
            ours = lpips.features(fused)
            distance = lpips.distance(ours, theirs).mean()
            loss = self.recipe.perceptual * distance
            if not self.recipe.adversarial:
                return loss, np.array([distance.item(), 0, 0])
            judged = critic_loss(self.critic(theirs), self.critic([one.detach() for one in ours]), hole)
            self.critic_optimizer.zero_grad(set_to_none=True)
            judged.backward()
            self.critic_optimizer.step()
            self.critic.requires_grad_(False)
            fooling = fooling_loss(self.critic(ours), hole)
            self.critic.requires_grad_(True)
        return loss + self.recipe.adversarial * fooling, np.array(
            [distance.item(), judged.item(), fooling.item()]
        )


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    for slow, fast in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        slow.lerp_(fast, 1 - decay)
