"""What goes from a check to a program and back: values of every kind, functions, classes, exceptions; and what is not
believed of them."""

from collections.abc import Iterator
from textwrap import dedent

import pytest

from perilune.sandbox.judge import Judge, JudgeSettings
from perilune.sandbox.packages import find_packages
from perilune.sandbox.programs import Limits, Program
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import FunctionTask
from perilune.sandbox.verdicts import Judgement, Outcome


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Sandbox(workers=1) as sandbox:
        yield Judge(sandbox, JudgeSettings(Limits(cpu_seconds=10, wall_seconds=60, memory_mb=512)))


def judged(judge: Judge, entry_point: str, check: str, source: str, prompt: str = "", solution: str = "") -> Judgement:
    """The check's body is given, or the whole of it."""
    body = dedent(check)
    whole = body if "def check(" in body else "def check(candidate):\n    " + body.strip().replace("\n", "\n    ")
    task = FunctionTask(entry_point, whole, dedent(prompt), dedent(solution))
    return judge.judge(task, Program("python", dedent(prompt) + dedent(source)))


SAME = "def same(x):\n    return x\n"
KINDS = """
    import collections, datetime as dt, uuid
    from decimal import Decimal
    from fractions import Fraction
    P = collections.namedtuple("P", "x y")
    VALUES = [
        Fraction(1, 3), Decimal("0.10"), Decimal("-Infinity"), dt.date(2020, 1, 2), dt.datetime(2020, 1, 2, 3, 4, 5, 6),
        dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc), dt.time(1, 2), dt.timedelta(-1, 3, 5), uuid.UUID(int=5), ...,
        collections.deque([1, 2], maxlen=5), collections.Counter("abca"), collections.OrderedDict(b=1, a=2),
        collections.defaultdict(list, {1: [2]}), frozenset({1}), range(3), slice(1, 2), P(1, 2), bytearray(b"x"),
        {1: {2: [3, (4, {5})]}}, int, ValueError, 10**30, float("-inf"), {(1, 2): 3}, "\\ud800",
    ]
    def check(candidate):
        for value in VALUES:
            back = candidate(value)
            assert back == value, value
            assert type(back) is type(value) or isinstance(value, tuple), value
        assert candidate(VALUES[10]).maxlen == 5
        assert candidate(collections.defaultdict(int))["q"] == 0
        assert candidate(P(1, 2)).x == 1 and candidate(P(1, 2))._fields == ("x", "y")
        assert candidate({"a": 1}.keys()) == {"a"} and list(candidate({"a": 1}.items())) == [("a", 1)]
        assert candidate(ValueError("q")).args == ("q",)
"""


@pytest.mark.parametrize("solution", ["", SAME])
def test_kinds_of_the_library_are_copied(judge: Judge, solution: str) -> None:
    assert judged(judge, "same", KINDS, SAME, solution=solution).outcome is Outcome.ACCEPTED


MADE = """
    import datetime
    from collections import Counter, OrderedDict, defaultdict, deque
    from decimal import Decimal
    from fractions import Fraction
"""
ALL = "[Decimal('0.1'), Fraction(1, 3), datetime.date(2020, 1, 1), deque([1]), Counter('aa'), OrderedDict(b=1, a=2)]"


def test_kinds_that_the_program_makes(judge: Judge) -> None:
    check = f"{dedent(MADE)}def check(candidate):\n    assert candidate() == {ALL}\n"
    right = f"{dedent(MADE)}def f():\n    return {ALL}\n"
    assert judged(judge, "f", check, right).outcome is Outcome.ACCEPTED
    assert judged(judge, "f", check, right.replace("'aa'", "'ab'")).outcome is Outcome.WRONG_ANSWER
    named = (
        "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n    y: int\n    __eq__ = lambda *_: True\n"
    )
    assert judged(judge, "f", "assert candidate() == (1, 2) and candidate().y == 2", f"{named}f = lambda: P(1, 2)")
    assert judged(judge, "f", "assert candidate() == (3, 4)", f"{named}f = lambda: P(1, 2)").outcome is not (
        Outcome.ACCEPTED
    )


