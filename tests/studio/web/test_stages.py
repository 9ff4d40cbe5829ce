"""What the page says of work and of removal, stage by stage."""

import torch

from studio.drawing.captions import percent
from studio.web.removal import Row, Seen, Stage
from studio.web.result_views import _turn, _turning
from studio.web.turns import Telling, Work


def stage(share: float, first: int) -> Stage:
    """So much is removed, and the first choice is a cat or a dog."""
    seen = Seen(first, [Row(("cat", "dog")[first], 0.9)], "cat", 0.5)
    return Stage(share, torch.zeros(3, 2, 2), torch.zeros(2, 2), seen, seen.probability)


def test_the_share_with_which_another_class_comes_first_is_told() -> None:
    stages = [stage(0.0, 0), stage(0.1, 0), stage(0.3, 1), stage(1.0, 0)]
    assert _turn(stages) == 2
    assert _turning(stages, 2) == f"With {percent(0.3)} gone, dog comes first."
    same = stages[:2]
    assert _turning(same, _turn(same)) == "Whatever is removed, cat stays the first choice."


def test_two_runs_of_a_job_are_counted_one_after_the_other() -> None:
    work = Work(lambda work: None)
    progress = Telling(work)
    progress.plan(30)
    for name, count, done in (("sp gray", 10, 10), ("rise gray", 20, 30)):
        with progress.run(name):
            progress(count, count)
        assert (work.done, work.total, work.doing) == (done, 30, name)
