"""Longest first."""

from __future__ import annotations

from perilune.backends.engines.queue import LongestFirst
from perilune.types import Request


def make_request(name: str, prompt: int, done: int = 0, segment: int = 100, limit: int = 100) -> Request:
    return Request(name, (prompt,), tuple(range(done)), segment, limit, seed=0)


def drain(queue: LongestFirst) -> list[str]:
    found = []
    while queue:
        found.append(queue.pop()[1].id)
    return found


def test_what_is_alike_keeps_its_order() -> None:
    assert drain(LongestFirst([make_request(str(n), n // 4) for n in range(12)])) == [str(n) for n in range(12)]


def test_budgets_bound_what_is_expected() -> None:
    requests = [make_request("short", 0, segment=5), make_request("old", 0, done=90), make_request("fresh", 1)]
    assert drain(LongestFirst(requests)) == ["fresh", "old", "short"]


def test_siblings_that_ended_tell_how_long_the_others_will_be() -> None:
    requests = [make_request(f"{group}{n}", group) for group in range(3) for n in range(2)]
    queue = LongestFirst(requests)
    assert queue.pop() == (0, requests[0])
    queue.ended(0, 10)
    assert queue.pop() == (1, requests[2])
    queue.ended(1, 60)
    # Group 2 is unknown and may be long; then group 1, and group 0 last.
    assert drain(queue) == ["20", "21", "11", "01"]


def test_a_response_past_its_siblings_is_expected_to_go_on() -> None:
    queue = LongestFirst([make_request("a", 0), make_request("b", 0, done=30)])
    queue.ended(0, 12)
    assert drain(queue) == ["b", "a"]


def test_it_knows_which_groups_have_more_to_come() -> None:
    queue = LongestFirst([make_request("a", 0), make_request("b", 1)])
    assert len(queue) == 2
    queue.pop()
    assert not queue.remain(0)
    assert queue.remain(1)
