from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted import planted, precision_recall

from perilune.curation.fates import Reason
from perilune.curation.forms import form_of

M, T, P, N = Reason.MULTIPLE_CHOICE, Reason.TRUE_FALSE, Reason.PROOF, None

# (question, reference answer, form): near misses as well as forms.
CASES = [
    ("If f(x)=2x, which graph shows f? A: a line; B: a parabola; C: a circle; D: a hyperbola", "A", M),
    ("A) 12  B) 15  C) 18  D) 21\nWhat is three times six?", "C", M),
    ("Complete the sentence: The product of two negatives is ___ . [A] negative [B] positive [C] zero", "positive", M),
    ("What's the slope of y=3x+2? Choices are 2, 3, 5 and 6.", "3", M),
    ("Mark the correct box: 0.1*0.1 = ( ) 0.1 ( ) 0.01 ( ) 1", "0.01", M),
    ("Choose the appropriate unit for the mass of a cat: mg, g, kg, t.", "kg", M),
    ("For what value of k does the system have no solution?\nA: 1\nB: 2\nC: 3\nD: 4\nE: none of these", "D", M),
    ("若x=2,则x²+1的值为 A 3 B 4 C 5 D 6", "C", M),
    ("以下四个选项,哪一个与众不同?猫,狗,桌子,兔子", "桌子", M),
    ("Every even number over 2 tested so far is a sum of two primes. Is the sum 3+5 even?", "Yes", T),
    ("Has the equation 2x=2x+1 a solution?", "No", T),
    ("Every rectangle is a parallelogram. Correct?", "Correct", T),
    ("Triangle with sides 2, 3, 6 exists. (right / wrong)", "wrong", T),
    ("Comment on the truth of: 1 is prime.", "False", T),
    ("两条平行线永不相交。(对/错)", "对", T),
    ("9是不是平方数?", "是", T),
    ("用5元钱能买到3支2元的笔吗?", "不能", T),
    ("Using the definition of limit, prove lim x->0 of x sin(1/x) = 0.", "0", P),
    ("Let n be odd. It is required to show that 8 divides n^2-1.", "", P),
    ("Explain in detail why 0.999... equals 1.", "Because the difference is zero.", P),
    ("Find a proof of the AM-GM inequality for two variables.", "", P),
    ("Argue that no perfect square ends in 7.", "", P),
    ("证明下列恒等式:sin²x+cos²x=1。", "", P),
    ("请推导一元二次方程的求根公式。", "略", P),
    ("如何证明根号2是无理数?", "", P),
    (
        "Tom must choose the correct key from 6 keys. What is the probability of a hit? Give a fraction.",
        "1/6",
        N,
    ),
    ("Which whole number between 30 and 40 is divisible by 7?", "35", N),
    ("Is it cheaper to buy 3 pens for $4 or 5 pens for $6, and by how much per pen in cents?", "13", N),
    ("The letters A, B, C, D stand for digits with AB + CD = 99. What is A+B+C+D?", "18", N),
    ("A. Smith earns $20, B. Jones $30 and C. Brown $25 an hour. What do they earn together in 2 hours?", "150", N),
    ("Show how 36 can be factored into primes.", "2^2*3^2", N),
    ("What is the truth table size for 4 variables (rows)?", "16", N),
    ("The proof of a rum is 151. What is its alcohol by volume in percent?", "75.5", N),
    ("An exam has 30 true/false items. Mia does 40% of them. How many are left?", "18", N),
    ("Prove your skills: what is 17*23?", "391", N),
    ("Whether it rains or not, Sam walks 3 km daily. How many km in June?", "90", N),
    ("小红和小明谁跑得快?小红每秒5米,小明每分钟240米。快的每秒比慢的多跑几米?", "1", N),
    ("老师判断对了12道题,错了3道,正确率是多少?", "80%", N),
    ("选择其中三个数组成三位数,数字1,2,3,4,一共能组成多少个?", "24", N),
    ("小明有没有吃完苹果?他有5个,吃了3个,还剩几个?", "2", N),
    ("Read the options and write only the capital letter: the square root of 81 is\nA - 7\nB - 8\nC - 9", "C", M),
    ("3/8 as a decimal is: (i) 0.375 (ii) 0.38 (iii) 0.83", "(i)", M),
    ("What is 10% of 90? Is it 9, 90 or 900?", "9", N),
    (
        "Four cards are labelled A) red B) blue C) green D) yellow, and each costs 25 cents. How many cents in all?",
        "100",
        N,
    ),
    ("The vertices of a pentagon are A(0,0), B(2,0), C(3,2), D(1,4), E(-1,2). Find its area.", "10.5", N),
    ("Let (A) be a set with 3 elements, and (B) a set with 4. Find the size of the product.", "12", N),
    ("Which day of the week is 45 days after Sunday?", "Wednesday", N),
    ("Which of these fractions is largest? 1/2, 2/3, 3/5", "2/3", M),
    ("Find the missing term: 2, 4, 8, ?, 32\nA. 12 | B. 16 | C. 18 | D. 20", "B", M),
    ("Out of the answers a-d choose the one that fits. a: 1, b: 2, c: 3, d: 4. 7-4=?", "c", M),
    ("If a = 3, b = 4 and c = 5, compute a + b * c.", "23", N),
    ("a. Compute 3+4.\nb. Double it.\nc. Subtract 5. What do you end with?", "9", N),
    ("True/False: zero is a natural number under ISO 80000-2.", "True", T),
    ("Is 0.999... equal to 1?", "Yes, they are equal.", T),
    ("Does the series sum 1/n converge?", "It diverges", T),
    ("Are 14 and 15 coprime? Reply with 1 for yes and 0 for no.", "1", T),
    ("How many of the answers to a 20-item true/false test can be right by guessing, on average?", "10", N),
    (
        "Is a square with side 4 larger in area than a circle with radius 2? Give the difference of the areas.",
        "16-4\\pi",
        N,
    ),
    ("John says 7*8=54. Is John correct? What is the right product?", "56", N),
    ("Can the equation x^2+1=0 be solved over the reals?", "no", T),
    ("Must every cyclic group be abelian?", "", T),
    ("Could you work out the cost of 12 pens at $3?", "36", N),
    ("Do 5 + 7.", "12", N),
    ("Have a look at the number 144. What is its square root?", "12", N),
    ("Prove the Pythagorean theorem.", "", P),
    ("Let ABC be a triangle with AB=AC. Prove: angle B equals angle C.", "", P),
    ("Provide the proof for the irrationality of e.", "proof omitted", P),
    ("Show $\\sqrt{3}$ is irrational.", "", P),
    ("Show me how many apples remain if 3 of 10 are eaten.", "7", N),
    (
        "The room was proven safe for 20 people. It proves that 5 rows of 4 chairs fit. How many chairs is that?",
        "20",
        N,
    ),
    (
        "By considering the cases n even and n odd, or otherwise, prove n^2 leaves remainder 0 or 1 on division by 4.",
        "",
        P,
    ),
    ("Determine, with proof, all primes p such that p+2 and p+4 are prime.", "3", N),
    ("A baker's proofing oven proofs 12 loaves in 40 minutes. How long for 36 loaves?", "120", N),
    ("Deduce the value of x from 2x+3=11.", "4", N),
    ("Derive f(x) = x^3 + 2x with respect to x.", "3x^2+2", N),
    ("Establish the convergence of the sequence a_n = 1/n.", "", P),
    ("若a,b为正数,求证:a+b≥2√(ab)。", "", P),
    ("已知数列满足a1=1,a(n+1)=2a(n)+1。(1)证明数列{a(n)+1}是等比数列;(2)求a(5)。", "31", N),
    ("小明是否有足够的钱?他有20元,要买3支6元的笔,还剩多少元?", "2", N),
    ("请问下面哪个是最大的?① 0.5 ② 0.05 ③ 0.55", "③", M),
    ("从下面四个数中选一个最小的:3,-1,0,2", "-1", M),
    ("函数y=x²的图像开口方向是____(填“向上”或“向下”)。", "向上", N),
    ("一个数是它自己的倍数。(  )", "√", T),
    ("老师让大家从A、B、C三本书里选两本,有多少种选法?", "3", N),
    ("计算:(1)3+4;(2)5×6;(3)8÷2。", "7,30,4", N),
    ("甲说“明天下雨”,这句话是真是假?", "假", T),
    ("1公顷大于1000平方米,对吗?", "对", T),
    ("选择合适的数填空:3+__=7", "4", N),
    ("在括号里填上“>”“<”或“=”:3/4( )0.75", "=", N),
    ("判断三角形的形状:三边长为3,4,5。", "直角三角形", N),
    (
        "Lena can go to shop A. Shop A: $3, shop B: $4, shop C: $2. How far apart are the dearest and the cheapest?",
        "2",
        N,
    ),
    ("Rectangle ABCD has AB = 5 and BC = 7. E is the midpoint of CD. What is the area of triangle ABE?", "17.5", N),
    ("Which is the smallest prime greater than 100?", "101", N),
    ("Which number is larger: 2^100 or 3^60?", "2^{100}", N),
    ("A box has 3 red balls (A), 4 blue balls (B) and 5 green balls (C). How many balls are there?", "12", N),
    ("The capital letter A is worth 1, B is worth 2, C is worth 3. What is the sum of the letters in CAB?", "6", N),
    ("Solve for x:\n(a) 2x = 4\n(b) 3x = 9\n(c) x + 1 = 5", "2, 3, 4", N),
    (
        "Steps: 1. Take a number. 2. Double it. 3. Add 5. If the result is 17, what was the number?",
        "6",
        N,
    ),
    ("What is the derivative of x^3? a) 3x^2 b) x^2 c) 3x d) x^3", "a", M),
    ("What is the perimeter of a square of side 4?\nA 12\nB 16\nC 8\nD 20", "B", M),
    ("A car goes 60 km in 1 hour. How far does it go in 3 hours? (1) 120 (2) 180 (3) 200 (4) 240", "(2)", M),
    ("Tick the right box: 7 × 8 = □ 54 □ 56 □ 58", "56", M),
    ("Is it Tuesday or Wednesday 100 days after Monday?", "Wednesday", N),
    ("Can 7 be written as sum of two primes?", "Yes", T),
    ("Did Tom make a profit or a loss, and how much?", "profit of 5", N),
    ("Will 40 dollars be enough to buy 7 books at 6 dollars each? If not, how many dollars are missing?", "2", N),
    ("The statement 'all primes are odd' is _____ (true/false).", "false", T),
    ("Evaluate the following Python expression: not (3 > 2 and 5 < 4)", "True", T),
    ("If 3x+2=11, is x equal to 3?", "yes", T),
    ("Are there more even or odd numbers between 1 and 99 and by how many?", "1", N),
    ("Do the lines y=2x+1 and y=2x-3 intersect? Answer with yes or no.", "No", T),
    ("Show all your work: what is 12% of 250?", "30", N),
    ("Show that the sequence is bounded and compute its limit.", "2", N),
    ("Let G be a group of order 15. Prove it is cyclic.", "", P),
    (
        "We wish to prove that sqrt(2) is irrational. Fill in the number: assume sqrt(2)=p/q, then p^2 = ? q^2.",
        "2",
        N,
    ),
    ("Give an example and a proof that every bounded sequence has a convergent subsequence.", "See solution", P),
    ("Whiskey is 80 proof, which means 40% alcohol. How many ml of alcohol are in 500 ml?", "200", N),
    (
        "A detective needs 3 clues, to prove that the butler did it. He has found 1. How many more does he need?",
        "2",
        N,
    ),
    ("Explain why the product of two consecutive integers is always even.", "One of them is even.", P),
    ("Find all functions f such that f(x+y)=f(x)+f(y) and prove that there are no others.", "f(x)=cx", N),
    ("如图,点A、B、C、D在同一直线上,AB=3,BC=4,CD=5,求AD的长。", "12", N),
    ("甲、乙、丙三人共有60元,甲比乙多10元,乙比丙多10元,甲有多少元?", "30", N),
    ("小明需要带学生证和收入证明去办卡,每张卡5元,3张卡一共多少元?", "15", N),
    ("(1)求f(x)的最小值;(2)证明:f(x)>0。", "", P),
    ("比较大小:3/4和5/7,哪个大?", "3/4", N),
    ("下列运算正确的是 A.a+a=a² B.a·a=a² C.a³-a=a² D.a÷a=a", "B", M),
    ("一个三角形三边长为3、4、5,它是直角三角形吗?请说明理由。", "是", T),
    ("某商店有A、B、C三种商品,A商品每件5元,B商品每件8元,C商品每件10元,各买一件共需多少元?", "23", N),
    ("下列各式的计算结果之和是多少:3+4,5+6,7+8?", "33", N),
    ("带100元去买3本单价28元的书,够不够?", "够", T),
    ("推导等差数列前n项和的公式。", "S=n(a1+an)/2", P),
    ("Select three different digits from 1 to 9. How many ways are there?", "84", N),
    ("Choose the correct answer from the choices below. 15% of 60 is: 6, 9, 12, 15", "9", M),
    ("Which of the following numbers are prime, and what is their sum? 11, 21, 31", "42", N),
    ("Name the property: a(b+c)=ab+ac. (A) commutative (B) associative (C) distributive", "C", M),
    ("Grade the claim right or wrong: 0.5 > 0.45", "right", T),
    ("In how many ways can you choose one of the following: 3 soups or 4 salads?", "7", N),
    ("Ann has $20. Can she buy 3 toys at $6? How much change does she get?", "2", N),
    ("State the truth value of the proposition: 5 is even or 3 is odd.", "True", T),
    ("What is the correct answer to 7 + 8 × 2?", "23", N),
    ("Item A. costs 3 dollars. Item B. costs 4 dollars. Item C. costs 5 dollars. What do they cost together?", "12", N),
    (
        "A student must answer 5 multiple choice questions with options A, B, C, D. How many sheets are possible?",
        "1024",
        N,
    ),
    ("How many of the statements are true? (A) 2 is prime (B) 9 is prime (C) 11 is prime", "2", N),
    ("Deduce that n^2 + n is even for every integer n.", "", P),
    ("Is 2^10 greater than 1000? By how much?", "24", N),
]


