import pytest

from perilune.errors import RecipeError
from perilune.recipe.cases import CasesConfig
from perilune.sandbox.consensus import vote

CONFIG = CasesConfig()


def equal(want: bytes, got: bytes) -> bool:
    return want.split() == got.split()


def matrix(right: int, wrong: int, cases: int, differing: int) -> list[list[bytes | None]]:
    """Outputs [submission][case]: so many right, and so many that share a bug which shows on the last cases."""
    good: list[bytes | None] = [f"{case}".encode() for case in range(cases)]
    bad = [*good[: cases - differing], *[b"bug"] * differing]
    return [list(good) for _ in range(right)] + [list(bad) for _ in range(wrong)]


@pytest.mark.parametrize(
    ("right", "wrong", "differing", "valid", "passing", "kept"),
    [
        (10, 0, 0, 50, 10, True),
        (9, 1, 20, 50, 9, True),
        (8, 2, 20, 50, 8, False),
        (7, 3, 1, 50, 7, False),
        # Six against four: where they differ neither side has seven, so those cases fall out.
        (4, 6, 20, 30, 10, False),
        (4, 6, 10, 40, 10, True),
        (4, 6, 11, 39, 10, False),
        # The majority is wrong and agrees: nothing in a vote can tell.
        (1, 9, 20, 50, 9, True),
    ],
)
def test_the_paper_s_rule(right: int, wrong: int, differing: int, valid: int, passing: int, kept: bool) -> None:
    found = vote(matrix(right, wrong, 50, differing), CONFIG, equal)
    assert (found.valid, found.right, found.keeps(CONFIG)) == (valid, passing, kept)


def test_a_run_without_output_has_no_vote() -> None:
    outputs = [[None] for _ in range(7)] + [[b"1"] for _ in range(3)]
    assert vote(outputs, CONFIG, equal).expected == (None,)
    outputs = [[None] for _ in range(3)] + [[b"1"] for _ in range(7)]
    found = vote(outputs, CONFIG, equal)
    assert found.expected == (b"1",)
    assert found.passed == (0, 0, 0, 1, 1, 1, 1, 1, 1, 1)


def test_the_checker_says_what_agrees() -> None:
    outputs = [[f"{' ' * n}1".encode()] for n in range(7)] + [[b"2"]] * 3
    assert vote(outputs, CONFIG, equal).expected == (b"1",)
    assert vote(outputs, CONFIG, lambda want, got: want == got).expected == (None,)


def test_tolerant_checkers_take_the_output_that_most_agree_with() -> None:
    # Closeness is not transitive: the middle one is close to all, the outer ones to half.
    outputs = [[value] for value in (b"0", b"0", b"0", b"5", b"9", b"9", b"9", b"5", b"5", b"5")]
    found = vote(outputs, CONFIG, lambda want, got: abs(int(want) - int(got)) <= 5)
    assert found.expected == (b"5",)


@pytest.mark.parametrize(
    "values", [{"agreeing": 5}, {"agreeing": 11}, {"passing": 11}, {"valid_cases": 51}, {"submissions": 8}]
)
def test_numbers_that_cannot_work_are_refused(values: dict[str, int]) -> None:
    with pytest.raises((ValueError, RecipeError)):
        CasesConfig(**values)