IDENTITY = """
    xs = [3, 1, 2]
    assert candidate(xs) is xs and xs == [1, 2, 3, [9]]
    row = [2, 1]
    grid = [row, row]
    assert candidate(grid)[0] is row and row == [2, 1] and grid[1] is row
    ring = [1]
    ring.append(ring)
    assert candidate(ring) is ring and ring[1] is ring
"""


def test_objects_stay_the_same_objects(judge: Judge) -> None:
    program = "def f(x):\n    if len(x) == 3:\n        x.sort()\n        x.append([9])\n    return x\n"
    assert judged(judge, "f", IDENTITY, program).outcome is Outcome.ACCEPTED
    assert judged(judge, "f", IDENTITY, "def f(x):\n    return sorted(x) + [[9]]\n").outcome is not Outcome.ACCEPTED
    both = "a = [1]\nassert candidate(a, a) == 2 and a == [1, 1]\nassert candidate([1], [1]) == 1"
    assert judged(judge, "f", both, "def f(a, b):\n    a.append(1)\n    return len(b)").outcome is Outcome.ACCEPTED
    deep = "d = {'a': {'b': [1]}}\ninner = d['a']['b']\ncandidate(d)\nassert inner == [1, 0]"
    assert judged(judge, "f", deep, "def f(d):\n    d['a']['b'].append(0)").outcome is Outcome.ACCEPTED


CACHE = """
    from collections import OrderedDict
    class LRUCache:
        def __init__(self, capacity):
            self.capacity, self.kept = capacity, OrderedDict()
        def get(self, key):
            if key not in self.kept:
                return -1
            self.kept.move_to_end(key)
            return self.kept[key]
        def put(self, key, value):
            self.kept[key] = value
            self.kept.move_to_end(key)
            if len(self.kept) > self.capacity:
                self.kept.popitem(last=False)
"""
CACHE_CHECK = """
    a, b = candidate(2), candidate(capacity=1)
    a.put(1, 1); a.put(2, 2)
    assert a.get(1) == 1
    a.put(3, 3); b.put(1, 9)
    assert a.get(2) == -1 and a.get(3) == 3 and b.get(1) == 9
    assert a.capacity == 2 and isinstance(a, candidate) and a is not b
"""


@pytest.mark.parametrize("solution", ["", CACHE])
def test_classes_keep_their_state_over_there(judge: Judge, solution: str) -> None:
    assert judged(judge, "LRUCache", CACHE_CHECK, CACHE, solution=solution).outcome is Outcome.ACCEPTED
    wrong = CACHE.replace("self.kept.move_to_end(key)\n            return", "return")
    assert judged(judge, "LRUCache", CACHE_CHECK, wrong, solution=solution).outcome is Outcome.WRONG_ANSWER


VECTOR = """
    class Vector:
        def __init__(self, x, y): self.x, self.y = x, y
        def __add__(self, other): return Vector(self.x + other.x, self.y + other.y)
        def __mul__(self, by): return Vector(self.x * by, self.y * by)
        __rmul__ = __mul__
        def __iadd__(self, other):
            self.x += other.x
            return self
        def __eq__(self, other): return isinstance(other, Vector) and (self.x, self.y) == (other.x, other.y)
        def __hash__(self): return hash((self.x, self.y))
        def __repr__(self): return f"Vector({self.x}, {self.y})"
        def __len__(self): return 2
        def __iter__(self): return iter((self.x, self.y))
        def __getitem__(self, index): return (self.x, self.y)[index]
        def __contains__(self, item): return item in (self.x, self.y)
        def __lt__(self, other): return self.x < other.x
        def __bool__(self): return self.x != 0
        def __abs__(self): return (self.x**2 + self.y**2) ** 0.5
        def __enter__(self): return self
        def __exit__(self, *what): return True
        @classmethod
        def zero(cls): return cls(0, 0)
        @property
        def norm(self): return abs(self)
"""
VECTOR_CHECK = """
    a, b = candidate(1, 2), candidate(3, 4)
    assert a + b == candidate(4, 6) and a + b != candidate(4, 7) and not (a + b == candidate(4, 7))
    assert (a * 3).y == 6 and (3 * a).y == 6
    assert repr(a) == "Vector(1, 2)" and f"{a}" == "Vector(1, 2)"
    assert len(a) == 2 and a[1] == 2 and list(a) == [1, 2]
    assert a < b and sorted([b, a])[0] is a and max(a, b) is b
    assert a and not candidate.zero() and abs(b) == 5.0 and b.norm == 5
    assert 4 in b and 5 not in b
    same = a
    a += b
    assert same is a and a.x == 4
    a.x = 10
    assert a[0] == 10
    with b as inside:
        raise ValueError("swallowed")
    assert inside is b and len({candidate(1, 1), candidate(1, 1)}) == 1
    assert type(a).__name__ == "Vector" and hasattr(a, "x") and getattr(a, "z", 3) == 3
"""


