"""Long work for a page: in turn, watched, stopped."""

import threading
import time
from typing import Any

import pytest

from studio.web.turns import Stopped, Telling, Turns, Work


@pytest.fixture
def turns() -> Any:
    made = Turns(most=3)
    yield made
    made.close()


def ended(work: Work) -> Work:
    assert work.ended.wait(10)
    return work


def test_what_comes_of_it_is_kept(turns: Turns) -> None:
    work = turns.begin("a", lambda work: 6 * 7)
    assert [each.result for each in work.watch(0.01)][-1] == 42
    assert not work.stopped
    assert work.error is None


def test_what_goes_wrong_is_kept_for_the_one_who_asked(turns: Turns) -> None:
    def wrong(work: Work) -> None:
        raise ValueError("no such class")

    work = ended(turns.begin("a", wrong))
    assert isinstance(work.error, ValueError)
    assert str(work.error) == "no such class"


def test_it_is_told_how_far_it_is_and_how_long_it_takes(turns: Turns) -> None:
    told = threading.Event()

    def slowly(work: Work) -> None:
        progress = Telling(work)
        progress.plan(40)
        with progress.run("sp gray"):
            time.sleep(0.02)
            progress(10, 40)
            told.wait(10)

    work = turns.begin("a", slowly)
    for _ in work.watch(0.01):
        if work.done:
            assert (work.done, work.total, work.doing) == (10, 40, "sp gray")
            assert work.left is not None
            assert work.left > 0.05
            told.set()
    assert told.is_set()


def test_it_is_stopped_at_the_next_batch(turns: Turns) -> None:
    begun, looked = threading.Event(), []

    def endless(work: Work) -> None:
        progress = Telling(work)
        for number in range(10**9):
            begun.set()
            time.sleep(0.001)
            progress(number, 10**9)
            looked.append(number)

    work = turns.begin("a", endless)
    begun.wait(10)
    assert turns.stop("a")
    ended(work)
    assert work.stopped
    assert work.error is None
    assert not turns.stop("a")
    assert turns.begin("a", lambda work: 1)  # the next one may come


def test_one_for_a_session_and_the_others_wait_in_order(turns: Turns) -> None:
    go, order = threading.Event(), []

    def first(work: Work) -> None:
        go.wait(10)
        order.append("a")

    a = turns.begin("a", first)
    with pytest.raises(ValueError, match="this page has a run going on"):
        turns.begin("a", first)
    b = turns.begin("b", lambda work: order.append("b"))
    c = turns.begin("c", lambda work: order.append("c"))
    assert [turns.ahead(each) for each in (a, b, c)] == [0, 1, 2]
    assert not c.begun
    with pytest.raises(ValueError, match="3 runs are waiting for their turn"):
        turns.begin("d", first)
    go.set()
    ended(c)
    assert order == ["a", "b", "c"]
    assert turns.ahead(c) == 0


def test_what_waits_can_be_stopped_before_its_turn(turns: Turns) -> None:
    go = threading.Event()
    turns.begin("a", lambda work: go.wait(10))
    work = turns.begin("b", lambda work: 1)
    turns.stop("b")
    go.set()
    ended(work)
    assert work.stopped
    assert work.result is None


def test_telling_raises_only_once_it_is_stopped() -> None:
    work = Work(lambda work: None)
    Telling(work)(1, 2)
    work.stop()
    with pytest.raises(Stopped):
        Telling(work)(2, 2)


def test_what_waits_is_stopped_at_once_and_never_done(turns: Turns) -> None:
    going, done = threading.Event(), []
    first = turns.begin("a", lambda work: going.wait(10))
    waiting = turns.begin("b", lambda work: done.append(1))
    assert turns.stop("b")
    assert ended(waiting).stopped
    assert not waiting.begun
    assert not first.ended.is_set()
    again = turns.begin("b", lambda work: done.append(2))  # the page is free for another
    going.set()
    assert not ended(again).stopped
    assert done == [2]


def test_the_next_one_may_come_while_the_last_is_being_stopped(turns: Turns) -> None:
    go, order = threading.Event(), []

    def first(work: Work) -> None:
        go.wait(10)  # its batch takes long
        order.append(1)

    turns.begin("a", first)
    turns.stop("a")
    second = turns.begin("a", lambda work: order.append(2))
    with pytest.raises(ValueError, match="this page has a run going on"):
        turns.begin("a", first)
    assert turns.ahead(second) == 1
    go.set()
    ended(second)
    assert order == [1, 2]


def test_of_two_things_the_second_is_counted_by_itself(turns: Turns) -> None:
    left: list[float | None] = []

    def both(work: Work) -> None:
        progress = Telling(work)
        for seconds in (0.5, 0.01):
            work.recount()
            progress.plan(20)
            with progress.run("sp gray"):
                time.sleep(seconds)
                progress(10, 20)
                left.append(work.left)

    ended(turns.begin("a", both))
    assert left[0] is not None
    assert left[1] is not None
    assert left[0] > 0.45
    assert left[1] < 0.25
