"""The rollout phase: what is asked of the engine, and what the buffer has afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perilune.algorithm.streams import trajectory_seed
from perilune.recipe.training import RLConfig
from perilune.rl.rollout import fresh_group, roll_out
from perilune.types import Group, Stop

if TYPE_CHECKING:
    from conftest import Lab


def test_a_fresh_group_has_k_empty_trajectories_with_streams_of_their_own(lab: Lab) -> None:
    problem = lab.problems[0]
    group = fresh_group(problem, 12, 3, 4, lab.render, run_seed=9)
    assert (group.id, group.born, group.prompt_tokens) == ("00012-003", 12, lab.render(problem))
    assert [(t.id, t.index) for t in group.trajectories] == [(f"00012-003/{i}", i) for i in range(4)]
    assert [t.seed for t in group.trajectories] == [trajectory_seed(9, "p0", "00012-003", i) for i in range(4)]
    others = [fresh_group(problem, 12, place, 4, lab.render, run_seed=9) for place in (3, 4)]
    assert others[0] == group
    assert len({t.seed for g in others for t in g.trajectories}) == 8


def test_a_phase_asks_for_what_is_missing_alone(lab: Lab) -> None:
    config = RLConfig(segment_tokens=4, max_response_tokens=8, group_size=2)
    buffer, engine, grader = lab.run().buffer, lab.engine(), lab.grader()
    groups = [fresh_group(problem, 0, n, 2, lab.render, 1) for n, problem in enumerate(lab.problems[:3])]
    buffer.add(groups)
    seen: list[tuple[int, int]] = []

    def phase(iteration: int, groups: list[Group]) -> tuple[int, int, int]:
        result = roll_out(
            engine,
            groups,
            config,
            iteration=iteration,
            buffer=buffer,
            grader=grader,
            decode=lambda tokens: str(lab.tokenizer.decode(list(tokens))),
            progress=lambda done, total: seen.append((done, total)),
        )
        return result.responses, result.tokens, result.grade_errors

    assert phase(0, groups) == (6, 24, 0)
    assert seen == [(n, 6) for n in range(1, 7)]
    assert [request.id for request in engine.asked] == [t.id for g in groups for t in g.trajectories]
    assert {t.stop for g in buffer.open_groups() for t in g.trajectories} == {Stop.CUT}

    # The same iteration once more: every response has its segment.
    assert phase(0, buffer.open_groups()) == (0, 0, 0)

    earlier = {t.id: t.tokens for g in buffer.open_groups() for t in g.trajectories}
    assert phase(1, buffer.open_groups()) == (6, 24, 0)
    assert all(request.response_tokens == earlier[request.id] for request in engine.asked[6:])
    done = buffer.open_groups()
    assert all(group.complete for group in done)
    assert phase(2, done) == (0, 0, 0)
