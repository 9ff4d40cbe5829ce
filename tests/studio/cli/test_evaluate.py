"""``infill evaluate`` and ``infill report``: their tables and files, going on after any stop, bad input."""

import csv
import importlib.metadata
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Run, refused, runner
from filelock import FileLock
from PIL import Image

from models import scenes
from models.classifiers import ImageClassifier
from studio.data.dataset import open_dataset
from studio.evaluate.metrics import METRICS
from studio.evaluate.plan import Plan, parse
from studio.evaluate.presets import PRESETS, completed, fitting
from studio.evaluate.request import EvaluateRequest
from studio.evaluate.setup import set_up
from studio.registry.own import Own
from studio.registry.tables import BASELINES, NOTHING
from studio.runs.folder import EXAMPLE, REVISION, RunFolder

FEW = ("--set", "sp.stride=56", "--filler", "gray")
SMALL = (
    "scenes:2",
    "--method",
    "sp",
    *FEW,
    "--metric",
    "localization",
    "--metric",
    "deletion",
    "--no-baselines",
)
TITLES = (
    "localization", "alpha * mean", "pointing",
    "saliency", "deletion, gray", "insertion", "SRG", "fall at 5 %",
    "beyond chance", "own", "outside", "labels", "all filled", "R-OMS", "without object", "object alone",
    "precision",
    "MAE", "agreement, HOG", "deviation", "randomized", "tinted",
)  # fmt: skip
TABLES = ("report.csv", "report-differences.csv", "report.md", "report.tex", "report.json", "report.html")


