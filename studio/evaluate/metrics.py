"""The metrics by name: what each is, and what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from studio.registry.added import metrics


@dataclass(frozen=True)
class MetricEntry:
    """What a metric's name means.

    Attributes:
        summary: What it measures, in a line.
        source: Author and year.
        needs: What must be annotated: ``boxes``, ``silhouettes``, ``region`` (either), ``others`` (the boxes
            of every class of an image) or nothing.
        removes: Whether it takes a filler of its own, ``NAME:FILLER``; gray unless one is named.
        of: What it looks at: a ``heatmap`` (which baselines have, too), a method's own ``samples`` (which
            optimizing methods do not have beforehand), its ``filler``, or the method run ``again``.
        probability: Whether the score must be one.
        classes: Whether it must be a class's: the others are looked at, too.
        origin: The package that adds it, and its version; empty for infill's own.
    """

    summary: str
    source: str
    needs: str = ""
    removes: bool = False
    of: str = "heatmap"
    probability: bool = False
    classes: bool = False
    origin: str = ""


def known_by(needs: str, offers: frozenset[str]) -> bool:
    """Whether data that ``offers`` so much has what a metric needs."""
    if needs == "region":
        return bool(offers & {"boxes", "silhouettes"})
    return needs in ("", *offers)


_OURS: Mapping[str, MetricEntry] = {
    "localization": MetricEntry(
        "share of images whose box above alpha * maximum misses the object; alpha tuned on the other half",
        "Agarwal & Nguyen 2020",
        "boxes",
    ),
    "localization-mean": MetricEntry(
        "the same above alpha * mean",
        "Du et al. 2018",
        "boxes",
    ),
    "pointing": MetricEntry("whether the maximum is in a box", "Zhang et al. 2018", "boxes"),
    "salient": MetricEntry(
        "precision, recall, F and MAE of what is above twice the mean",
        "Du et al. 2018", "silhouettes",
    ),
    "saliency": MetricEntry(
        "log area minus log score of the box cut out; alpha tuned on the other half",
        "Dabkowski & Gal 2017", probability=True,
    ),
    "deletion": MetricEntry(
        "area under the score as the evidence goes",
        "Petsiuk et al. 2018", removes=True
    ),
    "insertion": MetricEntry(
        "area under the score as the evidence comes",
        "Petsiuk et al. 2018", removes=True
    ),
    "gain": MetricEntry(
        "deletion from behind minus deletion (SRG)", "Bluecher et al. 2024", removes=True
    ),
    "removal": MetricEntry(
        "fall when the strongest 5 % go, and how far beyond that of the same hole elsewhere",
        "",
        removes=True,
    ),
    "own": MetricEntry("share of the heatmap's variance that is off the object", "", "region"),
    "outside": MetricEntry(
        "change of the score by samples that do not touch the object's box", "Agarwal & Nguyen 2020",
        "region", of="samples",
    ),
    "labels": MetricEntry(
        "share of the three most frequent labels of all samples",
        "Agarwal & Nguyen 2020", of="samples", classes=True,
    ),
    "filled": MetricEntry(
        "the score with the whole image filled", "Agarwal & Nguyen 2020", of="filler"
    ),
    "scope": MetricEntry(
        "the score left as superpixels go in an order drawn by chance: how far the filler is trusted (R-OMS)",
        "Bluecher et al. 2024", of="filler"
    ),
    "object": MetricEntry(
        "the score without the object, and with nothing else",
        "Agarwal & Nguyen 2020", "region",
        of="filler",
    ),
    "others": MetricEntry(
        "whether the other classes of the image stay when the object is removed",
        "", "others",
        of="filler", probability=True,
    ),
    "sensitivity": MetricEntry(
        "agreement of heatmaps between settings or seeds (LIME's with at most 500 samples)",
        "Agarwal & Nguyen 2020", of="again",
    ),
    "randomization": MetricEntry(
        "agreement with the heatmaps of networks that lost what they learned (optimizing methods: where they "
        "still see the class)",
        "Adebayo et al. 2018", of="again",
    ),
    "shift": MetricEntry(
        "agreement with the heatmap of the tinted image, of which the classifier says the same",
        "Kindermans et al. 2019", of="again",
    ),
}  # fmt: skip

ADDED = metrics(frozenset(_OURS))
"""Those that other packages add."""
METRICS: Mapping[str, MetricEntry] = {
    **_OURS,
    **{
        name: MetricEntry(each.summary, each.source, each.needs, each.removes, each.of, origin=each.origin)
        for name, each in ADDED.items()
    },
}
"""All of them."""
