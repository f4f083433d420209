import struct

import pytest

from perilune.sandbox.bpf import Jump, Label, Load, Mask, Return, assemble


def test_the_assembler_counts_jumps_from_the_next_instruction() -> None:
    code = assemble([Load(4), Jump("eq", 7, yes="end"), Mask(3), Label("end"), Return(5)])
    assert [struct.unpack_from("=HBBI", code, place) for place in range(0, len(code), 8)] == [
        (0x20, 0, 0, 4),
        (0x15, 1, 0, 7),
        (0x54, 0, 0, 3),
        (0x06, 0, 0, 5),
    ]


def test_jumps_that_do_not_fit_and_labels_that_are_missing() -> None:
    with pytest.raises(ValueError, match="does not fit in a byte"):
        assemble([Jump("eq", 1, yes="far"), *[Load(0)] * 300, Label("far"), Return(0)])
    with pytest.raises(KeyError):
        assemble([Jump("eq", 1, yes="nowhere"), Return(0)])
