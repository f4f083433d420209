"""Answers that show whether a reward judges at all: it must not take them for right."""

from __future__ import annotations

NONSENSE = ("-918273.645", "qwertz uiop", "[918273, -645]")
"""A number, words and a list that no problem has as its answer."""

OPPOSITES = (("yes", "no"), ("(1 + 7) * (4 - 1)", "(2 + 6) * (9 - 6)"))
"""Pairs of which no problem takes both: of the expressions each makes 24, from other numbers."""
