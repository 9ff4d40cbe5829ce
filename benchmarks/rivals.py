"""What `benchmarks.peers` compares: methods of this project and of other libraries, for the same image."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from attribution import Execution, ExtremalPerturbation, Lime, MaskedScore, SlidingPatch
from benchmarks.holes import ASSETS, MOBILENET
from benchmarks.runtimes import resnet50
from infill import Blur, Filler, Gray
from models.classifiers import ImageClassifier, load_classifier
from models.scenes import draw

GRAY = Gray()
BATCH = 32
Job = Callable[[], np.ndarray]


@dataclass
class Tally:
    """How many images have been shown; copies of a classifier share it."""

    images: int = 0

    def __deepcopy__(self, memo: dict[int, object]) -> "Tally":
        return self


class Counted(nn.Module):
    """A classifier that counts the images that it, or a copy of it, is shown."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.tally = Tally()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        self.tally.images += len(images)
        logits: Tensor = self.network(images)
        return logits


@dataclass
class Subject:
    """What is explained.

    Attributes:
        network: The classifier, which counts.
        image: Its view of the photograph, "1 c h w".
        target: Its first class.
        segments: LIME's superpixels.
    """

    network: Counted
    image: Tensor
    target: int
    segments: Tensor
    color: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.color = torch.tensor(GRAY.color).view(1, 3, 1, 1)

    def score(self, filler: Filler = GRAY, incremental: bool = False) -> MaskedScore:
        """Return the score of the class; preparing the classifier is counted, too."""
        execution = Execution(BATCH, incremental=incremental)
        return MaskedScore(self.image, self.target, self.network, filler, execution=execution)

    @torch.inference_mode()
    def probabilities(self, images: Tensor) -> Tensor:
        """Return what other libraries ask for."""
        return self.network(images).softmax(1)


