import pytest

from perilune.sandbox.checkers import compare_floats, compare_lines, compare_tokens, difference
from perilune.sandbox.tasks import Checker


def close(expected: bytes, actual: bytes) -> bool:
    return compare_floats(expected, actual, absolute=1e-6, relative=1e-6) is None


@pytest.mark.parametrize("actual", [b"1 2\n3\n", b"  1\t2 3", b"1\r\n2\r\n3\r\n\n", b"1 2 3"])
def test_tokens_may_be_spaced_in_any_way(actual: bytes) -> None:
    assert compare_tokens(b"1 2\n3\n", actual) is None


@pytest.mark.parametrize(
    ("actual", "found"),
    [
        (b"1 2 4", "token 3 is '4' instead of '3'"),
        (b"1 2", "token 3 is missing instead of '3'"),
        (b"1 2 3 4", "token 4 is '4' instead of missing"),
        (b"", "token 1 is missing instead of '1'"),
        ("1 2\u00a03".encode(), r"token 2 is '2\xa03' instead of '2'"),
        (b"1 2 \xff", r"token 3 is '\\xff' instead of '3'"),
        (b"1 2 " + b"9" * 50, f"token 3 is '{'9' * 40}' … instead of '3'"),
    ],
)
def test_the_first_different_token_is_named(actual: bytes, found: str) -> None:
    assert compare_tokens(b"1 2\n3\n", actual) == found


@pytest.mark.parametrize("kind", ["tokens", "floats", "decimals"])
@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (b"7", b"7.0"),
        (b"7.0", b"7"),
        (b"7", b"7."),
        (b"-3", b"-3.000"),
        (b"0", b"-0.0"),
        (b"1000", b"1e3"),
        (b"0.50", b"0.5"),
        (b".5", b"0.5"),
        (b"x 1.50\n2", b"x 1.50\n2.0"),
        (b"9" * 5000, b"9" * 5000 + b".0"),
    ],
)
def test_numbers_are_equal_by_value(kind, expected: bytes, actual: bytes) -> None:
    assert difference(Checker(kind), expected, actual) is None
    assert difference(Checker("tokens_exact"), expected, actual) is not None


@pytest.mark.parametrize("kind", ["tokens", "decimals"])
@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (b"7", b"7.0000001"),
        (b"100000000000000000000", b"100000000000000000001.0"),
        (b"0.1", b"0.1000000000000000055511151231257827"),
        (b"3", b"3.0.0"),
        (b"3", b"3.0 0"),
        (b"3", "٣.٠".encode()),
        (b"1000", b"1_000.0"),
        (b"1", b"1e0000000000000000000000"),
        (b"nan", b"NaN"),
        (b"NO", b"No"),
        (b"3", b"0x3"),
    ],
)
def test_what_differs_in_value_is_not_equal(kind, expected: bytes, actual: bytes) -> None:
    assert difference(Checker(kind), expected, actual) is not None


@pytest.mark.parametrize(("expected", "actual"), [(b"007", b"7.0"), (b"0010", b"10"), (b"7", b"07.0"), (b"+7", b"7")])
def test_a_number_with_zeros_in_front_is_a_text_to_tokens(expected: bytes, actual: bytes) -> None:
    assert difference(Checker("tokens"), expected, actual) is not None


@pytest.mark.parametrize("actual", [b"a b\n\nc", b"a b  \n\t\nc\n\n\n", b"a b\r\n\r\nc\r\n"])
def test_lines_ignore_what_trails(actual: bytes) -> None:
    assert compare_lines(b"a b\n\nc\n", actual) is None


@pytest.mark.parametrize("actual", [b"a  b\n\nc\n", b" a b\n\nc\n", b"a b\nc\n", b"\na b\n\nc\n", b""])
def test_lines_keep_what_leads_and_what_is_between(actual: bytes) -> None:
    assert compare_lines(b"a b\n\nc\n", actual) is not None


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (b"0.5", b".5000001"),
        (b"0.5", b"5e-1"),
        (b"1000000.0", b"1000000.9"),
        (b"1e-3", b"0.001"),
        (b"2.0", b"2"),
        (b"0.0", b"-0.0000005"),
        (b"7", b"+007"),
        (b"0", b"-0"),
        (b"x 1.5", b"x 1.5"),
        (b"3", b"3.0"),
        (b"3", b"2.9999999999"),
        (b"3.0", b"3"),
        (b"1000000", b"1000000.9"),
        (b"inf", b"inf"),
    ],
)
def test_decimal_numbers_may_be_a_little_off(expected: bytes, actual: bytes) -> None:
    assert close(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (b"0.5", b"0.50001"),
        (b"7", b"7.00001"),
        (b"7", b"8"),
        (b"7", b"-7"),
        (b"1000000", b"1000001"),
        (b"100000000000000000000", b"100000000000000000001"),
        (b"9" * 5000, b"9" * 4999 + b"8"),
        (b"0.5", b"nan"),
        (b"nan", b"nan"),
        (b"NaN", b"NaN"),
        (b"1e999", b"1e999"),
        (b"0.5", b"inf"),
        ("٥".encode(), b"5"),
        (b"0.5", "٠.٥".encode()),
        (b"1000.0", b"1_000.0"),
        (b"0.5", b"0.5 0.5"),
        (b"0.5 0.5", b"0.5"),
        (b"x", b"y"),
    ],
)
def test_what_is_not_close(expected: bytes, actual: bytes) -> None:
    assert not close(expected, actual)


