"""Drawing the next token of each row from its logits, each row by itself.

A row's logits are read once; its weights, exp((logit - largest) / temperature), stay in the processor's cache. They
are added up in double precision by blocks of :data:`BLOCK`, so that a uniform number finds its block, then its place.

The nucleus needs no order of the whole vocabulary. Tokens lighter than (1 - top_p) · total / vocabulary are outside
of it, for all of them together weigh less than 1 - top_p of the total. Among the others the lightest weight inside is
found digit by digit from the highest: the weights of each digit are added up, and one digit holds the edge.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from perilune.backends.engines.kernels.code import DOUBLES, FLOATS, INTRINSICS, INTS, WIDTH, Function, Library, Variable
from perilune.backends.engines.kernels.layout import Layout
from perilune.backends.engines.kernels.vectors import every, every_int, exponential, load_float, load_floats

BLOCK = 256
"""Tokens whose weights are added up together."""
_DIGITS = 256
_ALMOST = 1 - 1e-12
"""Rounding must not carry a uniform number past the last token of positive weight."""
_NEVER = "0xFFF0000000000000"
"""Minus infinity."""

_LAYOUT = Layout(
    (
        *("logits", "temperatures", "top_ps", "uniforms", "tokens", "shifted", "totals", "scratch"),
        *("thread", "threads"),
    ),
    ("rows", "vocabulary", "row_stride", "scratch_size", "parts"),
)


class Arguments(ctypes.Structure):
    """What a call works on.

    logits: [rows, vocabulary] with a stride in elements. temperatures: [rows] float32. top_ps, uniforms: [rows]
    float64. Written are tokens: [rows] int64; shifted: [rows] float32, the token's logit less the largest; totals:
    [rows] float64, the sum of exp(logit - largest). scratch: scratch_size bytes a part. thread, threads, parts: see
    :meth:`Layout.parallel`.
    """

    _fields_ = _LAYOUT.fields


def scratch_bytes(vocabulary: int) -> int:
    """Bytes that a thread needs: a weight and two lists of tokens, sums of blocks, and sums of digits."""
    padded = -(-vocabulary // BLOCK) * BLOCK
    return 12 * padded + 8 * (padded // BLOCK) + 8 * (_DIGITS + 1)


@cache
def compiled(half: bool) -> Library:
    """The functions ``sample(args, part)`` and ``sample_parallel(args)`` for logits in bf16 or fp32."""
    f = Function("sample", "ptr noalias %args, i64 %part")
    fields = _LAYOUT.all(f)
    with f.loop("%part", fields["rows"], fields["parts"]) as row:
        _Row(f, fields, row, half).draw()
    return Library("\n".join([INTRINSICS, f.text(), _LAYOUT.parallel("sample_parallel", "sample")]))


@dataclass(frozen=True, slots=True)
class _Nucleus:
    """Where its edge lies."""

    edge: str
    """The lightest weight inside, a float."""
    above: str
    """Mass of what is heavier, a double."""
    limit: str
    """Mass at which the nucleus is full."""


class _Row:
    """Text that draws one row's token."""

    def __init__(self, f: Function, fields: dict[str, str], row: str, half: bool):
        self.f, self.half = f, half
        self.vocabulary = fields["vocabulary"]
        self.fields, self.row = fields, row
        self.blocks = f.math("sdiv", f.math("add", self.vocabulary, BLOCK - 1), BLOCK)
        padded = f.math("mul", self.blocks, BLOCK)
        self.padded = padded
        self.logits = f.at(fields["logits"], f.math("mul", row, fields["row_stride"]), "i16" if half else "float")
        self.weights = f.at(fields["scratch"], f.math("mul", "%part", fields["scratch_size"]), "i8")
        self.candidates = f.at(self.weights, padded, "float")
        self.survivors = f.at(self.candidates, padded, "i32")
        self.sums = f.at(self.survivors, padded, "i32")
        self.digits = f.at(self.sums, self.blocks, "double")
        self.heat = f.load(fields["temperatures"], row, "float")
        self.top_p = f.load(fields["top_ps"], row, "double")
        self.uniform = f.load(fields["uniforms"], row, "double")

    def draw(self) -> None:
        """The whole row."""
        f = self.f
        self.top = self._read()
        token = f.variable("i64", "0")
        greedy = f.new(f"fcmp oeq float {self.heat}, 0.0")
        with f.when(greedy):
            token.set(self._largest())
        drawn, total = f.variable("double", "0.0"), f.variable("double", "0.0")
        plain = f.new(f"or i1 {greedy}, {f.new(f'fcmp oeq float {self.heat}, 1.0')}")
        with f.when(plain):
            self._weigh(total, None)
            drawn.set(total.get())
        with f.when(f.new(f"xor i1 {plain}, true")):
            self._weigh(total, drawn)
        sampled = f.new(f"xor i1 {greedy}, true")
        part = f.new(f"fcmp olt double {self.top_p}, 1.0")
        with f.when(f.new(f"and i1 {sampled}, {part}")):
            token.set(self._from_nucleus(drawn.get()))
        with f.when(f.new(f"and i1 {sampled}, {f.new(f'xor i1 {part}, true')}")):
            token.set(self._from_all(drawn.get()))
        # Where logits are no numbers, any token will do; the total tells.
        found = f.call("llvm.umin", "i64", token.get(), f.math("sub", self.vocabulary, 1))
        shifted = f.new(f"fsub float {load_float(f, self.logits, found, self.half)}, {self.top}")
        for name, kind, value in (
            ("tokens", "i64", found),
            ("shifted", "float", shifted),
            ("totals", "double", total.get()),
        ):
            f.do(f"store {kind} {value}, ptr {f.at(self.fields[name], self.row, kind)}")

    def _read(self) -> str:
        """Logits go to the scratch as fp32, padded to whole blocks; the largest."""
        f = self.f
        whole = f.math("mul", f.math("sdiv", self.vocabulary, WIDTH), WIDTH)
        top = f.variable(FLOATS, every(_NEVER))
        with f.loop(whole, self.vocabulary) as place:
            f.do(
                f"store float {load_float(f, self.logits, place, self.half)}, ptr {f.at(self.weights, place, 'float')}"
            )
        with f.loop(self.vocabulary, self.padded) as place:
            f.do(f"store float {_NEVER}, ptr {f.at(self.weights, place, 'float')}")
        with f.loop(0, whole, WIDTH) as place:
            numbers = load_floats(f, self.logits, place, self.half)
            f.do(f"store {FLOATS} {numbers}, ptr {f.at(self.weights, place, 'float')}, align 4")
            top.set(f.call("llvm.maxnum", FLOATS, top.get(), numbers))
        with f.loop(whole, self.padded, WIDTH) as place:
            top.set(f.call("llvm.maxnum", FLOATS, top.get(), self._vector(place)))
        return f.new(f"call float @llvm.vector.reduce.fmax.v{WIDTH}f32({FLOATS} {top.get()})")

    def _vector(self, place: str) -> str:
        return load_floats(self.f, self.weights, place, False)

    def _largest(self) -> str:
        """The first token whose logit is the largest."""
        f = self.f
        top = f.splat(self.top)
        places = f.variable(INTS, "<" + ", ".join(f"i32 {k}" for k in range(WIDTH)) + ">")
        first = f.variable(INTS, every_int(-1))
        with f.loop(0, self.padded, WIDTH) as place:
            same = f.new(f"fcmp oeq {FLOATS} {self._vector(place)}, {top}")
            here = f.new(f"select <{WIDTH} x i1> {same}, {INTS} {places.get()}, {INTS} {every_int(-1)}")
            first.set(f.call("llvm.umin", INTS, first.get(), here))
            places.set(f.new(f"add {INTS} {places.get()}, {every_int(WIDTH)}"))
        return f.new(f"zext i32 {f.new(f'call i32 @llvm.vector.reduce.umin.v{WIDTH}i32({INTS} {first.get()})')} to i64")

    def _weigh(self, total: Variable, heated: Variable | None) -> None:
        """Logits in the scratch become weights; sums of blocks, and of all.

        Args:
            total: of exp(logit - largest).
            heated: of weights at the row's temperature, which are kept then; without it those at temperature 1 are.
        """
        f = self.f
        top, heat = f.splat(self.top), f.splat(self.heat)
        with f.loop(0, self.blocks) as block:
            plain, warm = f.variable(DOUBLES, "zeroinitializer"), f.variable(DOUBLES, "zeroinitializer")
            start = f.math("mul", block, BLOCK)
            with f.loop(start, f.math("add", start, BLOCK), 2 * WIDTH) as begin:
                for place in (begin, f.math("add", begin, WIDTH)):
                    shifted = f.new(f"fsub {FLOATS} {self._vector(place)}, {top}")
                    weight = exponential(f, shifted)
                    plain.set(_plus(f, plain.get(), weight))
                    if heated is not None:
                        weight = exponential(f, f.new(f"fdiv {FLOATS} {shifted}, {heat}"))
                        warm.set(_plus(f, warm.get(), weight))
                    f.do(f"store {FLOATS} {weight}, ptr {f.at(self.weights, place, 'float')}, align 4")
            sums = [_sum(f, plain.get())]
            total.set(f.new(f"fadd double {total.get()}, {sums[0]}"))
            if heated is not None:
                sums.append(_sum(f, warm.get()))
                heated.set(f.new(f"fadd double {heated.get()}, {sums[1]}"))
            f.do(f"store double {sums[-1]}, ptr {f.at(self.sums, block, 'double')}")

    def _from_all(self, total: str) -> str:
        """The first token whose cumulative weight exceeds uniform × total: first its block, then its place in it."""
        f = self.f
        target = f.new(f"fmul double {self._held(self.uniform)}, {total}")
        block, below = self._first(target, self.blocks, lambda k: f.load(self.sums, k, "double"))
        start = f.math("mul", block, BLOCK)
        rest = f.new(f"fsub double {target}, {below}")
        last = f.new(f"fmul double {f.load(self.sums, block, 'double')}, {_ALMOST!r}")
        rest = f.call("llvm.minnum", "double", rest, last)
        place, _ = self._first(rest, str(BLOCK), lambda k: self._weight(f.math("add", start, k)))
        return f.math("add", start, place)

    def _held(self, share: str) -> str:
        return self.f.call("llvm.minnum", "double", share, repr(_ALMOST))

    def _first(self, target: str, count: str, weight: Callable[[str], str]) -> tuple[str, str]:
        """The first of some weights at which their sum exceeds the target, and the sum before it."""
        f = self.f
        passed, before, upper = f.variable("i64", "0"), f.variable("double", "0.0"), f.variable("double", "0.0")
        with f.loop(0, count) as place:
            sum_ = f.new(f"fadd double {upper.get()}, {weight(place)}")
            upper.set(sum_)
            low = f.new(f"fcmp ole double {sum_}, {target}")
            before.set(f.new(f"select i1 {low}, double {sum_}, double {before.get()}"))
            passed.set(f.math("add", passed.get(), f.new(f"zext i1 {low} to i64")))
        last = f.call("llvm.smin", "i64", passed.get(), f.math("sub", count, 1))
        return f.call("llvm.smax", "i64", last, "0"), before.get()

    def _weight(self, token: str) -> str:
        return self.f.new(f"fpext float {self.f.load(self.weights, token, 'float')} to double")

    def _token(self, list_: str, place: str) -> str:
        return self.f.new(f"sext i32 {self.f.load(list_, place, 'i32')} to i64")

    # The nucleus.

    def _from_nucleus(self, total: str) -> str:
        """A token of the smallest set of most likely ones whose mass reaches top_p; of equal ones the first are in."""
        f = self.f
        limit = f.new(f"fmul double {self.top_p}, {total}")
        spare = f.new(f"fsub double {total}, {limit}")
        share = f.new(f"fdiv double {spare}, {f.new(f'sitofp i64 {self.vocabulary} to double')}")
        # A little lower, for rounding; it costs nothing.
        count = self._collect(f.new(f"fptrunc double {f.new(f'fmul double {share}, 0.999')} to float"))
        nucleus = self._edge(count, limit)
        inside, mass = self._keep(count, nucleus)
        target = f.new(f"fmul double {self._held(self.uniform)}, {mass}")
        place, _ = self._first(target, inside, lambda k: self._weight(self._token(self.candidates, k)))
        return self._token(self.candidates, place)

    def _collect(self, least: str) -> str:
        """Tokens of at least this weight become the candidates, in their order; their number."""
        f = self.f
        count, edge = f.variable("i64", "0"), f.splat(least)
        with f.loop(0, self.padded, WIDTH) as begin:
            mask = f.new(f"fcmp oge {FLOATS} {self._vector(begin)}, {edge}")
            bits = f.new(f"bitcast <{WIDTH} x i1> {mask} to i{WIDTH}")
            with (
                f.when(f.new(f"icmp ne i{WIDTH} {bits}, 0")),
                f.loop(begin, f.math("add", begin, WIDTH)) as place,
            ):
                number = f.load(self.weights, place, "float")
                self._append(self.candidates, count, place, f.new(f"fcmp oge float {number}, {least}"))
        return count.get()

    def _append(self, list_: str, count: Variable, token: str, wanted: str) -> None:
        """A token goes to the end of a list, which grows if the token is wanted."""
        f = self.f
        end = count.get()
        f.do(f"store i32 {f.new(f'trunc i64 {token} to i32')}, ptr {f.at(list_, end, 'i32')}")
        count.set(f.math("add", end, f.new(f"zext i1 {wanted} to i64")))

    def _edge(self, count: str, limit: str) -> _Nucleus:
        """The lightest weight inside: among those whose higher digits are its own, the digit that holds the edge."""
        f = self.f
        above, prefix, left = f.variable("double", "0.0"), f.variable("i64", "0"), f.variable("i64", count)
        source = self.candidates
        for shift in (24, 16, 8, 0):
            with f.loop(0, _DIGITS) as k:
                f.do(f"store double 0.0, ptr {f.at(self.digits, k, 'double')}")
            with f.loop(0, left.get()) as place:
                token = self._token(source, place)
                slot = f.at(self.digits, self._digit(token, shift), "double")
                sum_ = f.new(f"fadd double {f.new(f'load double, ptr {slot}')}, {self._weight(token)}")
                f.do(f"store double {sum_}, ptr {slot}")
            digit = self._full(above, limit)
            prefix.set(f.math("or", prefix.get(), f.math("shl", digit, shift)))
            kept = f.variable("i64", "0")
            with f.loop(0, left.get()) as place:
                token = self._token(source, place)
                same = f.new(f"icmp eq i64 {self._digit(token, shift)}, {digit}")
                self._append(self.survivors, kept, token, same)
            left.set(kept.get())
            source = self.survivors
        edge = f.new(f"bitcast i32 {f.new(f'trunc i64 {prefix.get()} to i32')} to float")
        return _Nucleus(edge, above.get(), limit)

    def _digit(self, token: str, shift: int) -> str:
        f = self.f
        bits = f.new(f"zext i32 {f.load(self.weights, token, 'i32')} to i64")
        return f.math("and", f.math("lshr", bits, shift), _DIGITS - 1)

    def _full(self, above: Variable, limit: str) -> str:
        """The highest digit down to which the mass reaches the limit; what is above it is added to ``above``."""
        f = self.f
        passed, mass = f.variable("i64", "0"), f.variable("double", above.get())
        with f.loop(0, _DIGITS) as k:
            own = f.load(self.digits, f.math("sub", _DIGITS - 1, k), "double")
            sum_ = f.new(f"fadd double {mass.get()}, {own}")
            mass.set(sum_)
            low = f.new(f"fcmp olt double {sum_}, {limit}")
            above.set(f.new(f"select i1 {low}, double {sum_}, double {above.get()}"))
            passed.set(f.math("add", passed.get(), f.new(f"zext i1 {low} to i64")))
        return f.call("llvm.smax", "i64", f.math("sub", _DIGITS - 1, passed.get()), "0")

    def _keep(self, count: str, nucleus: _Nucleus) -> tuple[str, str]:
        """The candidates inside stay in their list; their number and mass."""
        f = self.f
        kept, mass, before = (
            f.variable("i64", "0"),
            f.variable("double", "0.0"),
            f.variable("double", nucleus.above),
        )
        with f.loop(0, count) as place:
            token = self._token(self.candidates, place)
            number = f.load(self.weights, token, "float")
            weight = f.new(f"fpext float {number} to double")
            same = f.new(f"fcmp oeq float {number}, {nucleus.edge}")
            room = f.new(f"fcmp olt double {before.get()}, {nucleus.limit}")
            more = f.new(f"select i1 {same}, double {weight}, double 0.0")
            before.set(f.new(f"fadd double {before.get()}, {more}"))
            wanted = f.new(
                f"or i1 {f.new(f'fcmp ogt float {number}, {nucleus.edge}')}, {f.new(f'and i1 {same}, {room}')}"
            )
            mass.set(f.new(f"fadd double {mass.get()}, {f.new(f'select i1 {wanted}, double {weight}, double 0.0')}"))
            self._append(self.candidates, kept, token, wanted)
        return kept.get(), mass.get()


def _plus(f: Function, total: str, weight: str) -> str:
    return f.new(f"fadd {DOUBLES} {total}, {f.new(f'fpext {FLOATS} {weight} to {DOUBLES}')}")


def _sum(f: Function, numbers: str) -> str:
    return f.new(f"call reassoc double @llvm.vector.reduce.fadd.v{WIDTH}f64(double 0.0, {DOUBLES} {numbers})")
