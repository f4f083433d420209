"""References of several values, and words, with their rewritings."""

from stated import some, stated


def pair(random):
    first, second = random.sample(range(-9, 15), 2)
    text = f"({first},{second})"
    same = [
        f"({first}, {second})",
        rf"\left({first}, {second}\right)",
        f"(x,y)=({first},{second})",
        f"x={first}, y={second}",
        rf"x = {first} \text{{ and }} y = {second}",
        f"y={second}, x={first}",
        f"( {first} , {second} )",
    ]
    other = [
        f"({second},{first})",
        f"({first},{second + 1})",
        f"({-first - 1},{second})",
        f"x={second}, y={first}",
        f"({first})",
    ]
    other += [
        f"({first},{second},0)",
        f"{first}",
        f"{first}.{abs(second)}",
        f"(x,y)=({second},{first})",
        f"({first},{second}),({second},{first})",
    ]
    return stated(random.choice([text, same[0], same[2]]), same, other)


def triple(random):
    one, two, three = random.sample(range(-6, 12), 3)
    text = f"({one}, {two}, {three})"
    same = [
        f"({one},{two},{three})",
        f"(x,y,z)=({one},{two},{three})",
        f"x={one}, y={two}, z={three}",
        f"z={three}, x={one}, y={two}",
    ]
    other = [
        f"({two},{one},{three})",
        f"({one},{three},{two})",
        f"({one},{two})",
        f"({one},{two},{three + 1})",
        f"({-one - 1},{two},{three})",
    ]
    other += [f"x={two}, y={one}, z={three}", f"({one},{two},{three},0)"]
    return stated(text, same, other)


def named(random):
    names = random.choice(["xy", "ab", "mn", "pq"])
    first, second = random.sample(range(-9, 15), 2)
    a, b = names
    text = f"{a}={first}, {b}={second}"
    same = [
        f"{a} = {first}, {b} = {second}",
        f"{b}={second}, {a}={first}",
        rf"{b} = {second},\ {a} = {first}",
        rf"{a}={first} \text{{ and }} {b}={second}",
        f"{a} = {first} and {b} = {second}",
        f"({first}, {second})",
        f"{first}, {second}",
        f"{a}={first}; {b}={second}",
        rf"{a}={first},\quad {b}={second}",
        rf"\begin{{cases}} {a}={first} \\ {b}={second} \end{{cases}}",
    ]
    other = [
        f"{a}={second}, {b}={first}",
        f"{b}={first}, {a}={second}",
        f"({second}, {first})",
        f"{second}, {first}",
        f"{a}={first}",
        f"{a}={first}, {b}={second + 1}",
        f"{a.upper()}={first}, {b}={second}",
        f"{a}={first}, c={second}",
        f"{a}={first}, {b}={second}, c=1",
        f"{a}={first}, {a}={second}",
    ]
    return stated(text, some(random, same, 8), other)


def listed(random):
    values = random.sample(range(-9, 30), random.choice([2, 3, 4]))
    shuffled = values[1:] + values[:1]
    written = [str(value) for value in values]
    text = ", ".join(written)
    same = [
        ",".join(map(str, shuffled)),
        rf"\{{{', '.join(map(str, shuffled))}\}}",
        ", ".join(written[:-1]) + rf" \text{{ and }} {written[-1]}",
        ", ".join(written[:-1]) + f" and {written[-1]}",
        r" \text{ or } ".join(f"x={value}" for value in shuffled),
        ", ".join(f"x={value}" for value in values),
        ", ".join(f"x_{place}={value}" for place, value in enumerate(values, 1)),
        f"x = {text}",
        "; ".join(written),
        rf"x \in \{{{text}\}}",
        r",\ ".join(written),
    ]
    other = [
        ", ".join(written[:-1]),
        ", ".join([*written[:-1], str(values[-1] + 40)]),
        ", ".join([*written, "77"]),
        str(sum(values) + 500),
        written[0],
        ", ".join([*written[:-1], written[0]]),
        "+".join(written) + " + 100",
        rf"{written[0]} \text{{ or }} 78",
        f"{min(values)} < x < {max(values)}",
    ]
    reference = random.choice([text, rf"\{{{text}\}}", r" \text{ or } ".join(f"x={value}" for value in values)])
    return stated(reference, some(random, same, 8), other)


