"""A reference with answers that say the same and answers that say something else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stated:
    """What a careful reader takes for the reference, and what not.

    Args:
        reference: the reference, in LaTeX or plain text.
        same: other ways to write it.
        other: near to it, and wrong.
    """

    reference: str
    same: tuple[str, ...]
    other: tuple[str, ...]


def stated(reference, same, other):
    """The record, without what is written twice; a reference of one line is one of its own rewritings."""
    same = tuple(dict.fromkeys(same if "\n" in reference else [reference, *same]))
    return Stated(reference, same, tuple(dict.fromkeys(text for text in other if text not in same)))


def some(random, things, count):
    """A few of them, in their order."""
    things = list(things)
    kept = set(random.sample(range(len(things)), min(count, len(things))))
    return [thing for place, thing in enumerate(things) if place in kept]


def grouped(number, separator):
    """The digits in threes."""
    return f"{number:,}".replace(",", separator)


def other_digit(random, text):
    """The text with one of its digits changed; the first stays no zero."""
    places = [place for place, sign in enumerate(text) if sign.isdigit()]
    place = random.choice(places)
    digit = random.choice([d for d in "123456789" if d != text[place]])
    return text[:place] + digit + text[place + 1 :]
