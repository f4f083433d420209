"""Pages that need nothing else: how a template becomes one file.

Everything a model wrote is untrusted: templates escape it, and the content policy of ``page.html``, which every page
extends, lets a page load nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from perilune.report.formats import duration, number, percent
from perilune.report.palette import CHART_CSS

_DASH = "–"


def write_page(path: Path, template: str, context: Mapping[str, Any]) -> None:
    """Render a template of this package, such as 'run_page.html', and write the page as a whole."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    formats: dict[str, Callable[[Any], str]] = {
        "percent": percent,
        "number": number,
        "whole": "{:.0f}".format,
        "duration": duration,
    }
    environment.filters.update({name: _shown(form) for name, form in formats.items()})
    # Unknown when the model wrote its text, so no text can carry a script that the page would run.
    frame = {"nonce": secrets.token_urlsafe(16), "css": Markup(CHART_CSS)}
    write_whole(path, environment.get_template(template).render(frame | dict(context)))


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".partial")
    # Text that a model wrote may hold lone surrogates, which UTF-8 cannot say.
    scratch.write_bytes(text.encode("utf-8", errors="replace"))
    scratch.replace(path)


def _source(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _shown(form: Callable[[Any], str]) -> Callable[[Any], str]:
    """The format, with a dash for what was not measured."""
    return lambda value: _DASH if value is None else form(value)
