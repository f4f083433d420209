"""Attention over a paged cache: every token reads exactly its own positions, in an order that its neighbours do not
change, so that its result is the same to the bit whatever it is computed with.

Keys lie transposed, [blocks, kv heads, head dimension, BLOCK], values as they come, [blocks, kv heads, BLOCK, value
dimension], so that neither products with queries nor sums of values add up across a vector.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

from perilune.backends.engines.kernels.code import FLOATS, INTRINSICS, INTS, WIDTH, Function, Library
from perilune.backends.engines.kernels.layout import Layout
from perilune.backends.engines.kernels.vectors import (
    every,
    exponential,
    load_float,
    load_floats,
    store_floats,
)

BLOCK = 32
"""Positions in a block of the cache."""
_UNIT = BLOCK // WIDTH
_TILE = 4
"""Queries of one key/value head that are worked on together, at most: as many as registers hold."""
_LINE = 64
"""Bytes of a line of the processor's caches."""
_NEVER = "0xFFF0000000000000"
"""Minus infinity."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the code is made for."""

    heads: int
    kv_heads: int
    key_dim: int
    value_size: int
    half: bool
    """bf16, else fp32; sums are fp32 in both."""
    capped: bool
    """Scores are soft-capped."""
    sinks: bool
    """Each head has a sink: a score that takes a share and gives nothing."""

    @property
    def shared(self) -> int:
        """Query heads that share a key/value head."""
        return self.heads // self.kv_heads

    @property
    def value_dim(self) -> int:
        """Size of a value as it lies in the cache and in the result: in whole vectors."""
        return whole_vectors(self.value_size)