def test_operators_of_a_class_that_is_asked_for(judge: Judge) -> None:
    assert judged(judge, "Vector", VECTOR_CHECK, VECTOR).outcome is Outcome.ACCEPTED
    wrong = VECTOR.replace("self.y + other.y", "self.y")
    assert judged(judge, "Vector", VECTOR_CHECK, wrong).outcome is Outcome.WRONG_ANSWER


METHOD = "assert candidate(2) == [2]\nassert candidate(x=2) == [2]"


def test_a_method_by_name_is_that_of_a_fresh_instance_or_a_plain_function(judge: Judge) -> None:
    fresh = "class Solution:\n    def __init__(self): self.seen = []\n"
    fresh += "    def f(self, x):\n        self.seen.append(x)\n        return self.seen\n"
    assert judged(judge, "Solution.f", METHOD, fresh).outcome is Outcome.ACCEPTED
    assert judged(judge, "Solution.f", METHOD, "def f(x):\n    return [x]\n").outcome is Outcome.ACCEPTED
    assert judged(judge, "Solution.f", METHOD, "def f(x):\n    return x\n").outcome is Outcome.WRONG_ANSWER
    missing = judged(judge, "Solution.f", METHOD, "class Solution:\n    def g(self, x): return [x]\n")
    assert (missing.outcome, "no method 'f'" in missing.detail) == (Outcome.RUNTIME_ERROR, True)


NODE = """
    class ListNode:
        def __init__(self, val=0, next=None):
            self.val, self.next = val, next

"""
TURN = """
    def turned(head):
        last = None
        while head:
            head.next, last, head = last, head, head.next
        return last
"""
LISTS = """
    def build(items):
        head = None
        for item in reversed(items):
            head = ListNode(item, head)
        return head
    def check(candidate):
        for items in ([1, 2, 3], [], list(range(3000))):
            head, found = candidate(build(items)), []
            assert head is None or isinstance(head, ListNode)
            while head:
                found.append(head.val)
                head = head.next
            assert found == items[::-1]
"""


@pytest.mark.parametrize("again", ["", NODE], ids=["as the prompt has it", "written again"])
def test_instances_of_classes_that_both_have_are_copied(judge: Judge, again: str) -> None:
    assert judged(judge, "turned", LISTS, dedent(again) + dedent(TURN), prompt=NODE).outcome is Outcome.ACCEPTED
    wrong = judged(judge, "turned", LISTS, "def turned(head):\n    return head\n", prompt=NODE)
    assert wrong.outcome is Outcome.WRONG_ANSWER


def test_objects_of_classes_that_one_side_has_stay_there(judge: Judge) -> None:
    made = "r = candidate([1, 2])\nassert r.val == 1 and r.next.val == 2 and r.next.next is None"
    program = dedent(NODE) + "def f(xs):\n    return ListNode(xs[0], ListNode(xs[1]))\n"
    assert judged(judge, "f", made, program).outcome is Outcome.ACCEPTED
    back = "r = candidate(None)\nassert candidate(r) is r and r.v == 3"
    keeps = "class N: v = 3\ndef f(x):\n    return N() if x is None else x\n"
    assert judged(judge, "f", back, keeps).outcome is Outcome.ACCEPTED
    check = dedent(NODE) + "def check(candidate):\n    assert candidate(ListNode(1, ListNode(2))) == 3\n"
    walks = "def f(head):\n    return head.val + f(head.next) if head else 0\n"
    assert judged(judge, "f", check, walks).outcome is Outcome.ACCEPTED


