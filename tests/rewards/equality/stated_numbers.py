"""References that are numbers, with their rewritings; what is right is worked out with exact fractions."""

from fractions import Fraction

from stated import grouped, other_digit, some, stated


def _fraction(value, command="frac"):
    sign = "-" if value < 0 else ""
    return rf"{sign}\{command}{{{abs(value.numerator)}}}{{{value.denominator}}}"


def whole(random):
    number = random.choice([1, 1, 1, -1]) * random.choice([random.randint(11, 99), random.randint(100, 999)])
    size = abs(number)
    factor = random.randint(2, 9)
    same = [
        f"{number}.0",
        f"{number}.",
        f"x = {number}",
        f"{number} = k",
        f"f(2) = {number}",
        rf"|AB| = {number}" if number > 0 else rf"m+n={number}",
        _fraction(Fraction(number)).replace("{1}", "{1}"),
        rf"\frac{{{number * factor}}}{{{factor}}}",
        rf"{number - factor} + {factor}",
        rf"{number - factor} + {factor} = {number}",
        rf"{number}\text{{ marbles}}",
        rf"\text{{about }}{number}",
        rf"\approx {number}",
        rf"\left({number}\right)",
        rf"\mathbf{{{number}}}",
        f"{number:.2e}" if size >= 100 else f"{number:.1e}",
        f"{number}€",
    ]
    other = [
        other_digit(random, str(number)),
        str(-number),
        f"{number}0",
        str(number + 1),
        f"{number}^2",
        f"{number}!",
        rf"{number}_{{7}}",
        rf"{number} \text{{ or }} {number + 1}",
        f"{number}, {number + 2}",
        rf"{number} \pm 1",
        rf"\text{{not }}{number}",
        rf"{number}\text{{ is wrong}}",
        rf"{number}\text{{ squared}}",
        rf"{number}\text{{ dozen}}",
        rf"{number}\text{{ hundred}}",
        rf"\text{{at least }}{number}",
        rf"\text{{half of }}{number}",
        f"> {number}",
        rf"\ne {number}",
        rf"\sqrt{{{size}}}",
        rf"\frac{{1}}{{{number}}}",
        f"{number}x",
        f"{number} = {number + 3}",
        f"x > {number}",
        f"{number}?{number + 1}",
        rf"[{number}, {number + 1}]",
        rf"{number}\frac{{1}}{{2}}",
        f"{number}i",
        rf"{number}\text{{th}}",
        rf"{number}\ldots",
    ]
    return stated(str(number), some(random, same, 9), some(random, other, 14))


def large(random):
    number = random.choice([random.randint(10**4, 10**6), random.randint(10**7, 10**11)])
    text = str(number)
    same = [text] + [
        grouped(number, s) for s in (",", "{,}", r",\!", r"\,", " ", "~", r"\;", "\u2009", "\u202f", r"\ ")
    ]
    same += [
        grouped(number, ",") + ".00",
        rf"\${grouped(number, ',')}",
        rf"{text[0]}.{text[1:]} \times 10^{{{len(text) - 1}}}",
    ]
    other = [grouped(int(other_digit(random, text)), ",") for _ in range(2)]
    other += [
        f"{text}0",
        text[:-1],
        grouped(number, ",")[:-1],
        grouped(-number, ","),
        text.replace(text[0], "", 1) or "0",
    ]
    other += [
        f"({grouped(number, ',')})",
        rf"{text[0]}.{text[1:]} \times 10^{{{len(text)}}}",
        grouped(number, ", ") + ", 1",
    ]
    reference = random.choice([text, grouped(number, ","), grouped(number, r",\!")])
    return stated(reference, some(random, same, 9), other)


