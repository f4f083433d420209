"""References that are formulas, with their rewritings; of polynomials the coefficients decide, as whole numbers."""

from fractions import Fraction

from stated import some, stated


def _product(*polynomials):
    """The coefficients, the constant first."""
    result = [1]
    for polynomial in polynomials:
        product = [0] * (len(result) + len(polynomial) - 1)
        for place, some_ in enumerate(result):
            for shift, factor in enumerate(polynomial):
                product[place + shift] += some_ * factor
        result = product
    return result


def _terms(coefficients, name, powers, times=""):
    text = ""
    for power in powers:
        number = coefficients[power]
        if not number:
            continue
        size = "" if abs(number) == 1 and power else str(abs(number))
        named = {0: "", 1: name}.get(power, f"{name}^{{{power}}}" if power > 9 or times else f"{name}^{power}")
        text += ("-" if number < 0 else "+") + size + (times if size and named else "") + named
    return text.removeprefix("+")


def _expanded(coefficients, name="x", times=""):
    return _terms(coefficients, name, range(len(coefficients) - 1, -1, -1), times)


def _ascending(coefficients, name="x"):
    return _terms(coefficients, name, range(len(coefficients)))


def _factored(polynomials, name="x"):
    return "".join(f"({_expanded(polynomial, name)})" for polynomial in polynomials)


def _near(random, polynomials):
    """Other factors, of another product."""
    while True:
        changed = [list(polynomial) for polynomial in polynomials]
        factor = random.choice(changed)
        factor[0] = random.choice([-factor[0], factor[0] + 1, factor[0] - 1])
        if _product(*changed) != _product(*polynomials) and factor[0]:
            return changed


def polynomial(random):
    factors = [
        [random.choice([-7, -5, -3, -2, 1, 2, 4, 6]), random.choice([1, 1, 2, 3])]
        for _ in range(random.choice([2, 2, 3]))
    ]
    coefficients = _product(*factors)
    name = random.choice("xnt")
    swapped = factors[::-1]
    same = [
        _expanded(coefficients, name),
        _expanded(coefficients, name, r" \cdot "),
        _ascending(coefficients, name),
        _factored(factors, name),
        _factored(swapped, name),
        r" \cdot ".join(f"({_expanded(factor, name)})" for factor in factors),
        f"{_factored(factors[:1], name)}({_expanded(_product(*factors[1:]), name)})",
        f"f({name}) = {_expanded(coefficients, name)}",
        f"-({_expanded([-number for number in coefficients], name)})",
    ]
    other = []
    for _ in range(3):
        near = _near(random, factors)
        other += [_factored(near, name), _expanded(_product(*near), name)]
    for place in range(len(coefficients)):
        changed = list(coefficients)
        changed[place] += random.choice([-1, 1, 2])
        other.append(_expanded(changed, name))
    other += [
        _expanded([0, *coefficients], name),
        _expanded([-number for number in coefficients], name),
        _expanded(coefficients, name.upper()),
        _factored(factors, {"x": "y", "n": "m", "t": "s"}[name]),
        _factored(factors[:1], name),
        str(sum(coefficients)),
    ]
    return stated(random.choice(same[:1] + same[3:4]), some(random, same, 7), some(random, other, 10))


def square_of_two(random):
    first, second = random.choice([1, 2, 3]), random.choice([-4, -3, -1, 1, 2, 5])
    names = random.choice([("a", "b"), ("x", "y"), ("m", "n")])
    one, two = names

    def term(number, name):
        return {1: f"+{name}", -1: f"-{name}"}.get(number, f"{number:+d}{name}")

    def expanded(x2, xy, y2):
        return (term(x2, f"{one}^2") + term(xy, one + two) + term(y2, f"{two}^2")).removeprefix("+")

    root = (term(first, one) + term(second, two)).removeprefix("+")
    middle = 2 * first * second
    same = [
        f"({root})^2",
        f"({root})^{{2}}",
        f"({root})({root})",
        expanded(first**2, middle, second**2),
        (term(second**2, f"{two}^2") + term(middle, two + one) + term(first**2, f"{one}^2")).removeprefix("+"),
    ]
    other = [
        expanded(first**2, -middle, second**2),
        expanded(first**2, middle + 1, second**2),
        expanded(first**2, middle, second**2 + 1),
        (term(first**2, f"{one}^2") + term(second**2, f"{two}^2")).removeprefix("+"),
        f"({root})^3",
        f"({root})^2".replace(one, one.upper()),
        f"({(term(first, one) + term(-second, two)).removeprefix('+')})^2",
        root,
    ]
    return stated(random.choice([same[0], same[3]]), same, other)