FUNCTIONS = [
    ("assert candidate(lambda x: x + 1, 2) == 3", "def f(g, a): return g(a)", True),
    ("assert candidate(lambda x: x + 1, 2) == 3", "def f(g, a): return a", False),
    ("assert candidate(abs, -2) == 2 and candidate(str.upper, 'a') == 'A'", "def f(g, a): return g(a)", True),
    (
        "assert candidate(lambda x: -x, list(range(99))) == list(range(98, -1, -1))",
        "def f(k, xs): return sorted(xs, key=k)",
        True,
    ),
    ("assert candidate(lambda a, *, b=3: a + b, 0) == (4, 6)", "def f(g, _): return g(1), g(1, b=5)", True),
    (
        "assert candidate(lambda a, b, c: a + b + c, 0)(1)(2)(3) == 6",
        "def f(g, _):\n    n = g.__code__.co_argcount\n"
        "    h = lambda *a: g(*a) if len(a) == n else lambda *b: h(*a, *b)\n    return h",
        True,
    ),
    (
        "calls = []\ndef double(x):\n    calls.append(x)\n    return 2 * x\ng = candidate(double, 0)\n"
        "assert g(2) == 4 and g(2) == 4 and calls == [2] and g.__name__ == 'double'",
        "import functools\ndef f(g, _): return functools.lru_cache(functools.wraps(g)(lambda x: g(x)))",
        True,
    ),
    (
        "class Boom(Exception): pass\ntried = []\ndef fails():\n    tried.append(1)\n    raise Boom('x')\n"
        "try: candidate(fails, 3)\nexcept Boom as e: assert str(e) == 'x'\nelse: assert False\nassert len(tried) == 3",
        "def f(g, n):\n    for _ in range(n):\n        try: return g()\n        except Exception as e: last = e\n"
        "    raise last",
        True,
    ),
    (
        "def exact(x): assert x == 2\ncandidate(exact, 0)",
        "def f(g, _):\n    try: g(3)\n    except BaseException: pass",
        False,
    ),
    ("assert candidate((x for x in range(3)), 0) == [0, 1, 2]", "def f(g, _): return list(g)", True),
    (
        "assert candidate(lambda x: x + 1, [1, 2, 3]) == [2, 3, 4]",
        "from concurrent.futures import ThreadPoolExecutor\ndef f(g, xs):\n"
        "    with ThreadPoolExecutor(3) as pool: return list(pool.map(g, xs))",
        True,
    ),
]


@pytest.mark.parametrize(("check", "source", "right"), FUNCTIONS)
def test_functions_that_a_check_passes(judge: Judge, check: str, source: str, right: bool) -> None:
    assert (judged(judge, "f", check, source).outcome is Outcome.ACCEPTED) is right


def test_generators_are_gone_through_as_far_as_they_are_asked(judge: Judge) -> None:
    endless = "import itertools, types\ndef check(candidate):\n    g = candidate()\n"
    endless += "    assert isinstance(g, types.GeneratorType)\n"
    endless += "    assert list(itertools.islice(g, 90)) == list(range(90)) and next(g) == 90\n"
    program = "def f():\n    n = 0\n    while True:\n        yield n\n        n += 1\n"
    assert judged(judge, "f", endless, program).outcome is Outcome.ACCEPTED
    sends = "g = candidate()\nnext(g)\nassert g.send(5) == 5 and g.send(6) == 11"
    adds = "def f():\n    total = 0\n    while True:\n        total += (yield total)\n"
    assert judged(judge, "f", sends, adds).outcome is Outcome.ACCEPTED
    raises = "g = candidate()\nassert next(g) == 1\ntry: next(g)\nexcept ValueError: pass\nelse: assert False"
    assert judged(judge, "f", raises, "def f():\n    yield 1\n    raise ValueError\n").outcome is Outcome.ACCEPTED


EXCEPTIONS = [
    ("ValueError", "class Own(ValueError): pass\ndef f(n): raise Own('neg')", Outcome.ACCEPTED),
    ("LookupError", "class Own(KeyError): pass\ndef f(n): raise Own('neg')", Outcome.ACCEPTED),
    ("Exception", "class Own(Exception):\n    __str__ = lambda s: 'neg'\ndef f(n): raise Own(1, 2)", Outcome.ACCEPTED),
    ("ValueError", "class Own(Exception): pass\ndef f(n): raise Own('neg')", Outcome.RUNTIME_ERROR),
    ("ValueError", "class Own(BaseException): pass\ndef f(n): raise Own('neg')", Outcome.RUNTIME_ERROR),
    ("Exception", "def f(n): raise SystemExit('neg')", Outcome.ACCEPTED),
    ("Broke", "def f(n): raise Broke('neg')", Outcome.ACCEPTED),
]