def proper_fraction(random):
    value = Fraction(random.choice([1, -1]) * random.randint(2, 9), random.choice([3, 7, 11, 13, 16, 8, 9, 21]))
    while value.denominator == 1:
        value = Fraction(random.randint(2, 9), random.choice([7, 11, 13]))
    top, bottom = value.numerator, value.denominator
    sign = "-" if top < 0 else ""
    same = [
        _fraction(value, "dfrac"),
        _fraction(value, "tfrac"),
        _fraction(value, "cfrac"),
        f"{top}/{bottom}",
        f"({top})/({bottom})",
        rf"\frac{{{top}}}{{{bottom}}}",
        rf"\frac{{{3 * top}}}{{{3 * bottom}}}",
        f"{sign}\\frac {{{abs(top)}}} {{{bottom}}}",
        rf"p = \frac{{{top}}}{{{bottom}}}",
        rf"\frac{{1}}{{{bottom}}} \cdot ({top})",
        rf"{top} \cdot {bottom}^{{-1}}",
        rf"{top} \div {bottom}",
        rf"\frac{{{-top}}}{{{-bottom}}}",
    ]
    other = [
        f"{bottom}/{top}",
        _fraction(-value),
        _fraction(value + Fraction(1, bottom)),
        rf"\frac{{{top}}}{{{bottom + 1}}}",
        _fraction(value * 10),
        f"{top}, {bottom}",
        f"{top}.{bottom}",
        rf"{top}\cdot{bottom}",
        str(top),
        rf"{_fraction(value)} \text{{ or }} {_fraction(value + 1)}",
        rf"\text{{not }}{_fraction(value)}",
        _fraction(value) + "x",
        rf"\sqrt{{{_fraction(abs(value))}}}",
    ]
    if 100 % bottom:
        other.append(f"{float(value):.2f}")
    return stated(random.choice([_fraction(value), f"{top}/{bottom}"]), some(random, same, 8), some(random, other, 9))


def mixed_number(random):
    part = Fraction(*random.choice([(1, 2), (1, 4), (3, 4), (2, 5), (5, 8), (1, 8), (4, 5)]))
    ones = random.randint(2, 9)
    value = ones + part
    mixed = rf"{ones}\frac{{{part.numerator}}}{{{part.denominator}}}"
    same = [
        mixed,
        rf"{ones} \frac{{{part.numerator}}}{{{part.denominator}}}",
        rf"{ones}\dfrac{part.numerator}{part.denominator}",
        f"{ones} {part.numerator}/{part.denominator}",
        _fraction(value),
        f"{value.numerator}/{value.denominator}",
        str(float(value)),
        rf"{ones} + {_fraction(part)}",
    ]
    other = [
        _fraction(part),
        _fraction(ones * part),
        rf"{ones + 1}\frac{{{part.numerator}}}{{{part.denominator}}}",
        rf"{ones}\frac{{{part.denominator}}}{{{part.numerator}}}",
        rf"{ones} \cdot \frac{{{part.numerator}}}{{{part.denominator}}}",
        "-" + mixed,
        str(ones),
        str(float(value) * 10),
    ]
    return stated(random.choice([mixed, _fraction(value)]), same, other)


def decimal(random):
    digits = random.randint(101, 9999)
    digits += digits % 10 == 0
    places = random.choice([1, 2, 3])
    value = Fraction(digits, 10**places)
    text = f"{float(value):.{places}f}"
    same = [
        text + "0",
        _fraction(value),
        f"{value.numerator}/{value.denominator}",
        rf"{digits} \times 10^{{-{places}}}",
        rf"{digits}e-{places}",
        f"x = {text}",
        rf"{text}\text{{ cm}}",
        f"+{text}",
        rf"{digits / 10 ** (places - 2):.6g}\%",
        text.removeprefix("0"),
    ]
    other = [
        other_digit(random, text),
        "-" + text,
        f"{float(value * 10):.{places}f}",
        f"{float(value / 10):.{places + 1}f}",
        text + "1",
        text.replace(".", ","),
        text.replace(".", "") if text[0] != "0" else "1" + text,
        f"{text}, {float(value) + 1:.{places}f}",
        rf"{text}\text{{ million}}",
        f"{text}^2",
    ]
    return stated(text, same, other)


def repeating(random):
    period = random.choice([str(random.randint(1, 8)), str(random.randint(12, 97)), str(random.randint(102, 987))])
    while len(set(period)) == 1 < len(period):
        period = str(random.randint(12, 97))
    lead = random.choice(["", "", "1", "41", "08"])
    value = (Fraction(int(lead or 0)) + Fraction(int(period), 10 ** len(period) - 1)) / 10 ** len(lead)
    text = rf"0.{lead}\overline{{{period}}}"
    dots = rf"\dot{{{period[0]}}}" + (rf"{period[1:-1]}\dot{{{period[-1]}}}" if len(period) > 1 else "")
    same = [
        text,
        rf"0.{lead}\bar{{{period}}}",
        rf"0.{lead}{period}\overline{{{period}}}",
        rf"0.{lead}\overline{{{period}{period}}}",
        rf"0.{lead}{dots}",
        _fraction(value),
        f"{value.numerator}/{value.denominator}",
        rf"x=0.{lead}\overline{{{period}}}",
    ]
    other = [
        f"0.{lead}{period}",
        rf"0.{lead}\overline{{{other_digit(random, period)}}}",
        rf"-0.{lead}\overline{{{period}}}",
        rf"0.{lead}0\overline{{{period}}}",
        rf"1.{lead}\overline{{{period}}}",
        _fraction(value + Fraction(1, value.denominator)),
        _fraction(1 / value),
    ]
    if len(period) > 1:
        other.append(rf"0.{lead}\overline{{{period[::-1]}}}" if period != period[::-1] else rf"0.{lead}")
    return stated(random.choice([text, _fraction(value)]), same, other)