def points(random):
    numbers = random.sample(range(-6, 12), 4)
    one, two = numbers[:2], numbers[2:]
    text = f"({one[0]},{one[1]}), ({two[0]},{two[1]})"
    same = [
        f"({two[0]},{two[1]}),({one[0]},{one[1]})",
        rf"({one[0]},{one[1]}) \text{{ and }} ({two[0]},{two[1]})",
        rf"\{{({one[0]},{one[1]}),({two[0]},{two[1]})\}}",
        rf"({two[0]}, {two[1]}) \text{{ or }} ({one[0]}, {one[1]})",
        f"(x,y) = ({one[0]},{one[1]}), ({two[0]},{two[1]})",
    ]
    other = [
        f"({one[1]},{one[0]}),({two[1]},{two[0]})",
        f"({one[0]},{one[1]})",
        f"({one[0]},{two[1]}),({two[0]},{one[1]})",
        f"({one[0]},{one[1]},{two[0]},{two[1]})",
        f"({one[0]},{one[1]}),({two[0]},{two[1] + 1})",
    ]
    return stated(text, same, other)


def signs(random):
    number = random.choice(["3", "7", r"\sqrt{5}", r"2\sqrt{3}", r"\frac{1}{2}"])
    middle = random.choice(["", "2", "-1", "4"])
    text = rf"{middle} \pm {number}".strip()
    same = [
        rf"{middle}+{number}, {middle}-{number}",
        rf"{middle} - {number} \text{{ or }} {middle} + {number}",
        rf"x = {text}",
    ]
    same += [
        rf"x = {middle}+{number} \text{{ or }} x = {middle}-{number}",
        rf"\{{{middle}-{number}, {middle}+{number}\}}",
    ]
    other = [
        f"{middle}+{number}",
        f"{middle}-{number}",
        rf"{middle} \pm 2{number}" if number[0] == "\\" else rf"{middle} \pm {number}9",
    ]
    other += [rf"9 \pm {number}", f"{middle}+{number}, {middle}+{number}", rf"{number} \pm {middle or 5}"]
    return stated(text, same, other)


_WORDS = (
    "Tuesday",
    "Saturday",
    "red",
    "isosceles",
    "ellipse",
    "Evelyn",
    "Marcus",
    "even",
    "odd",
    "east",
    "Neptune",
    "triangle",
)


def words(random):
    word, stranger = random.sample(_WORDS, 2)
    same = [
        word.lower(),
        word.capitalize(),
        rf"\text{{{word}}}",
        rf"\textbf{{{word}}}",
        rf"\text{{ {word} }}",
        rf"\mathrm{{{word}}}",
    ]
    same += [f"{word}."]
    other = [
        stranger,
        rf"\text{{{stranger}}}",
        word[1:] + word[0],
        word[::-1] + "s",
        word[:-1] or "q",
        rf"\text{{not {word}}}",
    ]
    other += [rf"\text{{{word} or {stranger}}}", f"{word} and {stranger}", f"{word}, {stranger}", "7"]
    return stated(random.choice([word, rf"\text{{{word}}}"]), same, other)


def letters(random):
    name = "".join(random.sample("ABCDEPQRST", random.choice([3, 4])))
    turned = name[1:] + name[0]
    before = random.choice(["", r"\triangle ", r"\angle "])
    if not before:
        same, other = (
            [rf"\text{{{name}}}", rf"\mathrm{{{name}}}"],
            [rf"\text{{{turned}}}", turned, name.lower(), name[::-1]],
        )
        return stated(name, same, [*other, name[:-1], name + "F"])
    other = [name[:-1] + "F", turned[:-1] + "F", name.replace(name[0], "F")]
    return stated(
        before + name, [before.strip() + f" {name}", f"{before}{{{name}}}"], [before + text for text in other]
    )


def answers_of_tests(random):
    letter, wrong = random.sample("ABCDE", 2)
    same = [
        letter,
        f"({letter})",
        rf"\text{{{letter}}}",
        rf"\text{{({letter})}}",
        rf"\textbf{{({letter})}}",
        rf"\mathbf{{{letter}}}",
        f"{letter}.",
    ]
    other = [
        wrong,
        f"({wrong})",
        rf"\text{{{letter} or {wrong}}}",
        f"{letter}, {wrong}",
        rf"\text{{not {letter}}}",
        rf"\textbf{{({wrong})}}",
        letter + wrong,
    ]
    return stated(random.choice(same[:4]), same, other)


def yes_or_no(random):
    right, wrong = random.choice([("Yes", "No"), ("No", "Yes"), ("True", "False"), ("False", "True")])
    same = [right.lower(), rf"\text{{{right}}}", right.upper(), rf"\textbf{{{right}}}", f"{right}."]
    other = [
        wrong,
        rf"\text{{{wrong}}}",
        f"not {right.lower()}",
        f"{right} or {wrong}",
        right[0] + "q",
        f"{right} and {wrong}",
    ]
    return stated(right, same, other)


SEVERAL = {
    "pairs": pair,
    "triples": triple,
    "named values": named,
    "lists and sets": listed,
    "lists of points": points,
    "both signs": signs,
    "words": words,
    "letters": letters,
    "multiple choice": answers_of_tests,
    "yes or no": yes_or_no,
}
