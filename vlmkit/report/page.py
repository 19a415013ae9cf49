"""One HTML file that needs nothing else and lets nothing in: no network, no script but its own."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vlmkit import __version__
from vlmkit.report import charts
from vlmkit.report.confusions import confusions
from vlmkit.report.curves import charts as charts_of
from vlmkit.report.figures import Figures, round_figures
from vlmkit.report.page_data import PageData
from vlmkit.report.subject import Outcome, Subject

MARK = '<meta name="generator" content="vlmkit report">'
"""What a page says of its origin."""

_SCRIPTS = ("dom", "data", "theme", "filters", "bracket", "details", "gallery", "branches", "main")
"""The scripts, in the order in which they need each other."""

_IN_SCRIPTS = str.maketrans({mark: f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"})


def page(subjects: Sequence[Subject], data: PageData, *, title: str) -> str:
    """Return the page as text.

    Args:
        subjects: The runs, in the order in which they are shown.
        data: What its scripts read.
        title: Its heading.
    """
    style = _asset("report.css")
    script = "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    environment = Environment(
        loader=PackageLoader("vlmkit.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["script_json"] = script_json
    shared, differing = _facts(subjects)
    return environment.get_template("page.html.jinja").render(
        mark=Markup(MARK),
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        title=title,
        version=__version__,
        runs=[(one, Figures.of(one), round_figures(one), confusions(one)) for one in subjects],
        shared=shared,
        differing=differing,
        area=charts,
        charts=charts_of(subjects),
        outcomes=list(Outcome),
        data=data,
    )


def script_json(value: Any) -> Markup:
    """Return JSON that can stand in a ``<script>``: nothing in it ends the script or begins a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_IN_SCRIPTS))


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: its own style and script by their hashes, pictures within the page."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def _facts(subjects: Sequence[Subject]) -> tuple[dict[str, str], list[str]]:
    """Return the facts that all runs share, and the names of those in which they differ."""
    facts = [subject.facts for subject in subjects]
    names = list(dict.fromkeys(name for one in facts for name in one))
    shared = [name for name in names if len({one.get(name) for one in facts}) == 1]
    return {name: facts[0][name] for name in shared}, [name for name in names if name not in shared]