def _monomial(powers, number, order):
    over = [f"{name}^{power}" if power > 1 else name for name in order if (power := powers[name]) > 0]
    under = [f"{name}^{-power}" if power < -1 else name for name in order if (power := powers[name]) < 0]
    top = ("" if number.numerator == 1 and over else str(number.numerator)) + " ".join(over)
    bottom = ("" if number.denominator == 1 and under else str(number.denominator)) + " ".join(under)
    return rf"\frac{{{top}}}{{{bottom}}}"


def monomial(random):
    """Products of powers of names that differ in case or in their index, as physics has them."""
    names = random.choice(
        [
            ("M", "m", "r"),
            ("G", "m", "R"),
            ("v", "V", "t"),
            ("T", "t", "k"),
            ("m_1", "m_2", "g"),
            ("v_0", "g", "L"),
            ("Q", "q", r"\rho"),
            ("R", "r", r"\omega"),
        ]
    )
    powers = {name: random.choice([1, 2, 3]) for name in names}
    powers[random.choice(names)] *= -1
    number = Fraction(*random.choice([(1, 1), (1, 2), (2, 3), (3, 4), (4, 1)]))
    backward = names[::-1]
    text = _monomial(powers, number, names)
    product = (rf"\frac{{{number.numerator}}}{{{number.denominator}}}" if number != 1 else "") + " ".join(
        f"{name}^{{{powers[name]}}}" for name in names
    )
    same = [
        _monomial(powers, number, backward),
        product,
        rf"F = {text}",
        text.replace(r"\frac", r"\dfrac"),
        rf"\left({text}\right)",
    ]
    other = [
        _monomial({**powers, names[1]: powers[names[1]] * 2}, number, names),
        _monomial(powers, number * 2, names),
        _monomial({name: -power for name, power in powers.items()}, 1 / number, names),
        f"-{text}",
        text + " + 1",
        "1",
        str(number.numerator + 1),
    ]
    for one, two in ((names[0], names[1]), (names[1], names[2])):
        other.append(_monomial({name: powers[{one: two, two: one}.get(name, name)] for name in names}, number, names))
    swapped = [name.swapcase() if len(name) == 1 else name.replace("_1", "_3").replace("_0", "_1") for name in names]
    other.append(_monomial(dict(zip(swapped, powers.values(), strict=True)), number, swapped))
    here = [text for text in other if text != _monomial(powers, number, names)]
    return stated(text, same, here)


def complex_number(random):
    real, imaginary = random.choice([-5, -2, 1, 3, 4]), random.choice([-7, -3, 2, 5, 6])
    text = f"{real}{imaginary:+d}i"
    same = [
        f"{imaginary}i{real:+d}",
        rf"{real}{imaginary:+d}\mathrm{{i}}",
        f"{real} {'-' if imaginary < 0 else '+'} {abs(imaginary)} i",
        f"z = {text}",
        rf"{real}{imaginary:+d}\cdot i",
        f"-({-real}{-imaginary:+d}i)",
    ]
    other = [
        f"{real}{-imaginary:+d}i",
        f"{-real}{imaginary:+d}i",
        f"{real}{imaginary:+d}",
        f"{imaginary}{real:+d}i",
        f"{real}{imaginary + 1:+d}i",
    ]
    return stated(text, same, [*other, str(real), f"{imaginary}i", rf"{text} \text{{ or }} {real}{-imaginary:+d}i"])