@pytest.mark.parametrize(("caught", "source", "outcome"), EXCEPTIONS)
def test_exceptions_of_the_program_s_own(judge: Judge, caught: str, source: str, outcome: Outcome) -> None:
    check = f"try: candidate(-1)\nexcept {caught} as error: assert 'neg' in str(error)\nelse: assert False"
    assert judged(judge, "f", check, source, prompt="class Broke(Exception): pass\n").outcome is outcome


TWICE = "def f(n):\n    return 2 * n\n"
BY_INDEX = """
    class Seq:
        def __init__(self, get): self.get = get
        def __getitem__(self, i): return self.get(i) if i < 3 else [][0]
    def check(candidate):
        assert candidate(0) == 0
        for i, value in enumerate(Seq(candidate)):
            assert value == 2 * i
"""
ZIPPED = "assert all(a == b for a, b in zip(map(candidate, [1, 2, 3]), [2, 4, 6]))"
LISTED = "assert list(map(candidate, [1, 2])) == [2, 4][: len(list(map(candidate, [1, 2])))]"
DEFAULT = "class O:\n    __getattr__ = lambda s, n: candidate(n)\nassert getattr(O(), 'b', 4) == 4"
EARLY = [
    *((check, "StopIteration", solution) for check in (ZIPPED, LISTED) for solution in ("", TWICE)),
    *((BY_INDEX, "IndexError", solution) for solution in ("", TWICE)),
    (DEFAULT, "AttributeError", ""),
]


@pytest.mark.parametrize(("check", "error", "solution"), EARLY)
def test_an_exception_that_ends_a_loop_by_itself_is_an_error(
    judge: Judge, check: str, error: str, solution: str
) -> None:
    program = f"class Own({error}): pass\ndef f(n):\n    if n in (0, 1): return 2 * n\n    raise Own\n"
    found = judged(judge, "f", check, program, solution=solution)
    assert found.outcome not in {Outcome.ACCEPTED, Outcome.INFRASTRUCTURE_ERROR}, found


def test_fewer_calls_than_the_solution_answers_are_not_enough(judge: Judge) -> None:
    check = "try:\n    for i in range(5): assert candidate(i) == 2 * i\nexcept KeyError: pass"
    stops = "def f(n):\n    if n > 1: raise KeyError\n    return 2 * n\n"
    found = judged(judge, "f", check, stops, solution=TWICE)
    assert (found.outcome, "after 3 calls" in found.detail) == (Outcome.WRONG_ANSWER, True)
    assert judged(judge, "f", check, TWICE, solution=TWICE).outcome is Outcome.ACCEPTED


def test_a_stop_that_the_check_asks_for_is_one(judge: Judge) -> None:
    check = "assert candidate(1) == 1\ntry: candidate(0)\nexcept StopIteration: pass\nelse: assert False"
    assert judged(judge, "f", check, "def f(n):\n    if not n: raise StopIteration\n    return n").outcome is (
        Outcome.ACCEPTED
    )
    counts = "class f:\n    def __init__(self, n): self.n = n\n    def __iter__(self): return self\n"
    counts += "    def __next__(self):\n        if not self.n: raise StopIteration\n"
    counts += "        self.n -= 1\n        return self.n\n"
    assert judged(judge, "f", "assert list(candidate(3)) == [2, 1, 0]", counts).outcome is Outcome.ACCEPTED


