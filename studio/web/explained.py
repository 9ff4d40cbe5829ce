"""The work behind the page's buttons: the commands' own jobs, watched, and what is kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from attribution import MaskedScore
from studio.drawing.captions import colors_mean
from studio.explain.counterfactual import removing as searching_job
from studio.explain.explain import explaining
from studio.explain.result import Explanation, MethodResult
from studio.explain.session import Session, opened
from studio.explain.worker import Files, Job
from studio.progress import Progress
from studio.registry.build import is_signed
from studio.registry.own import Own
from studio.registry.tables import OPTIMIZING
from studio.web.choice import Choice, request
from studio.web.networks import Networks
from studio.web.pictures import Chosen
from studio.web.removal import SHARES, Stage, removal, within
from studio.web.turns import Telling, Work
from studio.web.watched import Growing, watched


@dataclass(frozen=True, eq=False)
class Explained:
    """A picture explained in one way.

    Attributes:
        job: What the command would have done.
        score: What the method asked.
        scores: Of all samples, in order; none of a search.
        stages: What is left when more and more of the evidence is removed.
    """

    chosen: Chosen
    choice: Choice
    job: Job
    explanation: Explanation
    score: MaskedScore
    scores: Sequence[float]
    stages: Sequence[Stage] = ()

    @property
    def files(self) -> Files:
        """Return what writes each of the command's files."""
        return self.job.files(self.explanation)

    @property
    def run(self) -> MethodResult:
        """Return the one result."""
        (result,) = self.explanation.results.values()
        return result

    @property
    def heatmap(self) -> Float[Tensor, "h w"]:
        """Return the map in the classifier's view."""
        return self.run.heatmap

    @property
    def signed(self) -> bool:
        """Whether the map speaks for the target above 0 and against it below."""
        return is_signed(self.choice.method, self.explanation.methods[self.choice.method])

    @property
    def meaning(self) -> str:
        """What the map's colors mean."""
        asked = self.explanation
        against = None if asked.against is None else asked.label(asked.against)
        return colors_mean(asked.asked.title or asked.label(asked.target), against, [self.signed])


@dataclass(frozen=True, eq=False)
class Live:
    """What can be seen of a run while it is going on.

    Attributes:
        searching: Whether the method looks for one hole, rather than sampling many.
    """

    score: MaskedScore
    growing: Growing
    searching: bool


def explained(
    chosen: Chosen, choice: Choice, networks: Networks, work: Work, removing: bool = True
) -> Explained:
    """Explain the picture as the command ``infill explain`` does, with the same heatmap.

    Args:
        chosen: The picture.
        choice: How it is explained.
        networks: Has the classifier.
        work: Told how it goes.
        removing: Whether the evidence is then taken away, stage by stage.

    Raises:
        ValueError: As the command.
        Stopped: If the work is stopped.
    """
    job = explaining(request(chosen, choice, networks), _said_nowhere)
    return _done(chosen, choice, job, networks, work, removing)


def counterfactual(chosen: Chosen, choice: Choice, networks: Networks, work: Work) -> Explained:
    """Look for the smallest removal as the command ``infill counterfactual`` does.

    Raises:
        ValueError: As the command, or if the method does not search.
        Stopped: If the work is stopped.
    """
    job = searching_job(request(chosen, choice, networks), _said_nowhere)
    return _done(chosen, choice, job, networks, work)


def looked_at(chosen: Chosen, choice: Choice, networks: Networks) -> MaskedScore:
    """Return the score of the picture's target, with nothing removed yet.

    Raises:
        ValueError: If the classifier cannot be had, or has no such class.
    """
    job = explaining(request(chosen, choice, networks), _said_nowhere)
    session = _session(job, choice, networks, Progress(quiet=True))
    score = session.score(chosen.image)
    networks.keep(choice.classifier, session.prepared)
    return score


def _session(job: Job, choice: Choice, networks: Networks, progress: Progress) -> Session:
    own = Own(classifier=networks.classifier(choice.classifier))  # loaded once, for all
    session = opened(job.request, job.selection, job.preset, job.fillers, progress, own)
    session.prepared = networks.prepared(choice.classifier)
    return session


def _done(
    chosen: Chosen, choice: Choice, job: Job, networks: Networks, work: Work, taking: bool = True
) -> Explained:
    session = _session(job, choice, networks, Telling(work))
    runs: list[Live] = []  # one: a choice has one method and one filler

    def begin(score: MaskedScore) -> MaskedScore:
        runs.append(Live(score, Growing(float(score.clean)), choice.method in OPTIMIZING))
        work.live = runs[0]
        return watched(score, runs[0].growing)

    session.watching = begin
    explanation = session.explain(chosen.image)
    networks.keep(choice.classifier, session.prepared)
    score = runs[0].score
    if explanation.final:  # what was found was judged by another filler
        score = within(score, explanation.final[1])
    (run,) = explanation.results.values()
    scores = () if run.search else runs[0].growing.scores
    work.live = found = Explained(chosen, choice, job, explanation, score, scores)
    if not taking:
        return found
    work.tell(doing="taking the evidence away")
    stages = removal(score, run.heatmap, explanation.classifier, SHARES, lambda done: work.tell())
    return replace(found, stages=stages)


def _said_nowhere(text: object) -> None:
    """Leave out what the command would say meanwhile: the page shows it."""
