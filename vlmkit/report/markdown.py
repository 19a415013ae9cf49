"""A report as Markdown tables, to go into a page or a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from vlmkit.report.confusions import confusions
from vlmkit.report.figures import Figures, round_figures
from vlmkit.report.subject import Subject

MARK = "<!-- vlmkit report -->"
"""What the text says of its origin."""

_MEANS_SOMETHING = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$^-])")


def markdown(subjects: Sequence[Subject], *, title: str) -> str:
    """Return the figures of the runs as text, without the examples."""
    # Not HTML: the filter ``cell`` escapes.
    environment = Environment(
        loader=PackageLoader("vlmkit.report", "assets"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = cell
    return environment.get_template("report.md.jinja").render(
        mark=MARK,
        title=title,
        runs=[(one, Figures.of(one), round_figures(one), confusions(one)) for one in subjects],
    )


def cell(value: object) -> str:
    """Return text that Markdown shows as it is, in one line."""
    return _MEANS_SOMETHING.sub(r"\\\1", " ".join(str(value).split()))