@pytest.mark.parametrize(("question", "answer", "form"), CASES)
def test_forms_and_their_near_misses(question: str, answer: str, form: Reason | None) -> None:
    found = form_of(question, answer)
    assert (found[0] if found else None) == form, found


LAYOUTS = (
    "(A) 3 (B) 4 (C) 5 (D) 6", "A. 3  B. 4  C. 5  D. 6", "A) 3\nB) 4\nC) 5\nD) 6", "a) 3 b) 4 c) 5 d) 6",
    "(a) 3\n(b) 4\n(c) 5",
    "① 3 ② 4 ③ 5 ④ 6", "A．3　B．4　C．5　D．6", "A、3 B、4 C、5 D、6", "（A）3（B）4（C）5（D）6", "A.3 B.4 C.5 D.6",
    r"$\textbf{(A)}\ 3 \qquad \textbf{(B)}\ 4 \qquad \textbf{(C)}\ 5$", "- A: 3\n- B: 4\n- C: 5",
    "**A** 3\n**B** 4\n**C** 5",
)  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stem", ["What is 2 + 2?", "2 + 2 equals", "2加2等于(  )"])
@pytest.mark.parametrize("answer", ["B", "4", ""])
def test_options_are_seen_in_every_layout(layout: str, stem: str, answer: str) -> None:
    found = form_of(f"{stem}\n{layout}", answer)
    if answer == "" and layout.startswith(("a)", "(a)", "**")):
        return  # sub-questions look the same, and nothing tells which it is
    assert found is not None
    assert found[0] is M