def radical(random):
    under, factor, whole = random.choice([2, 3, 5, 7]), random.randint(2, 6), random.choice([0, 0, 1, 4, -3])
    text = (f"{whole}+" if whole else "") + rf"{factor}\sqrt{{{under}}}"
    root = rf"\sqrt{{{under * factor**2}}}"
    same = [
        text.replace(rf"{factor}\sqrt{{{under}}}", root),
        rf"{factor}\sqrt{{{under}}}" + (f"{whole:+d}" if whole else ""),
        text.replace(rf"\sqrt{{{under}}}", rf" \cdot {under}^{{1/2}}"),
        text.replace(rf"\sqrt{{{under}}}", rf"\sqrt {under}"),
        text.replace(rf"\sqrt{{{under}}}", f"√{under}"),
        f"x = {text}",
        text.replace(rf"{factor}\sqrt{{{under}}}", rf"\frac{{{factor * under}}}{{\sqrt{{{under}}}}}"),
    ]
    other = [
        text.replace(rf"\sqrt{{{under}}}", rf"\sqrt{{{under + 1}}}"),
        text.replace(rf"{factor}\sqrt", rf"{factor + 1}\sqrt"),
        text.replace(r"\sqrt", r"\sqrt[3]"),
        text.replace(rf"\sqrt{{{under}}}", rf"\cdot {under}"),
        rf"-({text})",
        rf"{text} \pm 1",
        f"{whole + factor * under**0.5:.2f}",
        text + "i",
    ]
    return stated(text, same, other)


def matrix(random):
    one, two, three, four = random.sample(range(-6, 10), 4)
    rows = rf"{one} & {two} \\ {three} & {four}"
    tight = rows.replace(" ", "")
    same = [
        rf"\begin{{pmatrix}}{tight}\end{{pmatrix}}",
        rf"\begin{{bmatrix}} {rows} \end{{bmatrix}}",
        "\\begin{pmatrix}\n" + rows.replace(r" \\ ", " \\\\\n") + "\n\\end{pmatrix}",
        rf"\left(\begin{{array}}{{cc}} {rows} \end{{array}}\right)",
        rf"A = \begin{{pmatrix}} {rows} \end{{pmatrix}}",
    ]
    other = [
        rf"\begin{{pmatrix}} {one} & {three} \\ {two} & {four} \end{{pmatrix}}",
        rf"\begin{{pmatrix}} {one} & {two} \\ {three} & {four + 1} \end{{pmatrix}}",
        rf"\begin{{pmatrix}} {two} & {one} \\ {three} & {four} \end{{pmatrix}}",
        rf"\begin{{pmatrix}} {one} & {two} \end{{pmatrix}}",
        str(one * four - two * three + 1000),
        rf"\begin{{pmatrix}} {-one - 1} & {two} \\ {three} & {four} \end{{pmatrix}}",
    ]
    return stated(rf"\begin{{pmatrix}} {rows} \end{{pmatrix}}", same, other)


def line(random):
    slope, offset = random.choice([-4, -3, 2, 3, 5]), random.choice([-7, -2, 1, 6, 8])
    text = f"y={slope}x{offset:+d}"
    same = [
        f"y = {slope}x {'-' if offset < 0 else '+'} {abs(offset)}",
        f"{slope}x{offset:+d}",
        f"y={offset}{slope:+d}x",
        f"{slope}x-y={-offset}",
    ]
    same += [f"y-({slope}x{offset:+d})=0", f"{slope}x{offset:+d}=y"]
    other = [
        f"y={slope + 1}x{offset:+d}",
        f"y={slope}x{-offset:+d}",
        f"y={-slope}x{offset:+d}",
        f"x={slope}y{offset:+d}",
        f"{slope}x+y={-offset}",
    ]
    other += [f"y={offset}x{slope:+d}", f"y={slope}x", f"y={slope}x^2{offset:+d}"]
    return stated(text, same, other)


FORMULAS = {
    "polynomials": polynomial,
    "polynomials of two names": square_of_two,
    "products of names": monomial,
    "complex numbers": complex_number,
    "radicals": radical,
    "matrices": matrix,
    "lines": line,
}
