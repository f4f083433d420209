import pytest

from perilune.sandbox.checkers import compare_floats, compare_lines, compare_tokens


def close(expected: bytes, actual: bytes) -> bool:
    return compare_floats(expected, actual, absolute=1e-6, relative=1e-6) is None


@pytest.mark.parametrize("actual", [b"1 2\n3\n", b"  1\t2 3", b"1\r\n2\r\n3\r\n\n", b"1 2 3"])
def test_tokens_may_be_spaced_in_any_way(actual: bytes) -> None:
    assert compare_tokens(b"1 2\n3\n", actual) is None


@pytest.mark.parametrize(
    ("actual", "difference"),
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
def test_the_first_different_token_is_named(actual: bytes, difference: str) -> None:
    assert compare_tokens(b"1 2\n3\n", actual) == difference


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
    ],
)
def test_decimal_numbers_may_be_a_little_off(expected: bytes, actual: bytes) -> None:
    assert close(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (b"0.5", b"0.50001"),
        (b"7", b"7.0"),
        (b"7", b"8"),
        (b"7", b"-7"),
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
    for expected, actual in ((b"7", b"-7"), (b"10", b"1"), (b"0", b"0.0")):
        assert compare_floats(expected, actual, 0.0, 0.0) is not None
