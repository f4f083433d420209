"""References that are ranges, chains and congruences, with their rewritings."""

from stated import some, stated


def _ordered(random, count, low=-9, high=15):
    return sorted(random.sample(range(low, high), count))


def interval(random):
    low, high = _ordered(random, 2)
    opening, closing = random.choice("(["), random.choice(")]")
    left, right = ("<" if opening == "(" else r"\le"), ("<" if closing == ")" else r"\le")
    back_left, back_right = (">" if left == "<" else r"\ge"), (">" if right == "<" else r"\ge")
    text = f"{opening}{low},{high}{closing}"
    told = f"{low} {left} x {right} {high}"
    same = [
        text,
        f"{opening}{low}, {high}{closing}",
        rf"\left{opening}{low},{high}\right{closing}",
        told,
        f"{high} {back_right} x {back_left} {low}",
        rf"x \in {text}",
        rf"x {back_left} {low} \text{{ and }} x {right} {high}",
        rf"\{{x \mid {told}\}}",
    ]
    other_opening, other_closing = ("[" if opening == "(" else "("), ("]" if closing == ")" else ")")
    flip_left, flip_right = ("<" if left != "<" else r"\le"), ("<" if right != "<" else r"\le")
    other = [
        f"{other_opening}{low},{high}{closing}",
        f"{opening}{low},{high}{other_closing}",
        f"{opening}{high},{low}{closing}",
        f"{opening}{low},{high + 1}{closing}",
        f"{opening}{low - 1},{high}{closing}",
        f"{low} {flip_left} x {right} {high}",
        f"{low} {left} x {flip_right} {high}",
        f"x {back_left} {low}",
        f"x {right} {high}",
        rf"{opening}{low},\infty)",
        rf"{text} \cup \{{{high + 3}\}}",
        rf"x {right} {low} \text{{ or }} x {back_right} {high}",
        str(high - low),
    ]
    return stated(random.choice([text, told]), some(random, same, 7), other)


def ray(random):
    bound = random.randint(-9, 15)
    sign, interval_ = random.choice(
        [
            (">", rf"({bound},\infty)"),
            (r"\ge", rf"[{bound},\infty)"),
            ("<", rf"(-\infty,{bound})"),
            (r"\le", rf"(-\infty,{bound}]"),
        ]
    )
    turned = {">": "<", "<": ">", r"\ge": r"\le", r"\le": r"\ge"}[sign]
    loose = {">": r"\ge", "<": r"\le", r"\ge": ">", r"\le": "<"}[sign]
    same = [
        f"x {sign} {bound}",
        f"{bound} {turned} x",
        interval_,
        rf"x \in {interval_}",
        interval_.replace(r",\infty", r",+\infty"),
    ]
    other = [
        f"x {turned} {bound}",
        f"x {loose} {bound}",
        f"x {sign} {bound + 1}",
        str(bound),
        f"x = {bound}",
        rf"x \ne {bound}",
    ]
    other += [
        interval_.replace(str(bound), str(bound + 2)),
        r"\mathbb{R}",
        rf"x {sign} {-bound}" if bound else "x > 77",
    ]
    return stated(random.choice(same[:4]), same, other)


def union(random):
    low, high = _ordered(random, 2)
    opening, closing = random.choice("(["), random.choice(")]")
    left, right = ("<" if closing == ")" else r"\le"), (">" if opening == "(" else r"\ge")
    first, second = rf"(-\infty,{low}{closing}", rf"{opening}{high},\infty)"
    same = [
        rf"{first}\cup{second}",
        rf"{second} \cup {first}",
        rf"x {left} {low} \text{{ or }} x {right} {high}",
        rf"x {right} {high} \text{{ or }} x {left} {low}",
        rf"x \in {first} \cup {second}",
        rf"{first}∪{second}",
        f"x {left} {low} or x {right} {high}",
    ]
    other_closing = "]" if closing == ")" else ")"
    other = [
        rf"(-\infty,{low}{other_closing}\cup{second}",
        rf"(-\infty,{low - 1}{closing}\cup{second}",
        rf"{first}\cup{opening}{high + 2},\infty)",
        first,
        second,
        f"{low} {left} x {left} {high}",
        rf"[{low},{high}]",
        rf"{first}\cap{second}",
        r"\mathbb{R}",
    ]
    return stated(random.choice(same[:3]), same, other)


def unequal(random):
    number = random.choice([-7, -4, 2, 3, 6, 11])
    name = random.choice("xkat")
    same = [rf"{name} \ne {number}", rf"{name}\neq{number}", rf"{name} ≠ {number}", rf"{name} \not= {number}"]
    same += [rf"(-\infty,{number})\cup({number},\infty)", rf"\mathbb{{R}}\setminus\{{{number}\}}"]
    other = [f"{name} = {number}", rf"{name} \ne {-number}", f"{name} > {number}", str(number), f"{name} < {number}"]
    other += [rf"{name} \ne {number + 1}", r"\mathbb{R}", rf"(-\infty,{number}]\cup({number},\infty)"]
    return stated(same[0], same, other)


def congruence(random):
    modulus = random.choice([5, 7, 8, 9, 12, 13, 30])
    residue = random.randint(1, modulus - 1)
    text = rf"x \equiv {residue} \pmod{{{modulus}}}"
    same = [
        rf"x\equiv{residue}\pmod{{{modulus}}}",
        rf"x \equiv {residue + modulus} \pmod{{{modulus}}}",
        rf"x \equiv {residue - modulus} \pmod {{{modulus}}}",
        rf"x \equiv {residue} \bmod {modulus}",
        rf"x \equiv {residue} \mod {modulus}",
        rf"x \equiv {residue} \ (\text{{mod }} {modulus})",
        rf"x \equiv {residue} (\mathrm{{mod}}\ {modulus})",
        f"x ≡ {residue} (mod {modulus})",
    ]
    other = [
        rf"x \equiv {(residue + 1) % modulus} \pmod{{{modulus}}}",
        rf"x \equiv {residue} \pmod{{{modulus + 1}}}",
        rf"x \equiv {residue} \pmod{{{2 * modulus}}}",
        rf"x \equiv {modulus} \pmod{{{modulus}}}",
        rf"y \equiv {residue} \pmod{{{modulus}}}",
        rf"x \equiv {residue} \text{{ or }} {(residue + 1) % modulus} \pmod{{{modulus}}}",
        str(modulus),
        f"x = {residue + 1}",
    ]
    if 2 * residue != modulus:
        other.append(rf"x \equiv {-residue} \pmod{{{modulus}}}")
    return stated(text, same, other)


def chain(random):
    names = random.sample("abcdpq", 3)
    one, two, three = names
    text = f"{one} > {two} > {three}"
    same = [f"{one}>{two}>{three}", f"{three} < {two} < {one}", f"{three}<{two}<{one}", rf"{one} \gt {two} \gt {three}"]
    other = [
        f"{one} < {two} < {three}",
        f"{two} > {one} > {three}",
        f"{one} > {three} > {two}",
        f"{three} > {two} > {one}",
    ]
    other += [
        rf"{one} \ge {two} > {three}",
        f"{one} > {two}",
        f"{one.upper()} > {two} > {three}",
        f"{one} > {two} < {three}",
        f"{one} = {two} = {three}",
    ]
    return stated(text, same, other)


RANGES = {
    "intervals": interval,
    "rays": ray,
    "unions": union,
    "unequal": unequal,
    "congruences": congruence,
    "chains": chain,
}