@pytest.fixture
def drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``infill evaluate`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return runner(capsys, "evaluate")


@pytest.fixture
def run(drawn: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same without the page's charts, for tests that do not look at them."""
    monkeypatch.setattr("studio.report.page.charts", lambda *_: [])
    return drawn


def told(folder: str = "infill-out") -> dict:
    return json.loads(Path(folder, "report.json").read_text())["runs"][0]


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TABLES}


def figure(found: dict, title: str, row: str, table: int = 0) -> float:
    each = next(each for each in found["tables"][table]["figures"] if each["title"] == title)
    return each["rows"][row]["value"]


@pytest.mark.slow
def test_every_metric_has_a_figure(drawn: Run) -> None:
    every = [text for name in METRICS if name != "others" for text in ("--metric", name)]
    few = ("--set", "sp.stride=112", "--filler", "gray", "--filler", "inpaint")
    said = drawn("scenes:2", "--method", "sp", *every, *few)
    assert said.code == 0, said.err
    found = told()
    assert found["errors"] == []
    titles = " ".join(each["title"] for each in found["tables"][0]["figures"])
    for words in TITLES:
        assert words in titles, words
    rows = set(found["tables"][0]["figures"][0]["rows"])
    assert rows == {"sp / gray", "sp / inpaint", *BASELINES}
    # The object itself is its own best explanation.
    assert figure(found, "localization error", "object") == 0
    assert figure(found, "pointing", "object") == 1
    assert figure(found, "pointing", "background") == 0
    assert figure(found, "precision", "object") > 0.9
    own = [figure(found, "own evidence", row) for row in ("object", "random", "background")]
    assert own == sorted(own)
    assert own[0] < 0.1 < 0.9 < own[2]
    assert figure(found, "score without object", "filler / inpaint") < 0.5
    assert figure(found, "score of object alone", "filler / inpaint") > 0.5
    page = Path("infill-out/report.html").read_text()
    assert page.count("<svg") >= 5
    assert page.count("data:image/jpeg;base64,") == 2 * (1 + 2 + 4)
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_one_object_is_removed_while_the_other_stays(run: Run) -> None:
    said = run("scenes-two:3", "--method", "sp", *FEW, "--metric", "object", "--metric", "others")
    assert said.code == 0, said.err
    found = told()
    assert found["errors"] == []
    titles = ("", " without object")
    before, after = (figure(found, f"score of other classes{each}", "filler / gray") for each in titles)
    assert after > before, "of classes that exclude each other, the other takes over"
    assert figure(found, "score without object", "filler / gray") < before
    assert figure(found, "object alone is gone", "filler / gray") > 0.5
    assert "still to be done" not in said.out + said.err, "sp has no metric here, and is not run"
    two = ("scenes-two:1", "--method", "sp", *FEW, "--metric", "others")
    said = run(*two, "--target", "gear", "--out", "target")
    assert (said.code, "--metric others: needs the data's classes as targets" in said.err) == (2, True)


def test_where_no_other_class_is_known_none_can_stay(run: Run, tmp_path: Path) -> None:
    few = ("--method", "sp", *FEW, "--metric", "others", "--classifier", "scenes")
    needed = "needs the boxes of every class of an image, which the data does not say (it has background, "
    refused(run("scenes:2", *few), needed)
    (tmp_path / "mine/images").mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (20, 20)).save(tmp_path / f"mine/images/{number}.png")
    (tmp_path / "mine/boxes.csv").write_text(
        "file,label,xmin,ymin,xmax,ymax\n0.png,1,0,0,5,5\n0.png,1,9,9,12,12\n1.png,2,0,0,5,5\n"
    )
    refused(run("mine", *few), "--metric others: no image of mine shows several of the classes")


def test_the_classes_of_a_photograph_follow_one_another(run: Run, tmp_path: Path) -> None:
    """Its holes are the same for each class: a fill cache that holds a few photographs' fills suffices."""
    (tmp_path / "mine/images").mkdir(parents=True)
    rows = "file,label,xmin,ymin,xmax,ymax\n"
    for number in range(6):
        Image.new("RGB", (20, 20)).save(tmp_path / f"mine/images/{number}.png")
        rows += f"{number}.png,1,0,0,5,5\n{number}.png,2,9,9,12,12\n"
    (tmp_path / "mine/boxes.csv").write_text(rows)
    few = ("--method", "sp", *FEW, "--metric", "own", "--classifier", "scenes", "--no-baselines")
    assert run("mine", *few, "--targets", "every").code == 0
    parts = Path("infill-out/parts").glob("*/sp--gray.parquet")
    numbers = [int(path.parent.name) for path in sorted(parts, key=lambda path: path.stat().st_mtime_ns)]
    assert numbers[::2] == [number - 1 for number in numbers[1::2]], "the second class after the first"
    assert sorted(numbers) == list(range(12))
    assert numbers != list(range(12)), "photographs are drawn"


def test_a_metric_that_was_asked_for_is_measured_or_refused(run: Run) -> None:
    few = ("scenes:1", "--no-baselines")
    for method, metric, lacks in (("mp/blur", "outside", "samples"), ("gradient", "sensitivity", "again")):
        said = f"--metric {metric}: none of the methods has what it looks at ({lacks})"
        refused(run(*few, "--method", method, "--metric", metric), said)
    said = run(*few, "--method", "gradient", "--filler", "gray", "--metric", "filled")
    assert said.code == 0, said.err
    assert figure(told(), "score, all filled", "filler / gray") < 0.5, "no filler matters to gradient"


def test_the_deletion_is_that_of_the_library(run: Run) -> None:
    from dataclasses import replace

    from attribution import MaskedScore, SlidingPatch
    from attribution.evaluation.deletion import deletion
    from infill import Gray
    from studio.registry.build import build_classifier

    said = run(*SMALL, "--precision", "float32")
    assert said.code == 0, said.err
    classifier, areas = build_classifier("scenes", None), []
    for number in range(2):
        scene = scenes.draw(number, objects=1)
        target = classifier.labels.index(scenes.CLASSES[scene.labels[0]])
        score = MaskedScore(scene.image, target, classifier, Gray())
        areas.append(float(deletion(replace(score), SlidingPatch(stride=56)(score))))
    assert figure(told(), "deletion, gray", "sp / gray") == pytest.approx(np.mean(areas), abs=1e-4)
    lines = csv.DictReader(Path("infill-out/report.csv").read_text().splitlines())
    ours = [float(line["deletion, gray"]) for line in lines if line["method"] == "sp"]
    assert ours == pytest.approx(areas, abs=1e-4)


def test_targets_are_compared_with_another_class(run: Run) -> None:
    """The score is the log-odds; what is of probabilities is left out, an image of the other class told."""
    said = run("scenes:2", "--method", "sp", *FEW, "--against", "gear", "--no-baselines")
    assert said.code == 0, said.err
    found, labels = told(), [scenes.draw(number, objects=1).labels[0] for number in range(2)]
    ours = [number for number, label in enumerate(labels) if scenes.CLASSES[label] == "gear"]
    titles = [each["title"] for each in found["tables"][0]["figures"]]
    assert any("deletion" in title for title in titles)
    assert not any("saliency" in title for title in titles)
    assert len(ours) == 1
    assert ["'gear' is what is explained" in each["reason"] for each in found["skipped"]] == [True]
    other = run(*SMALL, "--against", "next", "--out", "next")
    assert other.code == 0, other.err
    assert figure(told("next"), "deletion, gray", "sp / gray") < 0  # no probability


def test_a_comparison_is_one_however_it_is_written() -> None:
    for words in ({"target": "against:gear,crate"}, {"target": "gear", "against": "class:crate"}):
        setup = set_up(EvaluateRequest("scenes:1", methods=("lime",), metrics=(), **words))  # type: ignore[arg-type]
        metrics = [name for name, _ in setup.plan.metrics]
        assert "deletion" in metrics
        assert "saliency" not in metrics
    setup = set_up(
        EvaluateRequest("scenes:1", methods=("lime",), metrics=("labels",), target="against:gear,crate")
    )
    assert [name for name, _ in setup.plan.metrics] == ["labels"]


@pytest.mark.parametrize("fast", ["float32", "bfloat16"])
def test_the_precision_that_is_kept_is_that_of_the_processor(
    fast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on elsewhere is refused where it would go on in another precision."""
    for place in ("infill.network", "attribution.engine.precision"):
        monkeypatch.setattr(f"{place}.fast_dtype", lambda device: getattr(torch, fast))
    auto = set_up(EvaluateRequest("scenes:1", methods=("sp",), fillers=("gray",)))
    assert auto.request.precision == "auto"
    assert auto.prepared is not None
    assert auto.settings["precision"] == fast == ("float32" if auto.prepared.exact else "bfloat16")
    asked = set_up(EvaluateRequest("scenes:1", methods=("sp",), fillers=("gray",), precision="float32"))
    assert asked.settings["precision"] == "float32"


@pytest.mark.parametrize("count", [4, 6])
def test_as_many_classes_are_named_as_there_are(count: int) -> None:
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 5))
    request = EvaluateRequest("scenes:1", methods=("sp",), fillers=("gray",))
    for names in (scenes.CLASSES[:5], ()):
        setup = set_up(request, Own(ImageClassifier(network, labels=names)))
        assert len(setup.classifier.labels) == 5
    with pytest.raises(ValueError, match=f"classifier has 5 classes, but names {count}"):
        set_up(request, Own(ImageClassifier(network, labels=scenes.CLASSES[:count])))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--against", "geer"), "--against: the classifier has no class 'geer'; did you mean 'gear'?"),
        (("--against", "gear", "--metric", "saliency"), "--metric saliency: needs a probability, which"),
        (("--target", "output:3", "--metric", "saliency"), "--metric saliency: needs a probability, which"),
        (
            ("--target", "output:3", "--metric", "labels"),
            "--metric labels: needs classes, which --target asks",
        ),
        (("--target", "gear", "--metric", "others"), "--metric others: needs the boxes of every class"),
        (("--target", "gear", "--correct-only"), "--target: expected none with --correct-only"),
        (("--target", "text:a gear"), "--target: a text needs a CLIP model"),
    ],
)
def test_comparisons_that_cannot_be_are_refused(run: Run, words: tuple[str, ...], message: str) -> None:
    refused(run("scenes:1", "--method", "sp", *FEW, *words), message)


def test_the_same_command_goes_on_and_does_nothing_twice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    job = (*SMALL, "--baselines")
    assert run(*job).code == 0
    before = tables(Path("infill-out"))
    part = Path("infill-out/parts/000001/sp--gray.parquet")
    part.unlink()
    damaged = Path("infill-out/parts/000001/random.parquet")
    damaged.write_bytes(damaged.read_bytes()[:100])
    untouched = Path("infill-out/parts/000000/sp--gray.parquet").stat().st_mtime_ns
    said = run(*job)
    assert said.code == 0, said.err
    assert f"damaged, and done again: {damaged}" in said.out
    assert "2 heatmaps" in said.err
    assert tables(Path("infill-out")) == before
    assert Path("infill-out/parts/000000/sp--gray.parquet").stat().st_mtime_ns == untouched


def test_images_are_taken_one_by_one_in_an_order_of_the_seed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[int, str]] = []
    save = RunFolder.save
    monkeypatch.setattr(RunFolder, "save", lambda self, key, *all: (kept.append(key), save(self, key, *all)))
    orders = []
    for seed in ("0", "0", "1"):
        kept.clear()
        job = ("scenes:6", "--method", "gradcam", "--metric", "pointing", "--seed", seed)
        assert run(*job, "--out", f"run-{len(orders)}").code == 0
        heatmaps = [number for number, name in kept if name != EXAMPLE]
        orders.append(list(dict.fromkeys(heatmaps)))
        assert heatmaps == [number for number in orders[-1] for _ in range(1 + len(BASELINES))]
        assert sorted(orders[-1]) == list(range(6))
    assert orders[0] == orders[1] != orders[2]
    assert list(range(6)) not in orders


def test_other_settings_are_refused_with_the_difference(run: Run) -> None:
    assert run(*SMALL).code == 0
    said = run(*SMALL, "--seed", "1", "--metric", "pointing")
    assert said.code == 2
    assert "holds a run with other settings" in said.err
    assert "seed: 0 there, 1 now" in said.err
    assert 'metrics: ["localization", "deletion:gray"] there' in said.err


def test_a_run_does_not_go_on_with_other_libraries(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(*SMALL).code == 0
    known = importlib.metadata.version
    with monkeypatch.context() as other:
        other.setattr("importlib.metadata.version", lambda name: known(name) + "x" * (name == "scikit-image"))
        said = run(*SMALL)
    assert said.code == 2
    now = known("scikit-image")
    assert f'versions.scikit-image: "{now}" there, "{now}x" now' in said.err
    assert run(*SMALL).code == 0


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_tables(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from studio.cli.main import main; main()", "evaluate", *SMALL, "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, killed = tmp_path / "one" / "run", tmp_path / "two" / "run"
    subprocess.run([*command, str(whole)], env=environment, check=True, capture_output=True, timeout=300)
    chance = random.Random(0)
    for _ in range(2):
        parts = len(list(killed.glob("parts/*/*.parquet")))
        process = subprocess.Popen([*command, str(killed)], env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(list(killed.glob("parts/*/*.parquet"))) <= parts and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(chance.random() * 0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*command, str(killed)], env=environment, check=True, capture_output=True, timeout=300)
    assert tables(killed) == tables(whole)
    assert not list(killed.rglob("*unfinished*"))


def test_a_bad_image_is_told_and_does_not_stop_the_run(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rows = ["file,split,class,x0,y0,x1,y1"]
    for number in range(3):
        scene = scenes.draw(number, objects=1)
        pixels = (scene.image.permute(1, 2, 0) * 255).round().byte().numpy()
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        edges = [0, 0, *pixels.shape[1::-1]] if number == 2 else scene.boxes[0].tolist()
        box = ",".join(map(str, edges))
        rows.append(f"{number}.png,test,{scenes.CLASSES[scene.labels[0]]},{box}")
    (folder / "boxes.csv").write_text("\n".join(rows) + "\n")
    (folder / "images" / "1.png").write_bytes(b"no image")
    common = ("--classifier", "scenes", "--method", "sp", *FEW, "--no-baselines", "--metric", "pointing")
    said = run(folder, *common, "--metric", "own")
    assert said.code == 0, said.err
    found = told()
    assert [each["image"] for each in found["skipped"]] == ["1.png"]
    assert "left out: 1.png" in said.out
    assert found["tables"][0]["images"] == 2
    # Nor does a metric that an image leaves undefined take it from the others.
    reason = "own: the view shows nothing of the object, or nothing else"
    assert found["errors"] == [{"image": "2.png", "row": "sp / gray", "reason": reason}]
    counts = {each["title"]: each["rows"]["sp / gray"]["images"] for each in found["tables"][0]["figures"]}
    assert (counts["pointing"], counts["own evidence"]) == (2, 1)
    assert Path("infill-out", "heatmaps", "000002", "sp--gray.npz").exists()
    # What the data does not know is refused before any work.
    refused_run = run(folder, *common, "--metric", "salient", "--out", "other")
    assert refused_run.code == 2
    assert "--metric salient: needs silhouettes, which the data does not say" in refused_run.err


def test_images_whose_boxes_are_large_are_left_out(run: Run) -> None:
    data, shares = open_dataset("scenes:6"), {}
    for number in range(6):
        covered = np.zeros((224, 224))
        for left, top, right, bottom in data.read(number).boxes.tolist():
            covered[top:bottom, left:right] = 1
        shares[f"scene-{number}"] = covered.mean()
    most = sorted(shares.values())[2]
    said = run("scenes:6", "--method", "sp", *FEW, "--metric", "pointing", "--largest-box", most + 1e-6)
    assert said.code == 0, said.err
    found = told()
    skipped = {each["image"] for each in found["skipped"]}
    assert len(skipped) == 3
    assert skipped == {name for name, share in shares.items() if share > most + 1e-6}
    assert found["tables"][0]["images"] == 3


def test_a_method_that_fails_on_an_image_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from attribution import SlidingPatch

    whole = SlidingPatch.__call__

    def fails(self: SlidingPatch, score: object) -> object:
        fails.calls += 1
        if fails.calls == 2:
            raise ValueError("no luck")
        return whole(self, score)

    fails.calls = 0
    monkeypatch.setattr(SlidingPatch, "__call__", fails)
    said = run(*SMALL)
    assert said.code == 0, said.err
    assert "left out: scene-1, sp / gray: no luck" in said.out
    assert told()["tables"][0]["figures"][-1]["rows"]["sp / gray"]["images"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--largest-box", "0"), "--largest-box: expected a share above 0 and up to 1, as in 0.5, got 0"),
        (("--largest-box", "nan"), "--largest-box: expected a share above 0 and up to 1, as in 0.5, got nan"),
        (("--method", "spp"), "unknown method 'spp'; did you mean 'sp'"),
        (("--metric", "deletoin"), "unknown metric 'deletoin'; did you mean 'deletion'"),
        (("--metric", "pointing:gray"), "pointing removes nothing with a filler"),
        (("--metric", "deletion:"), "expected NAME:FILLER"),
        (("--metric", "deletion:grey"), "unknown filler 'grey'"),
        (("--method", "mp/"), "expected NAME/FILLER"),
        (("--method", "sp", "--method", "sp/blur"), "sp is named twice"),
        (("--preset", "paper"), "unknown preset 'paper'"),
        (("--classes", "unicorn"), "has no image of 'unicorn'"),
        (("--limit", "0"), "--limit: expected 1 or more"),
        (("--set", "rise.masks=3", "--method", "sp"), "rise is not used here"),
        (("--preset", "paper-b", "--filler", "inpaint"), "--filler inpaint: it fills nothing here"),
        (("--method", "sp/gray", "--filler", "blur", "--metric", "own"), "--filler blur: it fills nothing"),
        (("--method", "gradcam", "--filler", "blur", "--metric", "own"), "--filler blur: it fills nothing"),
    ],
)
def test_refused(run: Run, arguments: tuple[str, ...], message: str) -> None:
    refused(run("scenes:2", *arguments), message)


def test_other_folders_are_no_runs(run: Run, tmp_path: Path) -> None:
    said = run(tmp_path, command="report")
    assert said.code == 2
    assert "is no run of `infill evaluate`" in said.err
    assert run(*SMALL).code == 0
    settings = Path("infill-out/run.json")
    settings.write_text(settings.read_text().replace('"format": 1', '"format": 99'))
    for said in (run("infill-out", command="report"), run(*SMALL)):
        assert said.code == 2
        assert "is of format 99, and this version of infill knows format 1" in said.err


def planned(*methods: str, metrics: tuple[str, ...] = ("pointing",), fillers: tuple[str, ...] = ()) -> Plan:
    offers = frozenset({"boxes"})
    request = EvaluateRequest("scenes:1", methods=methods, metrics=metrics, fillers=fillers, baselines=False)
    return parse(completed(request, offers), offers)


def test_fillers_have_the_settings_that_they_are_asked_for_with() -> None:
    plan = planned("sp/blur@sigma=11,where=photograph,gray@color=0,0,0,inpaint")
    assert plan.pairs == [("sp", "blur"), ("sp", "gray"), ("sp", "inpaint")]
    assert plan.settings == {"blur": {"sigma": "11", "where": "photograph"}, "gray": {"color": "0,0,0"}}
    plan = planned("sp/inpaint@by=network")
    assert (list(plan.fillers), plan.settings) == (["inpaint"], {"inpaint": {"by": "network"}})
    plan = planned("sp/gray@color=0,0,0", metrics=("deletion", "insertion:blur"))
    assert plan.metrics == [("deletion", "gray"), ("insertion", "blur")]
    assert plan.settings == {"gray": {"color": "0,0,0"}}
    assert planned("sp").fillers == ("gray", "inpaint")
    assert planned("mp/blur", metrics=("deletion",)).fillers == ("blur", "gray")
    with pytest.raises(ValueError, match=r"--method sp/none: sp removes with a filler; name it"):
        planned("sp/none")


def test_a_filler_runs_in_several_settings_each_under_its_own_name() -> None:
    plan = planned("sp/gray@color=0,0,0", metrics=("deletion:gray", "insertion"))
    assert plan.pairs == [("sp", "gray@color=0,0,0")]
    assert plan.metrics == [("deletion", "gray"), ("insertion", "gray")]
    assert plan.settings == {"gray@color=0,0,0": {"color": "0,0,0"}}
    plan = planned("sp/gray@color=0,0,0,gray@color=1,1,1", metrics=("deletion",))
    assert plan.metrics == [("deletion", "gray")]  # the paper's, not one of the two
    assert list(plan.fillers) == ["gray@color=0,0,0", "gray@color=1,1,1", "gray"]
    plan = planned("sp/inpaint@by=auto", "lime")
    assert plan.pairs == [("sp", "inpaint@by=auto"), ("lime", "gray"), ("lime", "inpaint")]
    plan = planned("gradient", fillers=("blur@sigma=1", "blur"), metrics=("filled",))
    assert [filler for method, filler in plan.pairs if method == NOTHING] == ["blur@sigma=1", "blur"]


def test_fillers_in_several_settings_are_judged_side_by_side(run: Run) -> None:
    small = [each for each in SMALL if each not in ("--filler", "gray")]
    assert run(*small, "--filler", "blur@sigma=1", "--filler", "blur@sigma=30", "--out", "both").code == 0
    assert run(*small, "--filler", "blur@sigma=30", "--out", "alone").code == 0
    both, alone = told("both"), told("alone")
    title = "deletion, gray"
    assert figure(both, title, "sp / blur@sigma=30") == figure(alone, title, "sp / blur")
    assert figure(both, title, "sp / blur@sigma=1") != figure(alone, title, "sp / blur")


def test_fills_that_are_all_the_same_are_not_averaged(run: Run) -> None:
    refused(
        run(*SMALL, "--samples", 3), "--samples: expected a filler that draws (noise, marginal, sd), got gray"
    )
    unused = ("--method", "gradient", "--metric", "pointing", "--samples", 3)
    refused(run("scenes:1", *unused), "expected a filler that draws (noise, marginal, sd), got none")
    drawing = [each.replace("gray", "noise") for each in SMALL]
    assert run(*drawing, "--samples", 2).code == 0


def test_several_runs_stand_side_by_side(drawn: Run) -> None:
    assert drawn(*SMALL, "--out", "gray").code == 0
    blur = tuple("blur" if each == "gray" else each for each in SMALL)
    assert drawn(*blur, "--out", "blurred").code == 0
    said = drawn("gray", "blurred", "--strips", 1, command="report")
    assert said.code == 0, said.err
    page = Path("infill-report/report.html").read_text()
    assert "sp / gray" in page
    assert "sp / blur" in page
    assert page.count('class="strip"') == 2
    assert page.count("<svg") == 4  # of each run the curves of localization and deletion


def test_a_page_shows_no_image_that_is_still_to_be_explained(drawn: Run) -> None:
    assert drawn(*SMALL).code == 0
    parts = Path("infill-out/parts")
    count = len(list(parts.iterdir()))
    for part in (parts / "000000").glob("*"):
        if part.stem != "example":
            part.unlink()
    assert drawn("infill-out", "--strips", 1, command="report").code == 0
    page = Path("infill-out/report.html").read_text()
    assert page.count('class="strip"') == 1
    strip = page[page.index('class="strip"') :]
    assert "sp / gray" in strip
    assert drawn("infill-out", "--strips", 40, command="report").code == 0
    assert Path("infill-out/report.html").read_text().count('class="strip"') == count - 1


def test_what_finds_nothing_is_told(run: Run) -> None:
    asked = (
        "scenes:2",
        "--method",
        "sp",
        "--set",
        "sp.stride=56",
        "--filler",
        "mean-segment",
        "--metric",
        "shift",
    )
    said = run(*asked, "--no-baselines")
    assert said.code == 0, said.err
    assert "no figure yet" in said.out
    assert said.out.count("left out: scene-") == 2
    assert len(told()["errors"]) == 2
    assert "no figure yet" in Path("infill-out/report.html").read_text()
    assert "left out: scene-" in run("infill-out", command="report").out
    # Tables are told though files cannot be written, as while the run goes on.
    with FileLock(Path("infill-out", ".infill.lock")):
        said = run("infill-out", command="report")
        assert said.code == 0, said.err
        assert "infill-out is being written to: no files of the report are; --out FOLDER has them" in said.out
        assert run("infill-out", "--out", "elsewhere", command="report").code == 0
        assert Path("elsewhere/report.html").is_file()
        said = run("infill-out", "--out", "infill-out", command="report")
    assert said.code == 2
    assert "left out: scene-" in said.out
    assert "another command is writing to infill-out; give another folder, or wait" in said.err


def test_heatmaps_that_are_gone_are_told_and_parts_of_other_runs_refused(run: Run) -> None:
    assert run(*SMALL).code == 0
    assert "gone" not in told()["summary"]
    for path in Path("infill-out/heatmaps").glob("*/sp--gray.npz"):
        path.unlink()
    said = run(*SMALL)
    assert "; 2 heatmaps or pictures are gone, and not shown" in said.out
    assert "gone, and not shown" in Path("infill-out/report.html").read_text()
    assert len(told()["tables"][0]["figures"]) == 2, "their figures are there"
    shutil.rmtree("infill-out/heatmaps")
    assert "; 4 heatmaps or pictures are gone" in run("infill-out", command="report").out
    # Parts name their run by its settings: with others in the file they are another run's.
    settings = json.loads(Path("infill-out/run.json").read_text())
    settings["settings"]["revision"] = REVISION - 1
    Path("infill-out/run.json").write_text(json.dumps(settings))
    said = run("infill-out", command="report")
    assert "RUN: infill-out/parts/000000/example.parquet is a part of another run" in said.err


def test_files_where_folders_are_to_be_are_told_before_any_work(run: Run) -> None:
    Path("infill-out").mkdir()
    Path("infill-out/parts").touch()
    said = run(*SMALL)
    assert said.code == 2
    assert said.err.startswith("infill: --out: cannot write to infill-out/parts, which is a file")
    assert [path.name for path in Path("infill-out").iterdir()] == ["parts"], "nothing was begun"
    Path("infill-out/parts").unlink()
    assert run(*SMALL).code == 0
    before = tables(Path("infill-out"))
    Path("infill-out/report.json").unlink()
    Path("infill-out/report.json").mkdir()
    said = run("infill-out", "--strips", 1, command="report")
    assert said.code == 2
    assert said.err.startswith("infill: --out: cannot write infill-out/report.json, which is a folder")
    assert {name: Path("infill-out", name).read_bytes() for name in TABLES if name != "report.json"} == {
        name: content for name, content in before.items() if name != "report.json"
    }, "none was moved"


@pytest.mark.slow
def test_what_is_kept_under_attack_is_told_beside_the_run_without(run: Run) -> None:
    common = ("scenes-two:2", "--method", "sp", *FEW, "--metric", "pointing", "--no-baselines")
    strong = ("--attack", "pgd:0.03:4")
    for extra in ((), (*strong, "--out", "under")):
        said = run(*common, *extra)
        assert said.code == 0, said.err
    under = told("under")
    assert "under pgd:0.03:4 (first choice right: " in under["summary"]
    attack = under["settings"]["attack"]
    assert (attack["name"], attack["epsilon"], attack["steps"]) == ("pgd", 0.03, 4)
    part = Path("under/parts/000001/sp--gray.parquet")
    kept = part.read_bytes()
    part.unlink()
    assert run(*common, *strong, "--out", "under").code == 0
    assert part.read_bytes() == kept  # attacked again, and the same again
    refused_run = run(*common, "--attack", "pgd:0.03", "--out", "under")
    assert refused_run.code == 2
    assert "attack.steps: 4 there, 10 now" in refused_run.err
    said = run("infill-out", "under", "--strips", 0, command="report")
    assert said.code == 0, said.err
    (found,) = json.loads(Path("infill-report/report.json").read_text())["attacked"]
    rows = {(each["row"], each["figure"]): each for each in found["kept"]}
    mine = rows["sp / gray", "pointing"]
    assert mine["images"] == 4
    assert mine["without"] == figure(told(), "pointing", "sp / gray")
    assert mine["under"] == figure(under, "pointing", "sp / gray")
    assert mine["share"] == (mine["under"] / mine["without"] if mine["without"] else None)
    assert found["right"]["after"] < found["right"]["before"]
    words = "pointing accuracy kept under pgd:0.03:4"
    assert words in said.out
    assert words in Path("infill-report/report.md").read_text()
    assert words in Path("infill-report/report.html").read_text()
    # Without its like, nothing is compared.
    assert words not in run("under", "--strips", 0, command="report").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fgsm", "--attack: expected fgsm:EPSILON or pgd:EPSILON[:STEPS], as in fgsm:0.01, got 'fgsm'"),
        ("fgsm:x", "--attack: expected fgsm:EPSILON or pgd:EPSILON[:STEPS], as in fgsm:0.01, got 'fgsm:x'"),
        ("fgsm:0.1:3", "--attack: expected fgsm:EPSILON or pgd:EPSILON[:STEPS]"),
        ("fgsm:0", "--attack: epsilon must be in (0, 1], got 0.0"),
        ("fgsm:nan", "--attack: epsilon must be in (0, 1], got nan"),
        ("pgd:-0.1", "--attack: epsilon must be in (0, 1], got -0.1"),
        ("pgd:0.1:0", "--attack: steps must be at least 1, got 0"),
        ("fgms:0.1", "--attack: unknown attack 'fgms'; did you mean 'fgsm'?"),
    ],
)
def test_attacks_that_cannot_be_are_refused(run: Run, words: str, message: str) -> None:
    refused(run("scenes:1", "--method", "sp", *FEW, "--attack", words), message)


def test_an_attack_is_against_a_class_and_needs_captum(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("scenes:1", "--method", "sp", *FEW, "--attack", "fgsm:0.01")
    refused(run(*asked, "--target", "output:1"), "--target: expected none with --attack")
    refused(run(*asked, "--against", "next"), "--against: expected a class with --attack")
    monkeypatch.setitem(sys.modules, "captum.robust", None)
    refused(run(*asked), "--attack: Fgsm needs captum, which")


def test_presets_run_what_the_data_has_the_truth_for() -> None:
    metrics = PRESETS["paper-a"].metrics
    assert fitting(metrics, False, frozenset({"labels", "silhouettes"})) == [
        name for name in metrics if name != "localization"
    ]
    assert "outside" in fitting(metrics, False, frozenset({"boxes"}))
    assert {"outside", "localization"}.isdisjoint(fitting(metrics, False, frozenset()))
    assert fitting(metrics, True, frozenset()) == list(metrics)


def test_presets_are_complete() -> None:
    for name in PRESETS:
        request = completed(EvaluateRequest("scenes", preset=name), frozenset({"boxes"}))
        plan = parse(request, frozenset({"boxes", "silhouettes", "labels"}))
        assert all(plan.metrics_of(pair) for pair in plan.pairs), name
        assert request.paper == (name != "quick")


def test_without_ray_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    refused(
        run(*SMALL, "--workers", 2),
        "(--workers, --ray) needs ray, which is not installed: pip install 'infill-attribution[ray]'",
    )