def test_the_detail_says_what_was_found() -> None:
    assert form_of("What is 2 + 2? (A) 3 (B) 4 (C) 5", "B") == (M, "options A, B, C")
    assert form_of("Prove that 2 is even.", "") == (P, "says 'Prove'")
    assert form_of("Is 17 a prime number?", "Yes") == (T, "the answer is 'Yes'")


@pytest.mark.parametrize("seed", range(3))
def test_planted_forms_are_found(seed: int) -> None:
    mixture = planted(1000, seed)
    truth = {item.problem.id: item.kind for item in mixture}
    forms = {item.problem.id: form_of(item.problem.messages[0].content, item.problem.answer) for item in mixture}
    figures = precision_recall(truth, {name: str(form[0]) for name, form in forms.items() if form is not None})
    for kind in (M, T, P):
        precision, recall, count = figures[str(kind)]
        print(f"{kind}: precision {precision:.3f}, recall {recall:.3f} of {count}")  # noqa: T201
        assert precision >= 0.95
        assert recall >= 0.95


def rows(name: str) -> Iterator[dict[str, Any]]:
    folder = os.environ.get("PERILUNE_DATA")
    if folder is None:
        pytest.skip(f"set PERILUNE_DATA to the folder of {name}")
    with (Path(folder) / name).open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def test_real_word_problems_are_none_of_these() -> None:
    answered = [(row["question"], row["answer"].split("####")[1].strip()) for row in rows("gsm8k_train.jsonl")]
    found = [(form, question) for question, answer in answered if (form := form_of(question, answer))]
    assert found == []


def test_real_programming_tasks_are_none_of_these() -> None:
    asked = [(row["prompt"], json.dumps({"test": row["test"]})) for row in rows("humaneval.jsonl")]
    assert [form for prompt, answer in asked if (form := form_of(prompt, answer))] == []


@pytest.mark.parametrize(
    "part", [" ", "\n", "(A) x ", "a. x\n", "(", "show by ", "(i) a (ii) b ", "下列", "give the a-a-a, ", "。"]
)
def test_long_texts_take_no_time(part: str) -> None:
    started = time.process_time()
    form_of(part * (30_000 // len(part)), "B")
    assert time.process_time() - started < 5
