"""References with units, money and times, with their rewritings."""

from stated import other_digit, some, stated

# A unit, other ways to write it, other units of its kind with how many of them are one, and units of other kinds.
_UNITS = (
    (
        r"\text{ cm}",
        (r"\,\mathrm{cm}", " cm", " centimeters", r"\text{ centimetres}"),
        {r"\text{ mm}": 10},
        ("m", "s", "kg", "cm^2", "in"),
    ),
    (r"\text{ km}", (r"\,\mathrm{km}", " kilometers", "千米"), {r"\text{ m}": 1000}, ("m", "mi", "h", "km^2", "kg")),
    (r"\text{ kg}", (r"\ \mathrm{kg}", " kilograms", " kg"), {r"\text{ g}": 1000}, ("g", "lb", "m", "mg", "N")),
    (
        r"\text{ hours}",
        (r"\text{ h}", " hrs", " hours", "小时"),
        {r"\text{ minutes}": 60},
        ("minutes", "days", "s", "km"),
    ),
    (r"\text{ minutes}", (r"\text{ min}", " mins", "分钟"), {r"\text{ seconds}": 60}, ("hours", "s", "m", "days")),
    (
        r"\text{ m/s}",
        (
            r"\ \mathrm{m/s}",
            r"\,\mathrm{m\,s^{-1}}",
            " m/s",
            r"\text{ meters per second}",
            r"\frac{\text{m}}{\text{s}}",
        ),
        {r"\text{ cm/s}": 100},
        ("km/h", "m", "m/s^2", "s", "mph"),
    ),
    (
        r"\text{ m/s}^2",
        (r"\ \mathrm{m/s^2}", r"\,\mathrm{m\cdot s^{-2}}", " m/s^2"),
        {r"\text{ cm/s}^2": 100},
        ("m/s", "m", "ft/s^2", "m^2/s^2"),
    ),
    (
        r"\text{ cm}^2",
        (r"\ \mathrm{cm^2}", " cm^2", " cm²", r"\text{ square centimeters}"),
        {r"\text{ mm}^2": 100},
        ("cm", "m^2", "cm^3", "in^2"),
    ),
    (
        r"\text{ m}^3",
        (r"\ \mathrm{m^3}", " m³", r"\text{ cubic meters}"),
        {r"\text{ L}": 1000},
        ("m", "m^2", "L", "cm^3"),
    ),
    (r"\text{ J}", (r"\,\mathrm{J}", " joules", r"\text{ N·m}"), {r"\text{ mJ}": 1000}, ("W", "kJ", "N", "J/K")),
    (
        r"\text{ N}",
        (r"\,\mathrm{N}", " newtons", r"\ \mathrm{kg\cdot m/s^2}"),
        {r"\text{ mN}": 1000},
        ("J", "kN", "Pa", "kg"),
    ),
    (r"\,\Omega", (r"\ \Omega", r"\text{ ohms}"), {r"\text{ mΩ}": 1000}, ("V", "A", "W")),
    (r"\text{ Hz}", (r"\,\mathrm{Hz}", " hertz"), {r"\text{ mHz}": 1000}, ("kHz", "s", "MHz")),
    (
        r"\ \mu\mathrm{m}",
        (r"\,\mu m", r"\text{ μm}", r"\text{ micrometers}"),
        {r"\text{ nm}": 1000},
        ("mm", "m", "s", "nm"),
    ),
    (r"\text{ mL}", (r"\,\mathrm{mL}", " ml", r"\text{ milliliters}"), {r"\text{ cm}^3": 1}, ("L", "g", "m^3")),
    (r"\text{ feet}", (r"\text{ ft}", " ft"), {r"\text{ inches}": 12}, ("m", "inches", "miles", "ft^2")),
    (
        r"\,\mathrm{mol/L}",
        (r"\text{ mol/L}", r"\ \mathrm{mol\,L^{-1}}"),
        {r"\text{ mmol/L}": 1000},
        ("g/L", "mol", "L"),
    ),
)


def units(random):
    unit, written, smaller, foreign = random.choice(_UNITS)
    number = random.choice([random.randint(11, 99), random.randint(2, 9) + random.choice([0.5, 0.25])])
    text = f"{number:g}"
    same = [text + way for way in written] + [
        text,
        text + unit,
        text + "0" + unit if "." in text else text + ".0" + unit,
    ]
    same += [f"{number * many:g}{small}" for small, many in smaller.items()]
    same += [rf"x = {text}{unit}", rf"\approx {text}{unit}"]
    other = [rf"{text}\text{{ {name}}}" for name in foreign]
    other += [other_digit(random, text) + unit, f"-{text}{unit}", f"{number * 10:g}{unit}", f"{number * 10:g}"]
    other += [rf"{text}{unit}\text{{ or }}{number + 2:g}{unit}", rf"\text{{not }}{text}{unit}"]
    other += [f"{text}{small}" for small, many in smaller.items() if many > 1]
    return stated(text + unit, some(random, same, 8), other)