def whole_vectors(size: int) -> int:
    """Numbers that whole vectors hold, at least so many."""
    return -(-size // WIDTH) * WIDTH


_POINTERS = (
    *("query", "key", "value", "out", "keys", "values", "sinks"),
    *("tables", "row_of", "length_of", "order", "bounds", "writes", "scratch", "thread", "threads"),
)
_COUNTS = (
    *("query_head", "query_token", "key_head", "key_token", "value_head", "value_token"),
    *("tokens", "table_width", "scratch_size", "room", "window", "write_count", "parts"),
)
_NUMBERS = ("scale", "cap")
_LAYOUT = Layout(_POINTERS, _COUNTS, _NUMBERS)


class Arguments(ctypes.Structure):
    """What a call works on; every field takes eight bytes, strides are in elements.

    query, key, value: one layer's packed tokens, [heads, tokens, dimension] with strides. out: [tokens, heads, value
    dimension]. keys, values: the layer's blocks. sinks: [heads] float32. tables: [rows, table_width] int32, the blocks
    of a row. row_of, length_of: [tokens] int32. order: [tokens] int32, in which tokens are worked on. bounds: [parts +
    1] int64, of tokens times kv heads. writes: [write_count, 3] int32, a token, its block and its place in it. scratch:
    scratch_size bytes a part, of which room floats are for the scores of a query. thread, threads: addresses of
    functions that tell the number of the thread that calls and how many there are. window: positions that are seen.
    """

    _fields_ = _LAYOUT.fields


def scratch_bytes(shape: Shape, room: int) -> int:
    """Bytes that a thread needs.

    Args:
        shape: of the attention.
        room: positions that a token may see, in whole blocks.
    """
    return 4 * (shape.shared * (room + shape.key_dim) + 64)


@cache
def compiled(shape: Shape) -> Library:
    """The functions ``write(args)``, ``attend(args, part)`` and ``attend_parallel(args)``, made once for a shape."""
    return Library(
        "\n".join([INTRINSICS, _write(shape), _attend(shape), _LAYOUT.parallel("attend_parallel", "attend")])
    )


def _int(f: Function, base: str, index: str) -> str:
    return f.new(f"sext i32 {f.load(base, index, 'i32')} to i64")


# Writing.


def _write(shape: Shape) -> str:
    """Keys and values of packed tokens go to their places in the cache."""
    kind = "i16" if shape.half else "i32"
    f = Function("write", "ptr noalias %args")
    fields = {name: _LAYOUT.get(f, name) for name in ("key", "value", "keys", "values", "writes", "write_count")}
    strides = {name: _LAYOUT.get(f, name) for name in ("key_head", "key_token", "value_head", "value_token")}
    with f.loop(0, fields["write_count"]) as number:
        first = f.math("mul", number, 3)
        token = _int(f, fields["writes"], first)
        block = _int(f, fields["writes"], f.math("add", first, 1))
        place = _int(f, fields["writes"], f.math("add", first, 2))
        with f.loop(0, shape.kv_heads) as head:
            slab = f.math("add", f.math("mul", block, shape.kv_heads), head)
            for name, size, dim, down, along in (
                ("key", shape.key_dim, shape.key_dim, BLOCK, 1),
                ("value", shape.value_size, shape.value_dim, 1, shape.value_dim),
            ):
                source = f.math(
                    "add", f.math("mul", head, strides[f"{name}_head"]), f.math("mul", token, strides[f"{name}_token"])
                )
                target = f.math("add", f.math("mul", slab, dim * BLOCK), f.math("mul", place, along))
                read, written = f.at(fields[name], source, kind), f.at(fields[f"{name}s"], target, kind)
                with f.loop(0, size) as d:
                    number_ = f.load(read, d, kind)
                    f.do(f"store {kind} {number_}, ptr {f.at(written, f.math('mul', d, down), kind)}")
    return f.text()


# Attending.


def _attend(shape: Shape) -> str:
    """One part of the tokens, each with every head."""
    f = Function("attend", "ptr noalias %args, i64 %part")
    fields = _LAYOUT.all(f)
    for name in _NUMBERS:
        fields[name] = f.new(f"fptrunc double {fields[name]} to float")
    scratch = f.at(fields["scratch"], f.math("mul", "%part", fields["scratch_size"]), "i8")
    fields["scores"] = scratch
    fields["scaled"] = f.at(scratch, f.math("mul", fields["room"], shape.shared), "float")
    first = f.load(fields["bounds"], "%part", "i64")
    last = f.load(fields["bounds"], f.math("add", "%part", 1), "i64")
    with f.loop(first, last) as job:
        head = f.math("sdiv", job, fields["tokens"])
        token = _int(f, fields["order"], f.math("srem", job, fields["tokens"]))
        length = _int(f, fields["length_of"], token)
        row = _int(f, fields["row_of"], token)
        table = f.at(fields["tables"], f.math("mul", row, fields["table_width"]), "i32")
        early = f.math("sub", length, fields["window"])
        hidden = f.new(f"icmp slt i64 {early}, 0")
        start = f.new(f"select i1 {hidden}, i64 0, i64 {early}")
        job_ = _Job(
            f,
            shape,
            fields,
            head,
            token,
            table,
            start,
            length,
            f.math("sdiv", start, BLOCK),
            f.math("sdiv", f.math("add", length, BLOCK - 1), BLOCK),
        )
        job_.scale_queries()
        tiles = -(-shape.shared // _TILE)
        size = -(-shape.shared // tiles)
        for begin in range(0, shape.shared, size):
            queries = range(begin, min(begin + size, shape.shared))
            tops = job_.score(queries)
            totals = [job_.weigh(query, top) for query, top in zip(queries, tops, strict=True)]
            job_.add_values(queries, totals)
    return f.text()


@dataclass(frozen=True, slots=True)
class _Job:
    """The queries of one token that share a key/value head."""

    f: Function
    shape: Shape
    fields: dict[str, str]
    head: str
    token: str
    table: str
    start: str
    """The first position that is seen."""
    length: str
    first_block: str
    end_block: str

    def scale_queries(self) -> None:
        """The queries times the scale, in fp32."""
        f, shape, fields = self.f, self.shape, self.fields
        kind = "i16" if shape.half else "float"
        heads = f.math("mul", f.math("mul", self.head, shape.shared), fields["query_head"])
        base = f.at(fields["query"], f.math("add", heads, f.math("mul", self.token, fields["query_token"])), kind)
        for query in range(shape.shared):
            source = f.at(base, f.math("mul", fields["query_head"], query), kind)
            with f.loop(0, shape.key_dim) as d:
                number = load_float(f, source, d, shape.half)
                scaled = f.new(f"fmul float {number}, {fields['scale']}")
                f.do(f"store float {scaled}, ptr {self._scaled(query, d)}")

    def _scaled(self, query: int, d: str) -> str:
        return self.f.at(self.fields["scaled"], self.f.math("add", d, query * self.shape.key_dim), "float")

    def _slab(self, name: str, block: str) -> str:
        """Where a block's keys or values of this head lie."""
        f, shape = self.f, self.shape
        dim = shape.key_dim if name == "keys" else shape.value_dim
        number = f.math("add", f.math("mul", _int(f, self.table, block), shape.kv_heads), self.head)
        return f.at(self.fields[name], f.math("mul", number, dim * BLOCK), "i16" if shape.half else "float")

    def _vector(self, base: str, index: str) -> str:
        """Numbers of the cache as fp32."""
        return load_floats(self.f, base, index, self.shape.half)

    def _row(self, query: int, block: str, part: int) -> str:
        """Where a vector of a query's scores lies."""
        f = self.f
        begin = f.math("add", f.math("mul", self.fields["room"], query), f.math("mul", block, BLOCK))
        return f.at(self.fields["scores"], f.math("add", begin, part * WIDTH), "float")

    def score(self, queries: range) -> list[str]:
        """Scores of the queries with all keys; the largest of each."""
        f, shape = self.f, self.shape
        tops = [f.variable(FLOATS, every(_NEVER)) for _ in queries]
        with f.loop(self.first_block, self.end_block) as block:
            slab = self._slab("keys", block)
            coming = [self._slab("keys", self._after(block)), self._slab("values", block)]
            sums = [[f.variable(FLOATS, "zeroinitializer") for _ in range(_UNIT)] for _ in queries]
            with f.loop(0, shape.key_dim) as d:
                row = f.math("mul", d, BLOCK)
                if queries.start == 0:
                    for ahead in coming:
                        for place in range(0, BLOCK, _LINE // (2 if shape.half else 4)):
                            f.prefetch(ahead, f.math("add", row, place), "i16" if shape.half else "float")
                keys = [self._vector(slab, f.math("add", row, part * WIDTH)) for part in range(_UNIT)]
                for query, own in zip(queries, sums, strict=True):
                    number = f.splat(f.new(f"load float, ptr {self._scaled(query, d)}"))
                    for key, total in zip(keys, own, strict=True):
                        total.set(f.call("llvm.fmuladd", FLOATS, number, key, total.get()))
            for part in range(_UNIT):
                seen = self._seen(block, part)
                for query, own, top in zip(queries, sums, tops, strict=True):
                    found = self._capped(own[part].get())
                    found = f.new(f"select <{WIDTH} x i1> {seen}, {FLOATS} {found}, {FLOATS} {every(_NEVER)}")
                    f.do(f"store {FLOATS} {found}, ptr {self._row(query, block, part)}, align 4")
                    top.set(f.call("llvm.maxnum", FLOATS, top.get(), found))
        return [f.new(f"call float @llvm.vector.reduce.fmax.v{WIDTH}f32({FLOATS} {top.get()})") for top in tops]

    def _after(self, block: str) -> str:
        """The block after one; after the last, the last again."""
        f = self.f
        last = f.math("sub", self.end_block, 1)
        return f.new(f"call i64 @llvm.smin.i64(i64 {f.math('add', block, 1)}, i64 {last})")

    def _seen(self, block: str, part: int) -> str:
        f = self.f
        begin = f.new(f"trunc i64 {f.math('add', f.math('mul', block, BLOCK), part * WIDTH)} to i32")
        places = self._ints(begin, ", ".join(f"i32 {k}" for k in range(WIDTH)))
        below = f.new(f"icmp slt {INTS} {places}, {self._ints(f.new(f'trunc i64 {self.length} to i32'))}")
        above = f.new(f"icmp sge {INTS} {places}, {self._ints(f.new(f'trunc i64 {self.start} to i32'))}")
        return f.new(f"and <{WIDTH} x i1> {below}, {above}")

    def _ints(self, number: str, plus: str = "") -> str:
        f = self.f
        first = f.new(f"insertelement {INTS} poison, i32 {number}, i64 0")
        same = f.new(f"shufflevector {INTS} {first}, {INTS} poison, {INTS} zeroinitializer")
        return f.new(f"add {INTS} {same}, <{plus}>") if plus else same

    def _capped(self, scores: str) -> str:
        """cap * tanh(scores / cap)."""
        if not self.shape.capped:
            return scores
        f, cap = self.f, self.f.splat(self.fields["cap"])
        ratio = f.new(f"fdiv {FLOATS} {scores}, {cap}")
        far = f.call("llvm.maxnum", FLOATS, f.call("llvm.minnum", FLOATS, ratio, every("9.0")), every("-9.0"))
        grown = exponential(f, f.new(f"fmul {FLOATS} {far}, {every('2.0')}"))
        above = f.new(f"fadd {FLOATS} {grown}, {every('-1.0')}")
        below = f.new(f"fadd {FLOATS} {grown}, {every('1.0')}")
        return f.new(f"fmul {FLOATS} {f.new(f'fdiv {FLOATS} {above}, {below}')}, {cap}")

    def weigh(self, query: int, top: str) -> str:
        """A query's scores become weights; their sum."""
        f = self.f
        sink = ""
        if self.shape.sinks:
            place = f.math("add", f.math("mul", self.head, self.shape.shared), query)
            sink = f.load(self.fields["sinks"], place, "float")
            top = f.call("llvm.maxnum", "float", top, sink)
        total, tops = f.variable(FLOATS, "zeroinitializer"), f.splat(top)
        with f.loop(self.first_block, self.end_block) as block:
            for part in range(_UNIT):
                place = self._row(query, block, part)
                score = f.new(f"load {FLOATS}, ptr {place}, align 4")
                weight = exponential(f, f.new(f"fsub {FLOATS} {score}, {tops}"))
                f.do(f"store {FLOATS} {weight}, ptr {place}, align 4")
                total.set(f.new(f"fadd {FLOATS} {total.get()}, {weight}"))
        found = f.new(f"call reassoc float @llvm.vector.reduce.fadd.v{WIDTH}f32(float 0.0, {FLOATS} {total.get()})")
        if sink:
            own = exponential(f, f.splat(f.new(f"fsub float {sink}, {top}")))
            found = f.new(f"fadd float {found}, {f.new(f'extractelement {FLOATS} {own}, i64 0')}")
        return found

    def add_values(self, queries: range, totals: list[str]) -> None:
        """The weighted mean of the values, for each query."""
        f, shape = self.f, self.shape
        width = WIDTH * (_UNIT if shape.value_dim % (_UNIT * WIDTH) == 0 else 1)
        inverses = [f.splat(f.new(f"fdiv float 1.0, {total}")) for total in totals]
        with f.loop(0, shape.value_dim, width) as column:
            parts = range(width // WIDTH)
            sums = [[f.variable(FLOATS, "zeroinitializer") for _ in parts] for _ in queries]
            with f.loop(self.first_block, self.end_block) as block:
                slab = f.at(self._slab("values", block), column, "i16" if shape.half else "float")
                left = f.math("sub", self.length, f.math("mul", block, BLOCK))
                full = f.new(f"icmp sgt i64 {left}, {BLOCK}")
                count = f.new(f"select i1 {full}, i64 {BLOCK}, i64 {left}")
                rows = [self._row(query, block, 0) for query in queries]
                with f.loop(0, count) as place:
                    begin = f.math("mul", place, shape.value_dim)
                    values = [self._vector(slab, f.math("add", begin, part * WIDTH)) for part in parts]
                    for row, own in zip(rows, sums, strict=True):
                        weight = f.splat(f.load(row, place, "float"))
                        for value, total in zip(values, own, strict=True):
                            total.set(f.call("llvm.fmuladd", FLOATS, weight, value, total.get()))
            for query, own, inverse in zip(queries, sums, inverses, strict=True):
                for part, total in zip(parts, own, strict=True):
                    mean = f.new(f"fmul {FLOATS} {total.get()}, {inverse}")
                    self._store(query, f.math("add", column, part * WIDTH), mean)

    def _store(self, query: int, column: str, numbers: str) -> None:
        f, shape = self.f, self.shape
        head = f.math("add", f.math("mul", self.head, shape.shared), query)
        row = f.math("add", f.math("mul", self.token, shape.heads), head)
        place = f.math("add", f.math("mul", row, shape.value_dim), column)
        store_floats(f, numbers, self.fields["out"], place, shape.half)
