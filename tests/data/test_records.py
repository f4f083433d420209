import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from perilune.data.problems import MADE
from perilune.data.records import READERS, read_records, sliced
from perilune.errors import ProblemsError
from perilune.recipe.problems import KINDS, SourceConfig


def jsonl(tmp_path, *lines, **options):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines))
    return SourceConfig(kind="jsonl", path=str(file), **options)


def test_blank_lines_do_not_shift_the_line_numbers(tmp_path):
    rows = list(read_records(jsonl(tmp_path, '{"a": 1}', "", '{"a": 2}')))
    assert [(where.rsplit(", ", 1)[1], row) for where, row in rows] == [("line 1", {"a": 1}), ("line 3", {"a": 2})]


@pytest.mark.parametrize(
    ("rows", "kept"), [(":-2", [0, 1, 2]), ("-2:", [3, 4]), ("1:3", [1, 2]), (None, [0, 1, 2, 3, 4])]
)
def test_slices(tmp_path, rows, kept):
    source = jsonl(tmp_path, *(f'{{"a": {n}}}' for n in range(5)), rows=rows)
    assert [row["a"] for _, row in read_records(source)] == kept


@pytest.mark.parametrize("first", [None, *range(-7, 8)])
@pytest.mark.parametrize("last", [None, *range(-7, 8)])
def test_slices_in_one_pass_are_those_of_a_list(first, last):
    for count in (0, 1, 5):
        assert list(sliced(iter(range(count)), slice(first, last))) == list(range(count))[first:last]


@pytest.mark.parametrize("rows", [":-1000", "-1010:", "1020:2050", "-2400:-2", "-2400:1100", "1024:2048"])
def test_slices_of_parquet_are_those_of_lines(tmp_path, rows):
    pyarrow.parquet.write_table(pyarrow.table({"a": range(2500)}), tmp_path / "rows.parquet")
    lines = read_records(jsonl(tmp_path, *(f'{{"a": {n}}}' for n in range(2500)), rows=rows))
    table = read_records(SourceConfig(kind="parquet", path=str(tmp_path / "rows.parquet"), rows=rows))
    of_lines, of_table = ([(where.split()[-1], row) for where, row in found] for found in (lines, table))
    assert of_table == of_lines


def test_two_slices_of_a_file_parse_each_line_once_and_one_by_one(tmp_path, monkeypatch):
    parsed = []
    monkeypatch.setattr(json, "loads", lambda line, read=json.loads: parsed.append(line.strip()) or read(line))
    lines = [f'{{"a": {n}}}' for n in range(6)]
    first = read_records(jsonl(tmp_path, *lines, rows=":-2"))
    assert parsed == lines[:1]
    found = [row["a"] for _, row in (*first, *read_records(jsonl(tmp_path, *lines, rows="-2:")))]
    assert found == [0, 1, 2, 3, 4, 5] and parsed == lines


@pytest.mark.parametrize("rows", ["5", "a:b", "1:2:3:4"])
def test_a_bad_slice_is_named(tmp_path, rows):
    with pytest.raises(ProblemsError, match="is not a slice such as"):
        read_records(jsonl(tmp_path, '{"a": 1}', rows=rows))


def test_a_broken_line_names_file_line_and_reason(tmp_path):
    with pytest.raises(ProblemsError, match=r"rows\.jsonl, line 2: not valid JSON .*column 6"):
        list(read_records(jsonl(tmp_path, '{"a": 1}', '{"a":')))


@pytest.mark.parametrize("line", ['{"a": ' + "9" * 5000 + "}", '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"])
def test_json_that_is_too_large_for_its_reader(tmp_path, line):
    with pytest.raises(ProblemsError, match=r"rows\.jsonl, line 1: JSON that cannot be read"):
        read_records(jsonl(tmp_path, line))


def test_a_line_that_is_no_object(tmp_path):
    with pytest.raises(ProblemsError, match="line 1: a JSON object is needed, this is a list"):
        read_records(jsonl(tmp_path, "[1]"))


def test_bytes_that_are_no_text(tmp_path):
    with pytest.raises(ProblemsError, match="not UTF-8"):
        list(read_records(jsonl(tmp_path, '{"a": 1}', b"\xff\xfe")))


def test_the_line_with_such_bytes_is_named_although_text_is_decoded_in_blocks(tmp_path):
    lines = ['{"a": 1}'] * 300 + [b'{"a": "x\xe9y"}'] + ['{"a": 1}'] * 10
    with pytest.raises(ProblemsError, match=r"line 301: not UTF-8 text \(byte 0xe9 at column 9\)"):
        list(read_records(jsonl(tmp_path, *lines)))


def test_a_compressed_file_that_is_cut_off(tmp_path):
    whole = gzip.compress(b"".join(b'{"a": "%d"}\n' % (n * 7919) for n in range(3000)))
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ProblemsError, match=r"rows\.jsonl\.gz, after line \d+: the compressed file is cut off"):
        list(read_records(SourceConfig(kind="jsonl", path=str(file))))


def test_every_kind_of_the_recipe_is_read():
    assert set(KINDS) == set(READERS) | set(MADE)


def test_a_missing_file_says_what_to_set(tmp_path):
    with pytest.raises(ProblemsError, match=r"no problem file at .*problems\.train\.path"):
        read_records(SourceConfig(kind="jsonl", path=str(tmp_path / "none.jsonl")))


def test_a_missing_path():
    with pytest.raises(ProblemsError, match="'parquet' needs a path"):
        read_records(SourceConfig(kind="parquet"))


def test_parquet(tmp_path):
    file = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"q": ["a", "b"], "meta": [{"n": 1}, {"n": 2}]}), file)
    rows = list(read_records(SourceConfig(kind="parquet", path=str(file), rows="1:")))
    assert [row for _, row in rows] == [{"q": "b", "meta": {"n": 2}}]
    assert rows[0][0].endswith("rows.parquet, row 2")


def test_a_file_that_is_no_parquet(tmp_path):
    file = tmp_path / "rows.parquet"
    file.write_text("no")
    with pytest.raises(ProblemsError, match="not a readable Parquet file"):
        read_records(SourceConfig(kind="parquet", path=str(file)))


def test_a_local_hugging_face_folder(tmp_path):
    pytest.importorskip("datasets")
    (tmp_path / "train.jsonl").write_text('{"q": "a"}\n{"q": "b"}\n')
    rows = list(read_records(SourceConfig(kind="huggingface", path=str(tmp_path))))
    assert [row["q"] for _, row in rows] == ["a", "b"]
    with pytest.raises(ProblemsError, match="cannot load split 'nope'"):
        read_records(SourceConfig(kind="huggingface", path=str(tmp_path), split="nope"))