def subject() -> tuple[Subject, str]:
    """Return a photograph and MobileNetV2, or without the assets a scene and its classifier; and in words."""
    weights = MOBILENET
    photographs = sorted((ASSETS / "photos").glob("*.jpg"))
    if weights.exists() and photographs:
        from studio.data.image import read_picture

        classifier = load_classifier("mobilenet_v2", weights)
        views = [
            classifier.view(read_picture(path).image) for path in photographs[:: len(photographs) // 8 + 1]
        ]
        with torch.inference_mode():  # where little is seen, maps are noise and agree with nothing
            sure = [float(classifier.eval()(view[None]).softmax(1).max()) for view in views]
        image = views[int(np.argmax(sure))]
        said = f"MobileNetV2 with its weights, a photograph (p = {max(sure):.2f})"
    else:
        classifier, image = load_classifier("scenes"), draw(0).image
        said = "the classifier of scenes, a scene (the assets are not here)"
    return _explained(classifier, image), said


def large() -> Subject:
    """Return a scene and ResNet-50 with random weights: its arithmetic is the same."""
    classifier = resnet50()
    return _explained(classifier, classifier.view(draw(0).image))


def _explained(classifier: ImageClassifier, image: Tensor) -> Subject:
    with torch.inference_mode():
        target = int(classifier.eval()(image[None]).argmax())
    return Subject(Counted(classifier), image[None].clone(), target, Lime().segment(image))


def occlusion(it: Subject, stride: int, batch: int) -> np.ndarray:
    """Captum's occlusion by gray patches of 29 px."""
    from captum.attr import Occlusion

    found = Occlusion(it.probabilities).attribute(
        it.image, (3, 29, 29), (3, stride, stride), it.color.expand_as(it.image), target=it.target,
        perturbations_per_eval=batch,
    )  # fmt: skip
    return found.mean(1)[0].numpy()


def sliding(it: Subject, patch: int, stride: int, incremental: bool = False) -> np.ndarray:
    """SP, averaged over the patches that cover a pixel."""
    method = SlidingPatch(patch=patch, stride=stride, average=True)
    return method(it.score(incremental=incremental))[0].numpy()


def ablation(it: Subject, side: int, batch: int) -> np.ndarray:
    """Captum's ablation of squares side by side."""
    from captum.attr import FeatureAblation

    height, width = it.image.shape[2:]
    rows, columns = torch.arange(height) // side, torch.arange(width) // side
    mask = (rows[:, None] * (int(columns.max()) + 1) + columns)[None, None]
    found = FeatureAblation(it.probabilities).attribute(
        it.image, it.color.expand_as(it.image), target=it.target, feature_mask=mask,
        perturbations_per_eval=batch,
    )  # fmt: skip
    return found.mean(1)[0].numpy()


def ours_lime(it: Subject, samples: int) -> np.ndarray:
    """LIME of this project."""
    return Lime(samples=samples, segmentation=it.segments)(it.score())[0].numpy()


def captum_linear(it: Subject, name: str, samples: int, batch: int) -> np.ndarray:
    """Captum's LIME (with a ridge, for its lasso leaves nothing of probabilities), or its KernelSHAP."""
    import captum.attr
    from captum._utils.models.linear_model import SkLearnRidge

    options = {"interpretable_model": SkLearnRidge(alpha=1.0)} if name == "Lime" else {}
    found = getattr(captum.attr, name)(it.probabilities, **options).attribute(
        it.image, it.color.expand_as(it.image), target=it.target, feature_mask=it.segments[None, None],
        n_samples=samples, perturbations_per_eval=batch,
    )  # fmt: skip
    return found.mean(1)[0].numpy()


def lime_package(it: Subject, samples: int, batch: int) -> np.ndarray:
    """The ``lime`` package with the same segments and gray."""
    from lime.lime_image import LimeImageExplainer

    def classify(images: np.ndarray) -> np.ndarray:
        return it.probabilities(torch.from_numpy(images).permute(0, 3, 1, 2).float()).numpy()

    told = LimeImageExplainer(random_state=0).explain_instance(
        it.image[0].permute(1, 2, 0).double().numpy(), classify, labels=(it.target,), top_labels=None,
        hide_color=np.array(GRAY.color), num_features=10**5, num_samples=samples, batch_size=batch,
        segmentation_fn=lambda _: it.segments.numpy(),
    )  # fmt: skip
    weights = dict(told.local_exp[it.target])
    return np.array([weights[i] for i in range(len(weights))])[it.segments.numpy()]


def rise_loop(it: Subject, masks: int, batch: int) -> np.ndarray:
    """The loop of RISE's authors (Petsiuk et al. 2018, their explanations.py), restated."""
    from skimage.transform import resize

    generator, (height, width), cells = np.random.default_rng(0), it.image.shape[2:], 7
    cell = (-(-height // cells), -(-width // cells))
    size = ((cells + 1) * cell[0], (cells + 1) * cell[1])
    made = np.empty((masks, 1, height, width), np.float32)
    for i, grid in enumerate(generator.random((masks, cells, cells)) < 0.5):
        y, x = generator.integers(0, cell[0]), generator.integers(0, cell[1])
        whole = resize(grid.astype("float32"), size, order=1, mode="reflect", anti_aliasing=False)
        made[i, 0] = whole[y : y + height, x : x + width]
    kept = torch.from_numpy(made)
    stack = kept * (it.image - it.color) + it.color  # they remove after normalizing: to gray
    found = torch.cat([it.probabilities(part) for part in stack.split(batch)])
    return (found[:, it.target] @ kept.view(masks, -1)).view(height, width).numpy() / masks / 0.5


def last_map(it: Subject) -> str:
    """The last layer that has a map; ours to find, in nobody's time."""
    from attribution.engine.layers import map_layers
    from attribution.engine.precision import prepare

    return map_layers(prepare(it.network, "float32", it.image), it.image)[-1].name


def shown(it: Subject, images: int, batch: int) -> np.ndarray:
    """The classifier alone, so many images at once: by it the batch is chosen of what would take long."""
    parts = it.image.expand(images, -1, -1, -1).split(batch)
    return torch.cat([it.probabilities(part) for part in parts]).numpy()


def score_cam(it: Subject, layer: str, batch: int) -> np.ndarray:
    """pytorch-grad-cam's ScoreCAM of a layer."""
    from pytorch_grad_cam import ScoreCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with ScoreCAM(it.network, [it.network.get_submodule(layer)]) as cam:
        cam.batch_size = batch
        return np.asarray(cam(it.image, [ClassifierOutputTarget(it.target)])[0])


def torchray(it: Subject, steps: int) -> np.ndarray:
    """TorchRay's extremal perturbation, a tenth of the image, blurred."""
    perturbation = importlib.import_module("torchray.attribution.extremal_perturbation")

    it.network.requires_grad_(False)
    mask, _ = perturbation.extremal_perturbation(
        it.network, it.image.clone(), it.target, areas=[0.1], max_iter=steps
    )
    return np.asarray(mask[0, 0].detach())


def extremal(it: Subject, steps: int) -> np.ndarray:
    """ExtremalPerturbation perturbations of this project, a tenth of the image, blurred."""
    method = ExtremalPerturbation(area=0.1, steps=steps)
    return method(it.score(Blur(levels=8)))[0].detach().numpy()


def partition(it: Subject, samples: int, batch: int) -> np.ndarray:
    """SHAP's partition explainer with its image masker."""
    shap = importlib.import_module("shap")

    pixels = it.image[0].permute(1, 2, 0).numpy()
    gray = np.broadcast_to(np.array(GRAY.color, np.float32), pixels.shape).copy()

    def classify(images: np.ndarray) -> np.ndarray:
        return it.probabilities(torch.from_numpy(images).permute(0, 3, 1, 2).float()).numpy()

    explainer = shap.Explainer(classify, shap.maskers.Image(gray.flatten(), pixels.shape))
    found = explainer(pixels[None], max_evals=samples, batch_size=batch, outputs=[it.target], silent=True)
    return np.asarray(found.values)[0, ..., 0].sum(-1)
