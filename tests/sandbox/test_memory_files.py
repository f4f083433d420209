import os

import pytest

from perilune.sandbox.memory_files import memory_file, read_from, size_of


def test_what_is_written_is_read_and_the_position_stays() -> None:
    with memory_file(b"0123456789") as descriptor:
        assert size_of(descriptor) == 10
        assert read_from(descriptor, 4) == b"0123"
        assert read_from(descriptor, 100, 8) == b"89"
        assert os.read(descriptor, 2) == b"01"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_sealed_one_cannot_be_changed_by_anybody() -> None:
    with memory_file(b"program", sealed=True) as descriptor:
        for change in (lambda: os.write(descriptor, b"x"), lambda: os.ftruncate(descriptor, 0)):
            with pytest.raises(PermissionError):
                change()
        assert read_from(descriptor, 100) == b"program"