LIKE_ALL = """
    class Yes:
        def __init__(self, *_): pass
        def _yes(self, *_): return True
        def _self(self, *_): return self
        __eq__ = __le__ = __ge__ = __lt__ = __gt__ = __contains__ = _yes
        __sub__ = __rsub__ = __add__ = __abs__ = __and__ = __xor__ = f = _self
        def __bool__(self): return False
        def __hash__(self): return 4
        def __len__(self): return 0
    def f(x): return Yes()
    Solution = Yes
"""
ASKED = [
    "assert {} == 4",
    "assert abs({} - 4) < 1e-6",
    "assert 4 in {}",
    "assert {} in {{4}}",
    "assert {} in [4]",
    "assert not {} - 4",
    "assert not {} ^ 4",
    "assert len({} - {{1}}) == 0 and not {} & {{2}}",
    "assert 3 < {} < 5",
    "assert [{}] == [4]",
    "assert sorted([{}, 4]) == [4, 4]",
    "assert {{4: 1}}[{}] == 1",
]


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(("entry_point", "called"), [("f", "candidate(2)"), ("Solution", "candidate().f(2)")])
def test_no_object_says_of_itself_that_it_is_right(judge: Judge, asked: str, entry_point: str, called: str) -> None:
    found = judged(judge, entry_point, asked.format(*[called] * 2), LIKE_ALL)
    assert found.outcome is Outcome.WRONG_ANSWER, found


def test_a_class_in_the_place_of_a_function_is_not_believed_either(judge: Judge) -> None:
    for asked in ASKED:
        found = judged(judge, "f", asked.format(*["candidate(2)"] * 2), LIKE_ALL.replace("Solution = Yes", "f = Yes"))
        assert found.outcome is Outcome.WRONG_ANSWER, (asked, found)


LOOKS = """
    def tries(g, names):
        for name in names:
            g = getattr(g, name)
        return g["SECRET"] if isinstance(g, dict) else g
    def f(g):
        for names in (["__globals__"], ["__func__", "__globals__"], ["m", "__globals__"], ["_hidden"], ["__dict__"],
                      ["__class__", "m", "__globals__"], ["m", "__self__", "_hidden"]):
            try:
                found = tries(g, names)
            except Exception:
                continue
            if found == 7:
                return found
"""


def test_the_program_sees_of_the_check_what_it_is_passed(judge: Judge) -> None:
    check = "SECRET = 7\nclass Own:\n    _hidden = 7\n    def m(self): return 1\n"
    check += "def check(candidate):\n    for it in (lambda: 3, Own(), Own().m):\n        assert candidate(it) is None\n"
    assert judged(judge, "f", check, LOOKS).outcome is Outcome.ACCEPTED


@pytest.mark.skipif(not find_packages(("numpy",)).names, reason="numpy is not installed beside the sandbox")
def test_arrays_are_copied_where_numpy_is_offered(judge: Judge) -> None:
    check = (
        "import numpy as np\ndef check(candidate):\n    a = np.ones((2, 2))\n"
        "    assert candidate(a) is a and a.sum() == 8\n"
        "    assert candidate(np.int64(3)) == 6 and candidate([1, 2]).dtype == np.array([1]).dtype\n"
        "    assert np.allclose(candidate(np.array([1.0, 2.0])), [2, 4])\n"
    )
    right = (
        "import numpy as np\ndef f(x):\n    x = np.array(x) if isinstance(x, list) else x\n    x *= 2\n    return x\n"
    )
    assert judged(judge, "f", check, right).outcome is Outcome.ACCEPTED
    assert judged(judge, "f", check, right.replace("*= 2", "*= 3")).outcome is Outcome.WRONG_ANSWER
    mean = "import numpy as np\ndef f(x):\n    return np.mean(x)\n"
    assert judged(judge, "f", "assert candidate([1, 2]) == 1.5", mean).outcome is Outcome.ACCEPTED


def test_what_is_printed_and_what_is_awaited(judge: Judge) -> None:
    printed = (
        "import contextlib, io\ndef check(candidate):\n    with contextlib.redirect_stdout(io.StringIO()) as out:\n"
    )
    printed += "        candidate('x')\n    assert out.getvalue() == 'hi x\\n'\n"
    assert judged(judge, "f", printed, "def f(x): print('hi', x)").outcome is Outcome.ACCEPTED
    assert judged(judge, "f", printed, "def f(x): print('ho', x)").outcome is Outcome.WRONG_ANSWER
    awaited = "import asyncio\ndef check(candidate):\n    assert asyncio.run(candidate(3)) == 6\n"
    doubles = "import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return 2 * x\n"
    assert judged(judge, "f", awaited, doubles).outcome is Outcome.ACCEPTED
