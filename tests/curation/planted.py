"""A mixture of problems of known kinds, to measure curation by: what it should drop and what it should keep.

A module, not a test. The wordings are meant to differ from the examples that the rules were written for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from perilune.data.arithmetic import NAMES, THINGS, random_sum, tell
from perilune.types import Message, Problem

SHARES = {
    "ordinary": 0.40,
    "multiple_choice": 0.08,
    "true_false": 0.08,
    "proof": 0.08,
    "guessable": 0.06,
    "duplicate": 0.10,
    "contaminated": 0.06,
    "trivial": 0.06,
    "impossible": 0.05,
    "unverifiable": 0.03,
}
_PLACES = ("Utrecht", "Bergen", "Kyoto", "Lima", "Cork", "Turin", "Quito", "Accra", "Perth", "Graz")


@dataclass(frozen=True)
class Planted:
    """A problem and what it is."""

    problem: Problem
    kind: str


@dataclass(frozen=True)
class PlantedModel:
    """What a model of known skill does with each planted problem.

    Attributes:
        skill: by problem id, the probability of a right answer when it reasons.
        guesses: by problem id, what it may say when it guesses, each with equal probability.
    """

    skill: Mapping[str, float]
    guesses: Mapping[str, tuple[str, ...]]


def planted(count: int = 1000, seed: int = 0) -> list[Planted]:
    """About ``count`` problems in a random order; ids say nothing about the kind.

    The original of a duplicate is an ordinary problem of the mixture. Curation keeps whichever stands first, so the
    first is marked ordinary and the other one duplicate.
    """
    rng = Random(seed)
    wanted = {kind: round(share * count) for kind, share in SHARES.items()}
    ordinary = _distinct(wanted["ordinary"], lambda: _ordinary(rng))
    drawn = [(problem, "ordinary") for problem in ordinary]
    for kind, make in _MAKERS.items():
        drawn += [(problem, kind) for problem in _distinct(wanted[kind], lambda make=make: make(rng))]
    held = evaluation_set(seed)
    copied = rng.sample(held, min(wanted["contaminated"], len(held)))
    drawn += [(_edited(problem, rng), "contaminated") for problem in copied]
    twins = rng.sample(range(len(ordinary)), wanted["duplicate"])
    drawn += [(_edited(ordinary[place], rng), f"copy of {place}") for place in twins]
    order = list(range(len(drawn)))
    rng.shuffle(order)
    position = {place: new for new, place in enumerate(order)}
    kinds = [kind for _, kind in drawn]
    for place, kind in enumerate(kinds):
        if kind.startswith("copy of "):
            original = int(kind.removeprefix("copy of "))
            first = position[original] < position[place]
            kinds[original], kinds[place] = ("ordinary", "duplicate") if first else ("duplicate", "ordinary")
    return [Planted(replace(drawn[place][0], id=f"p{new:04}"), kinds[place]) for new, place in enumerate(order)]


def evaluation_set(seed: int = 0) -> list[Problem]:
    """200 ordinary problems that the mixture should not hold."""
    rng = Random(f"evaluation {seed}")
    return [replace(problem, id=f"e{place}") for place, problem in enumerate(_distinct(200, lambda: _ordinary(rng)))]


def planted_model(mixture: list[Planted], seed: int = 0) -> PlantedModel:
    """The model for a mixture: trivial ones always right, impossible ones never, the others in between."""
    rng = Random(f"model {seed}")
    skill, guesses = {}, {}
    for item in mixture:
        name = item.problem.id
        drawn = rng.uniform(0.35, 0.65)
        skill[name] = {"trivial": 1.0, "impossible": 0.0}.get(item.kind, drawn)
        drawn_numbers = (str(rng.randint(1000, 9999)) for _ in range(9))
        wrong = [number for number in drawn_numbers if number != item.problem.answer]
        guesses[name] = ("0", "1") if item.kind == "guessable" else tuple(wrong)
    return PlantedModel(skill, guesses)


def precision_recall(truth: Mapping[str, str], found: Mapping[str, str]) -> dict[str, tuple[float, float, int]]:
    """(precision, recall, problems that are of it) of each kind that is in either; NaN where nothing is to divide by.

    Args:
        truth: kind by problem id.
        found: kind by id of what was dropped.
    """
    right = Counter(kind for name, kind in found.items() if truth.get(name) == kind)
    there, said = Counter(truth.values()), Counter(found.values())
    nan = float("nan")
    return {
        kind: (
            right[kind] / said[kind] if said[kind] else nan,
            right[kind] / there[kind] if there[kind] else nan,
            there[kind],
        )
        for kind in sorted(there | said)
    }


def _distinct(count: int, make: Callable[[], Problem]) -> list[Problem]:
    """Problems of different wording."""
    found: dict[str, Problem] = {}
    for _ in range(100 * count):
        if len(found) == count:
            break
        problem = make()
        found.setdefault(problem.messages[0].content, problem)
    return list(found.values())


def _problem(question: str, answer: str) -> Problem:
    return Problem("", (Message("user", question),), answer)


def _ordinary(rng: Random) -> Problem:
    if rng.random() < 0.6:
        content = random_sum(rng.randint(2, 5), rng)
        return _problem(tell(content, rng), str(content.values[-1]))
    return rng.choice(_ORDINARY)(rng)


def _journey(rng: Random) -> Problem:
    speed, hours, rest = rng.randint(11, 95), rng.randint(2, 9), rng.randint(5, 90)
    name, (start, end) = rng.choice(NAMES), rng.sample(_PLACES, 2)
    return _problem(
        f"{name} cycles and drives from {start} to {end}. {name} keeps up {speed} km/h for {hours} hours and still has "
        f"{rest} km to go. How far apart are the two towns, in kilometres?",
        str(speed * hours + rest),
    )


def _formula(rng: Random) -> Problem:
    a, b, c = (rng.randint(2, 60) for _ in range(3))
    wordings = (
        f"Let $f(x) = {a}x^2 + {b}x$. Work out $f({c})$.",
        f"Suppose that h(t) equals {a} times the square of t, increased by {b} times t. What is h({c})?",
        f"A function is given by $f(n) = {a} n^2 + {b} n$ for whole n. Determine its value at $n = {c}$.",
    )
    return _problem(rng.choice(wordings), str(a * c * c + b * c))


def _chinese(rng: Random) -> Problem:
    a, b, c = rng.randint(12, 90), rng.randint(3, 40), rng.randint(2, 9)
    name, thing = rng.choice(("小红", "李雷", "王芳", "小刚")), rng.choice(("铅笔", "气球", "邮票", "糖果"))
    wordings = (
        f"{name}原来有{a}个{thing},妈妈又买来{c}盒,每盒{b}个。{name}现在一共有多少个{thing}?",
        f"商店运来{c}箱{thing},每箱{b}个,店里原有{a}个。现在店里共有{thing}多少个?",
        f"{name}收集{thing},前{c}天每天收集{b}个,之后又得到{a}个,求{name}收集的{thing}总数。",
    )
    return _problem(rng.choice(wordings), str(a + b * c))


def _geometry(rng: Random) -> Problem:
    a, b = rng.randint(5, 60), rng.randint(5, 60)
    wordings = (
        f"Points A, B, C and D lie on a line in this order. AB = {a}, CD = {b} and BC is twice AB. Find the length AD.",
        f"Stall A sells {a} pies, stall B sells {b} pies and stall C as many as A and B together, and stall D twice "
        f"what stall A sells. How many pies do the four stalls sell?",
    )
    place = rng.randrange(2)
    return _problem(wordings[place], str((3 * a + b, 2 * (a + b) + 2 * a)[place]))


def _near_form(rng: Random) -> Problem:
    """Ordinary ones with words that the other kinds live by."""
    a, b = rng.randint(11, 90), rng.randint(11, 90)
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    return rng.choice(
        (
            _problem(f"A quiz has {a} true or false questions and {b} others. How many has it in all?", str(a + b)),
            _problem(f"{name} sat a multiple-choice test: {a} right, {b} wrong. How long was it?", str(a + b)),
            _problem(f"To prove that {thing} sell well, {name} sold {a} and then {b}. How many is that?", str(a + b)),
            _problem(f"Show that $(x-{a})(x-{b})$ has two zeros and give the sum of its zeros.", str(a + b)),
            _problem(f"(a) {name} has {a} {thing}. (b) A friend has {b} more. How many have both?", str(a + a + b)),
            _problem(f"Is there enough room? A hall with {a} rows of {b} seats: how many seats has it?", str(a * b)),
            _problem(f"Add up all of the following numbers: {a}, {b}, {a + 7}.", str(a + b + a + 7)),
            _problem(f"{name} bakes: a. {a} buns, b. {b} rolls. Show your work and find the total.", str(a + b)),
            _problem(f"一张试卷有判断题{a}道,选择题{b}道,一共有多少道题?", str(a + b)),
            _problem(f"证明方程(x-{a})(x-{b})=0有两个实根,并求两根之和。", str(a + b)),
        )
    )  # fmt: skip


_ORDINARY = (_journey, _formula, _chinese, _geometry, _near_form)
_LAYOUTS = (
    ("({}) {}", "\n", "ABCD"), ("{}. {}", "\n", "ABCD"), ("{}) {}", " ", "ABCD"), ("{}) {}", "\n", "abcd"),
    ("({}) {}", "   ", "abcd"), ("{} {}", " ", "①②③④"), ("{}.{}", " ", "ABCD"), ("{}、{}", " ", "ABCD"),
    ("{}．{}", "　", "ABCD"), ("（{}）{}", "；", "ABCD"), ("**{}.** {}", "\n", "ABCD"),
    ("$\\textbf{{({})}}$ {}", " \\qquad ", "ABCDE"),
    ("- {}: {}", "\n", "ABCD"), ("[{}] {}", ", ", "ABC"),
)  # fmt: skip


def _multiple_choice(rng: Random) -> Problem:
    a, b = rng.randint(12, 99), rng.randint(12, 99)
    layout, between, labels = rng.choice(_LAYOUTS)
    values = [a + b, *rng.sample([a + b + d for d in (-11, -10, -2, -1, 1, 2, 10, 11)], len(labels) - 1)]
    rng.shuffle(values)
    listed = between.join(layout.format(label, value) for label, value in zip(labels, values, strict=True))
    right = labels[values.index(a + b)]
    stems = (
        f"What do {a} and {b} add up to?",
        f"A truck carries {a} crates and takes on {b} more. It now carries how many crates?",
        f"The sum {a} + {b} equals",
        f"If p = {a} and q = {b}, then p + q = ____.",
        f"Which one of these is the value of {a} plus {b}?",
        f"车上有{a}箱货,又装上{b}箱,现在车上有(  )箱货。",
        f"{a}与{b}的和是",
        f"{a}加{b}等于多少?",
    )
    if rng.random() < 0.75:
        answer = rng.choice((right, f"({right})", f"{right}. {a + b}", str(a + b), f"\\text{{{right}}}"))
        return _problem(f"{rng.choice(stems)}{rng.choice((' ', chr(10)))}{listed}", answer)
    n = rng.randint(3, 90) * 2
    return rng.choice(
        (
            _problem(f"Pick the right alternative. {a}+{b} is: {a + b} / {a + b + 1} / {a + b + 2}", str(a + b)),
            _problem(f"Which of the following numbers is odd: {n}, {n + 4}, {n + 7}, {n + 10}?", str(n + 7)),
            _problem(f"以下各数中,哪个是奇数:{n},{n + 4},{n + 7}?", str(n + 7)),
            _problem(f"下列说法中正确的是( ) A.{n}是奇数 B.{n + 1}是奇数 C.{n + 2}是奇数 D.以上都不对", "B"),
            _problem(f"【单选题】{n}除以2得到( )。\nA、{n // 2}\nB、{n}\nC、{n + 2}\nD、2", "A"),
            _problem(f"Select the best answer. Half of {n} is\nI. {n // 2}\nII. {n}\nIII. {n + 1}", "I"),
        )
    )  # fmt: skip


def _true_false(rng: Random) -> Problem:
    n, m = rng.randint(20, 999), rng.randint(3, 19)
    holds = n % m == 0
    word = rng.choice(
        (("Yes", "No"), ("yes", "no"), ("True", "False"), ("Yes.", "No, it is not."), ("correct", "incorrect"))
    )[not holds]
    mark = rng.choice((("对", "错"), ("是", "否"), ("正确", "错误"), ("√", "×"), ("是的", "不是"), ("T", "F")))[
        not holds
    ]
    english = (
        f"Does {m} divide {n}?",
        f"Decide whether {n} is a multiple of {m}.",
        f"{n} can be shared among {m} people with nothing left over. True or false?",
        f"Judge this claim: the remainder of {n} by {m} is zero.",
        f"Yes or no: can {n} chairs stand in {m} equal rows?",
        f"A pupil says that {n} is a multiple of {m}. Is the pupil right?",
        f"There are {n} eggs and boxes for {m} eggs each. Will the last box be full?",
        f"Is it the case that {n}/{m} is a whole number?",
        f"(T/F) The number {n} has {m} as a factor.",
        f"The integer {n} leaves no remainder when divided by {m} - true/false",
    )
    chinese = (
        f"判断:{n}是{m}的倍数。( )",
        f"{n}能被{m}整除吗?",
        f"{m}是否是{n}的因数?",
        f"{n}个苹果平均分给{m}个人,正好分完。这句话对吗?",
        f"请判断下面的说法是对还是错:{n}÷{m}没有余数。",
        f"小明说{n}是{m}的倍数,他说得正确吗?",
    )
    if rng.random() < 0.6:
        return _problem(rng.choice(english), word)
    return _problem(rng.choice(chinese), mark)


def _proof(rng: Random) -> Problem:
    n, m = rng.randint(3, 400), rng.randint(2, 30)
    wordings = (
        f"Prove that there are infinitely many integers that leave remainder {m} when divided by {n + m}.",
        f"Let k be an integer. Show that k^{m} - k^{m + 2} is divisible by {m} or give a counterexample with a proof.",
        f"Suppose $a$ and $b$ are positive with $a + b = {n}$. Prove $ab \\le {n}^2/4$.",
        f"Give a rigorous proof of the claim that {n} cannot be written as a sum of {m} equal primes.",
        f"Using induction on n, establish that 1 + 2 + ... + n exceeds n^2/{m}.",
        f"Demonstrate that every graph on {n + 3} vertices has two vertices of equal degree.",
        f"In triangle ABC the angle at A is {m} degrees. Show that BC is shorter than AB + AC.",
        f"Write down a proof by contradiction: the square root of {n}{m}7 is not {n}.",
        f"If x > {n}, prove that x^2 > {n * n}. Justify each step.",
        f"Verify the identity $(x+{n})^2 - x^2 = {2 * n}x + {n * n}$.",
        f"Derive the formula for the sum of the first {n} odd numbers.",
        f"已知a>{n},求证:a的平方大于{n * n}。",
        f"证明:任意{n + 1}个整数中必有两个数的差能被{n}整除。",
        f"设x+y={n},试证xy不大于{n * n}/4。",
        f"请用数学归纳法证明不等式2^k>k对k不小于{m}成立。",
        f"四边形ABCD中,∠A={m}°,AB平行于CD,证明∠D={180 - m}°。",
    )
    answer = rng.choice(
        ("", "See the proof.", "Proof: assume the contrary and derive a contradiction.", "证明略", "见解析", "Q.E.D.")
    )
    return _problem(rng.choice(wordings), answer)


def _guessable(rng: Random) -> Problem:
    """Whatever the question, the answer is 0 or 1."""
    n, m = rng.randint(100, 9999), rng.randint(20, 99)
    wordings = (
        (f"What is the remainder when {n} is divided by 2?", n % 2),
        (f"Compute $(-1)^{{{2 * n}}}$.", 1),
        (f"Find the greatest common divisor of {n} and {n + 1}.", 1),
        (f"Evaluate the product {m} * {n} * 0 * {n + m}.", 0),
        (f"Let s be {n} - {m} - {n} + {m}. What is s?", 0),
        (f"求{n}除以2的余数。", n % 2),
    )
    question, answer = rng.choice(wordings)
    return _problem(question, str(answer))


def _trivial(rng: Random) -> Problem:
    a, b = rng.randint(2, 99), rng.randint(2, 99)
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    wordings = (
        f"What is {a} + {b}?",
        f"{name} has {a} {thing} and gets {b} more. How many is that?",
        f"计算 {a} + {b} 的结果。",
        f"Add {a} to {b}.",
    )
    return _problem(rng.choice(wordings), str(a + b))


def _impossible(rng: Random) -> Problem:
    """Its reference is wrong, or nobody can know it."""
    n, m = rng.randint(1000, 99999), rng.randint(100, 999)
    wordings = (
        f"How many grains of sand lie on the beach of {rng.choice(_PLACES)} if {n} and {m} more are gone?",
        f"Find the {n}th digit after the point of the square root of {m}.",
        f"A secret number was drawn after {n} and before {n + 100 * m}. What is it?",
    )
    return _problem(rng.choice(wordings), str(n * 7 + m))


def _unverifiable(rng: Random) -> Problem:
    a, b, m = rng.randint(2, 99), rng.randint(2, 99), rng.randint(2, 9)
    # The reward takes a response that repeats the reference for right, so nonsense alone is not enough.
    answer = rng.choice(("$", "...", "$$", "`", f"{a} or so. Answer: {b}", f"Answer: {a} or Answer: {b}", "n" * 250))
    return _problem(f"Work out {a} times {b}, less {m}.", answer)


_MAKERS: dict[str, Callable[[Random], Problem]] = {
    "multiple_choice": _multiple_choice,
    "true_false": _true_false,
    "proof": _proof,
    "guessable": _guessable,
    "trivial": _trivial,
    "impossible": _impossible,
    "unverifiable": _unverifiable,
}


def _edited(problem: Problem, rng: Random) -> Problem:
    """The same question in a slightly other shape."""
    text = problem.messages[0].content
    edits = [_respaced, _introduced, _recased, _restopped, _with_typo, _with_filler]
    for edit in rng.sample(edits, rng.choice((0, 1, 1, 2))):
        text = edit(text, rng)
    if rng.random() < 0.2:
        text = _renamed(text, rng)
    return replace(problem, messages=(Message("user", text),))


def _respaced(text: str, rng: Random) -> str:
    return "  " + text.replace(". ", ".\n").replace(" and ", "  and ")


def _introduced(text: str, rng: Random) -> str:
    return rng.choice(("Please solve: ", "Question: ", "Solve the following problem.\n", "Q: ")) + text


def _recased(text: str, rng: Random) -> str:
    return rng.choice((str.lower, str.upper))(text) if "$" not in text else text


def _restopped(text: str, rng: Random) -> str:
    return text.replace("'", "’").replace(", ", " , ").rstrip("?.") + " ?"


def _with_typo(text: str, rng: Random) -> str:
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if word.isascii() and word.isalpha() and len(word) > 5]
    if long:
        place = rng.choice(long)
        words[place] = words[place][:2] + words[place][3:]
    return " ".join(words)


def _with_filler(text: str, rng: Random) -> str:
    return text.replace(" has ", " really has ", 1).replace(" the ", " the said ", 1)


def _renamed(text: str, rng: Random) -> str:
    name = next((name for name in NAMES if text.count(name) > 1), None)
    return text if name is None else text.replace(name, "Wilma")