def scientific(random):
    mantissa = f"{random.randint(1, 9)}.{random.randint(1, 9)}{random.choice(['', str(random.randint(1, 9))])}"
    exponent = random.choice([-34, -23, -19, -11, -8, -5, -3, 6, 8, 15, 23])
    shifted = mantissa.replace(".", "")
    finer = exponent - len(shifted) + 1
    plain = f"{float(f'{mantissa}e{exponent}'):.{max(-finer, 0)}f}"
    same = [
        rf"{mantissa} \times 10^{{{exponent}}}",
        rf"{mantissa}\cdot 10^{{{exponent}}}",
        f"{mantissa}e{exponent}",
        f"{mantissa}E{exponent:+03d}",
        f"{mantissa}e{exponent:+03d}",
        f"{mantissa} × 10^{{{exponent}}}",
        f"{mantissa} * 10^{{{exponent}}}",
        f"{mantissa} x 10^{{{exponent}}}",
        rf"{shifted} \times 10^{{{finer}}}",
        rf"{mantissa}0 \times 10^{{{exponent}}}",
        rf"x = {mantissa} \times 10^{{{exponent}}}",
        *([plain] if abs(exponent) < 12 else []),
    ]
    other = [
        rf"{mantissa} \times 10^{{{exponent + 1}}}",
        rf"{mantissa} \times 10^{{{exponent - 1}}}",
        rf"{mantissa} \times 10^{{{-exponent}}}",
        rf"-{mantissa} \times 10^{{{exponent}}}",
        rf"{other_digit(random, mantissa)} \times 10^{{{exponent}}}",
        f"{other_digit(random, mantissa)}e{exponent}",
        f"{mantissa}e{-exponent}",
        mantissa,
        "0",
        rf"{mantissa}^{{{exponent}}}",
        rf"10^{{{exponent}}}",
        rf"{shifted} \times 10^{{{exponent}}}",
    ]
    reference = random.choice([same[0], f"{mantissa}e{exponent:+03d}", same[1]])
    return stated(reference, some(random, same, 8), other)


def percent(random):
    share = random.choice([random.randint(2, 99), random.randint(101, 399), random.randint(21, 199) / 2])
    text = f"{share:g}"
    value = Fraction(share) / 100
    same = [
        rf"{text}\%",
        f"{text}%",
        rf"{text}\text{{ percent}}",
        rf"{text} \%",
        f"{float(value):.6g}",
        _fraction(value),
    ]
    other = [rf"{share * 10:g}\%", rf"{share / 10:g}\%", rf"-{text}\%", rf"{share + 1:g}\%", _fraction(value / 100)]
    other += [
        rf"{text}\%\text{{ or }}{share + 3:g}\%",
        rf"{100 - share:g}\%" if share != 50 else "5",
        rf"\text{{not }}{text}\%",
    ]
    return stated(random.choice([rf"{text}\%", f"{text}%"]), [*same, text], other)


def degrees(random):
    angle = random.choice([15, 36, 72, 75, 105, 108, 120, 150, 165, 240])
    turn = Fraction(angle, 180)
    same = [
        rf"{angle}^\circ",
        rf"{angle}^{{\circ}}",
        f"{angle}°",
        f"{angle}",
        rf"{angle}\text{{ degrees}}",
        rf"{angle}\degree",
        rf"\angle ABC = {angle}^\circ",
        rf"\theta={angle}^\circ",
        rf"\frac{{{turn.numerator}\pi}}{{{turn.denominator}}}",
    ]
    other = [
        rf"{angle + 10}^\circ",
        rf"-{angle}^\circ",
        rf"{360 - angle}^\circ" if angle != 180 else "1",
        rf"{angle}\pi",
    ]
    other += [rf"\frac{{{turn.numerator + 1}\pi}}{{{turn.denominator}}}", rf"{angle}0^\circ", rf"{angle}\text{{ cm}}"]
    return stated(random.choice([rf"{angle}^\circ", f"{angle}°"]), same, other)