def test_the_laxer_tolerance_holds() -> None:
    assert compare_floats(b"100.0", b"100.9", absolute=1.0, relative=0.0) is None
    assert compare_floats(b"100.0", b"100.9", absolute=0.0, relative=0.01) is None
    assert compare_floats(b"100.0", b"100.9", absolute=0.1, relative=0.001) is not None


@pytest.mark.parametrize("actual", [b"0" * 1_000_000 + b"x", b"1" * 1_000_000 + b"x", b"1." + b"1" * 1_000_000 + b"e"])
@pytest.mark.parametrize("expected", [b"5", b"5.5"])
@pytest.mark.timeout(20)
def test_a_long_output_that_is_nearly_a_number_takes_no_long_time(expected: bytes, actual: bytes) -> None:
    """Matching that goes back would take hours, in the process that judges."""
    assert compare_floats(expected, actual, 1e-6, 1e-6) is not None


def test_zeros_in_front_and_the_sign_of_zero() -> None:
    for expected, actual in ((b"0", b"-000"), (b"10", b"0010"), (b"-7", b"-07")):
        assert compare_floats(expected, actual, 0.0, 0.0) is None
    for expected, actual in ((b"7", b"-7"), (b"10", b"1"), (b"7", b"7.0000000000000000001")):
        assert compare_floats(expected, actual, 0.0, 0.0) is not None


def test_a_tolerance_is_kept_to_the_last_digit() -> None:
    assert compare_floats(b"1.0", b"1.1", absolute=0.1, relative=0.0) is None
    assert compare_floats(b"1.0", b"1.10000000000000001", absolute=0.1, relative=0.0) is not None
    assert compare_floats(b"1e308", b"1.000001e308", absolute=0.0, relative=1e-5) is None


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        (b"1 2\n3\n", b"3\n1   2\n\n", True),
        (b"1 2\n3\n", b"2 1\n3\n", False),
        (b"b\na\n", b"a\r\nb", True),
        (b"1\n1\n2\n", b"1\n2\n2\n", False),
        (b"1\n1\n", b"1\n", False),
        (b"10\n9\n", b"9\n10\n", True),
    ],
)
def test_sorted_takes_lines_in_any_order(expected: bytes, actual: bytes, same: bool) -> None:
    assert (difference(Checker("sorted"), expected, actual) is None) is same


def test_sorted_takes_tokens_in_any_order_where_it_splits_on_whitespace() -> None:
    checker = Checker("sorted", split_on="whitespace")
    assert difference(checker, b"1 2\n3\n", b"3 2 1") is None
    assert difference(checker, b"1 2\n3\n", b"3 2 1 1") == "in order, token 2 is '1' instead of '2'"


def test_linecount_says_how_many_lines_are_right() -> None:
    checker = Checker("linecount")
    assert difference(checker, b"a\nb\n\nc\n", b" a\n\nb  \nc") is None
    found = "2 of 3 lines are right; line 2 is 'x' instead of 'b'"
    assert difference(checker, b"a\nb\nc\n", b"a\nx\nc\n") == found
    assert difference(checker, b"a\nb\n", b"a\nb\nc\n") is not None
    assert difference(checker, b"a\nb\n", b"a\n") == "1 of 2 lines are right; line 2 is missing instead of 'b'"


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        (b"1 2\n3.50\n", b"\n 1.0  2\n3.5 \n\n", True),
        (b"1 2\n3\n", b"1 2 3\n", False),
        (b"YES 1\n", b"YES 1.0\n", False),
        (b"YES 1\n", b"YES  1\n", False),
        (b"1\n\n2\n", b"1\n2\n", False),
        (b"1 2\n", b"1 2 3\n", False),
    ],
)
def test_decimals_compares_line_by_line_as_livecodebench_does(expected: bytes, actual: bytes, same: bool) -> None:
    assert (difference(Checker("decimals"), expected, actual) is None) is same


@pytest.mark.parametrize("kind", ["tokens", "floats", "decimals", "sorted", "linecount"])
@pytest.mark.timeout(20)
def test_no_number_takes_a_long_time(kind) -> None:
    long = b"7" * 1_000_000
    for actual in (long + b".5", b"0." + long, b"7e" + long, b"7e999999999", b"7e-999999999", b"1 " * 500_000):
        assert difference(Checker(kind), long, actual) is not None
        assert difference(Checker(kind), b"0.5", actual) is not None