_COMPOUND = (
    ("hours", "minutes", 60, "h", "min"),
    ("minutes", "seconds", 60, "min", "s"),
    ("feet", "inches", 12, "ft", "in"),
)
_COMPOUND += (("days", "hours", 24, "d", "h"), ("pounds", "ounces", 16, "lb", "oz"))


def compound(random):
    big, small, many, big_short, small_short = random.choice(_COMPOUND)
    first, second = random.sample(range(2, min(many, 12)), 2)
    text = rf"{first}\text{{ {big} }}{second}\text{{ {small}}}"
    same = [
        f"{first} {big} {second} {small}",
        f"{first} {big} and {second} {small}",
        rf"{first}\text{{ {big} and }}{second}\text{{ {small}}}",
        rf"{first} \text{{ {big} }} {second} \text{{ {small}}}",
        rf"{first}\text{{ {big}, }}{second}\text{{ {small}}}",
        rf"{first}\text{{ {big_short} }}{second}\text{{ {small_short}}}",
        rf"{first * many + second}\text{{ {small}}}",
        rf"{first * many + second} {small}",
    ]
    other = [
        rf"{first}\text{{ {big} }}{second + 1}\text{{ {small}}}",
        rf"{first + 1}\text{{ {big} }}{second}\text{{ {small}}}",
        rf"{second}\text{{ {big} }}{first}\text{{ {small}}}",
        rf"{first}\text{{ {big}}}",
        rf"{second}\text{{ {small}}}",
        rf"{first}.{second}\text{{ {big}}}" if second * 10 != many and second != many // 10 else "1",
        f"{first}{second} {small}" if first * 10 + second != first * many + second else "1",
        rf"{first * many + second + 1}\text{{ {small}}}",
    ]
    return stated(text, same, other)


def clock(random):
    hour, minute = random.randint(1, 11), random.choice([5, 12, 15, 20, 25, 35, 40, 45, 55])
    half = random.choice(["", "AM", "PM"])
    if not half:
        text = f"{hour}:{minute:02d}"
        same = [f"{hour}{{:}}{minute:02d}", rf"\text{{{text}}}", f"{hour}:{minute:02d}", rf"{hour} : {minute:02d}"]
        other = [
            f"{hour + 1}:{minute:02d}",
            f"{hour}:{minute + 1:02d}",
            f"{minute:02d}:{hour:02d}",
            f"{hour}{minute:02d}",
            f"{hour}.{minute:02d}",
        ]
        return stated(text, same, other)
    text = f"{hour}:{minute:02d} {half}"
    dotted = ".".join(half.lower()) + "."
    wrong = "PM" if half == "AM" else "AM"
    same = [
        f"{hour}:{minute:02d} {half.lower()}",
        rf"{hour}{{:}}{minute:02d}\text{{ {half}}}",
        rf"{hour}:{minute:02d}\,\text{{{dotted}}}",
        f"{hour}:{minute:02d} {dotted}",
        rf"\text{{{text}}}",
        f"{hour + 12 if half == 'PM' else hour:02d}:{minute:02d}",
    ]
    other = [f"{hour}:{minute:02d} {wrong}", f"{hour + 1}:{minute:02d} {half}", f"{hour}:{minute + 1:02d} {half}"]
    other += [
        rf"{hour}:{minute:02d}\text{{ {'.'.join(wrong.lower())}.}}",
        f"{(hour + 12) if half == 'AM' else hour}:{minute:02d}" if half == "AM" else f"{hour - 1}:{minute:02d}",
    ]
    return stated(random.choice([text, rf"{hour}:{minute:02d}\text{{ {dotted}}}"]), same, other)


def money(random):
    cents = random.randint(105, 99999)
    cents += cents % 10 == 0
    amount, grouped = f"{cents / 100:.2f}", f"{cents / 100:,.2f}"
    reference = random.choice([rf"\${amount}", amount, rf"{amount}\text{{ dollars}}", rf"\${grouped}"])
    same = [
        amount,
        rf"\${amount}",
        rf"{amount}\text{{ dollars}}",
        f"{amount} USD",
        rf"\text{{\$}}{amount}",
        rf"\${grouped}",
        f"${amount}$",
    ]
    if reference != amount:
        same.append(rf"{cents}\text{{ cents}}")
    other = [
        rf"\${cents}",
        other_digit(random, amount),
        rf"-\${amount}",
        rf"\${cents / 1000:.3f}",
        rf"\${amount}\text{{ or }}\${cents / 100 + 1:.2f}",
    ]
    if reference != amount:
        other += [f"€{amount}", f"£{amount}", rf"{amount}\text{{ euros}}", rf"{amount}\text{{ cents}}"]
    return stated(reference, same, other)


MEASURES = {"units": units, "compound quantities": compound, "times of day": clock, "money": money}
