"""CYaRon, the library that generators use: as a language of the sandbox, and explained to a model.

CYaRon is LGPL-3.0 and only ever runs as a package of its own, inside the sandbox.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from perilune.errors import BackendUnavailable
from perilune.sandbox.languages import LANGUAGES
from perilune.sandbox.programs import Language, Program

GENERATOR = "cyaron"
"""The language that generators are run in."""
_PACKAGES = ("cyaron", "xeger", "colorful")

USAGE = """\
CYaRon is a Python library that makes random test data. `from cyaron import *` gives you:

Numbers
  randint(a, b)                   a whole number from a to b, both included
  uniform(a, b), choice(list)     as in Python's random module
Lists and points
  Vector.random(n, [(a, b)])      n DIFFERENT values from a to b; mind: each value is itself a list, [[3], [8], [5]],
                                  so write [v[0] for v in Vector.random(n, [(a, b)])]
  Vector.random(n, [(a, b), (c, d)])   n different points [x, y]
  Vector.random(n, [(a, b)], 1)   the same with repeats allowed; 2 in place of 1 gives real numbers
  A bare number m in place of (a, b) means 0 to m. Asking for more different values than there are is an error.
  For a plain list with repeats, [randint(a, b) for _ in range(n)] is simplest.
Strings
  String.random(n, charset="abc")       n letters; (a, b) in place of n draws the length too
  String.random_sentence(n)             n words
Trees and graphs; nodes are 1 to n
  Graph.tree(n), Graph.chain(n), Graph.flower(n), Graph.binary_tree(n)
  Graph.graph(n, m)                     m edges; self_loop=False, repeated_edges=False make it simple
  Graph.connected(n, m)                 the same, and connected
  Graph.DAG(n, m)                       directed, without cycles
  directed=True makes a graph directed; weight_limit=(a, b) draws the weights.
  Mind: printing a graph prints "u v w" for each edge, ALWAYS with a weight. Without weights:
      print(graph.to_str(output=Edge.unweighted_edge))
  for e in graph.iterate_edges(): e.start, e.end, e.weight gives each edge once.
  Mind: labels are in topological order, and edges come by their start. Node 1 is the root, every parent is smaller than
  its children, a chain is 1 2 3, an edge of a DAG goes from a smaller to a larger node. Wrong solutions that rely on
  such an order would pass. Unless the statement promises one, shuffle labels, edges and the ends of undirected edges:
      print(graph.to_str(shuffle=True))
      print(graph.to_str(shuffle=True, output=Edge.unweighted_edge))
  Where you print something else, such as the parent of each node, rename the nodes yourself; here 1 stays the root:
      import random
      new = [0, 1] + random.sample(range(2, n + 1), n - 1)
      parent = [0] * (n + 1)
      for e in tree.iterate_edges(): parent[new[e.end]] = new[e.start]
Geometry
  Polygon.convex_hull(n, fx=..., fy=...).points

Print with print(). Leave the classes IO and Compare alone: they write files.
"""


def generator_prompt(statement: str, cases: int) -> str:
    """What a model is asked: to write a generator for a problem.

    Args:
        statement: of the problem, with its input format and limits.
        cases: how many inputs the generator will be asked for.
    """
    return f"""\
Write a Python program that generates test inputs for the programming problem below, with the library CYaRon.

{USAGE}
How your program is run
  It is run {cases} times. Each time, standard input holds the number of the case, from 1 to {cases}: k = int(input()).
  It prints one whole test input, exactly in the problem's input format, and nothing else.
  Random numbers are seeded before it starts, differently for each case. Do not seed them yourself, and use neither the
  time nor anything else that changes from run to run: a case must come out the same when it is made again.
  Keep to every limit of the statement. Let the first cases be the smallest and the edge cases, later ones larger and
  varied, the last ones as large as the limits allow; each should be different.

The problem
{statement.strip()}

Think briefly about which inputs would expose wrong solutions. End with the program in one ```python block.
"""


@contextmanager
def generator_language() -> Iterator[Language]:
    """The language of generators: Python with CYaRon to import, and nothing else of this environment.

    Raises:
        BackendUnavailable: CYaRon is not installed.
    """
    with TemporaryDirectory(prefix="perilune-cyaron-") as folder:
        Path(folder).chmod(0o755)
        for name in _PACKAGES:
            found = importlib.util.find_spec(name)
            if found is None or found.origin is None:
                raise BackendUnavailable(
                    f"test cases are generated with CYaRon, and the package {name} is not installed: "
                    "pip install 'perilune[code]'"
                )
            shutil.copytree(
                Path(found.origin).parent, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        python = LANGUAGES["python"]
        yield replace(python, name=GENERATOR, folders=(*python.folders, folder))


def generator_program(source: str) -> Program:
    """A generator as it is run: its random numbers are seeded by the number of its case."""
    return Program(GENERATOR, _SEEDED.format(source=source))


_SEEDED = """\
import io
import random
import sys

given = sys.stdin.read()
sys.stdin = io.StringIO(given)
random.seed(int(given))
exec(compile({source!r}, "<generator>", "exec"), {{"__name__": "__main__"}})
"""