_DIGITS = "0123456789ABCDEF"


def based(random):
    base = random.choice([2, 3, 5, 8, 9, 16])
    digits = _DIGITS[random.randint(1, base - 1)] + "".join(random.choice(_DIGITS[:base]) for _ in range(4))
    changed = digits[:-1] + _DIGITS[(int(digits[-1], base) + 1) % base]
    swapped = digits[1] + digits[0] + digits[2:]
    text = f"{digits}_{{{base}}}"
    same = [text, f"({digits})_{{{base}}}", rf"{digits}_{{\text{{{base}}}}}", rf"N = {digits}_{{{base}}}"]
    same += [f"{digits}_{base}"] if base < 10 else []
    other = [f"{changed}_{{{base}}}", f"{digits}_{{{base + 1}}}", f"{digits}_{{{base - 1}}}", f"-{digits}_{{{base}}}"]
    other += [f"{digits}0_{{{base}}}", rf"{digits}_{{{base}}} \text{{ or }} {changed}_{{{base}}}"]
    if digits[0] not in (digits[1], "0") and digits[1] != "0":
        other.append(f"{swapped}_{{{base}}}")
    return stated(text, [*same, *([digits] if digits.isdigit() else [])], other)


def huge(random):
    base, top = random.choice([2, 3, 5, 7]), random.randint(90, 2000)
    text = random.choice([f"{base}^{{{top}}}", rf"\frac{{1}}{{{base}^{{{top}}}}}", f"{base}^{{{top}}} - 1"])
    less = random.randint(2, 9)
    rewritten = rf"{base}^{{{less}}} \cdot {base}^{{{top - less}}}"
    same = [text.replace(f"{base}^{{{top}}}", power) for power in (f"({base})^{{{top}}}", f"({rewritten})")]
    same += [text.replace(f"{base}^{{{top}}}", rf"{base * base}^{{{top // 2}}}")] if top % 2 == 0 else []
    other = [text.replace(f"{{{top}}}", f"{{{near}}}") for near in (top + 1, top - 1, top * 2)]
    other += [text.replace(f"{base}^", f"{base + 1}^"), "0", "1", f"-{text}", text + " + 1", rf"2 \cdot ({text})"]
    return stated(text, same, other)


def factorial(random):
    number = random.choice([random.randint(5, 12), random.randint(20, 60), random.randint(500, 2500)])
    text = random.choice([f"{number}!", rf"\frac{{1}}{{{number}!}}"])
    product = rf"{number} \cdot {number - 1}!"
    value = 1
    for factor in range(2, min(number, 12) + 1):
        value *= factor
    same = [text.replace(f"{number}!", f"({product})"), text.replace(f"{number}!", f"({number})!")]
    same += [text.replace(f"{number}!", str(value))] if number <= 12 else []
    other = [text.replace(f"{number}!", f"{near}!") for near in (number + 1, number - 1, number * 2)]
    other += ["0", str(number), f"-{text}", text + " + 1", text.replace(f"{number}!", str(number))]
    return stated(text, same, other)


def ratio(random):
    left, right = random.sample([2, 3, 4, 5, 7, 9, 11, 13], 2)
    while Fraction(left, right).denominator != right:
        left, right = random.sample([3, 5, 7, 11, 13], 2)
    text = f"{left}:{right}"
    same = [f"{left} : {right}", f"{left}{{:}}{right}", rf"{left} \colon {right}", rf"\frac{{{left}}}{{{right}}}"]
    other = [
        f"{right}:{left}",
        f"{left}:{right + 1}",
        f"{left}{right}",
        f"{left},{right}",
        f"{left}:{right}:1",
        f"{left}.{right}",
    ]
    return stated(text, [*same, f"{left}/{right}"], other)


NUMBERS = {
    "whole numbers": whole,
    "grouped digits": large,
    "fractions": proper_fraction,
    "mixed numbers": mixed_number,
    "decimals": decimal,
    "repeating decimals": repeating,
    "e-notation": scientific,
    "percent": percent,
    "degrees": degrees,
    "bases": based,
    "powers": huge,
    "factorials": factorial,
    "ratios": ratio,
}
