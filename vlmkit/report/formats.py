"""The forms that a report can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from attrs import frozen

from vlmkit.errors import UserError
from vlmkit.report import markdown, page, table
from vlmkit.report.page_data import PageData
from vlmkit.report.pictures import Thumbnails
from vlmkit.report.subject import Subject


@frozen
class Report:
    """What a report is about, and what is in it.

    Args:
        title: Its heading.
        subjects: The runs, in order.
        thumbnails: Makes the pictures of a page.
        brackets: Most examples of a run whose questions a page shows in full.
    """

    title: str
    subjects: Sequence[Subject]
    thumbnails: Thumbnails
    brackets: int


@frozen
class Format:
    """A form that a report can have.

    Args:
        name: Its name, which is the suffix of its files.
        render: Returns a report in this form.
        is_own: Whether a file of this form is a report of ours.
        check: Makes sure that it can be written here.
        text: Whether it is text, fit for a terminal.
    """

    name: str
    render: Callable[[Report], bytes]
    is_own: Callable[[Path], bool]
    check: Callable[[], None] = lambda: None
    text: bool = True


_HEAD = 2000
"""Bytes at the beginning of a file in which its mark stands."""


def _says(mark: str) -> Callable[[Path], bool]:
    def says(path: Path) -> bool:
        with path.open("rb") as file:
            return mark.encode() in file.read(_HEAD)

    return says


def _html(report: Report) -> bytes:
    data = PageData.of(report.subjects, report.thumbnails.of(report.subjects), report.brackets)
    return _utf8(page.page(report.subjects, data, title=report.title))


def _md(report: Report) -> bytes:
    return _utf8(markdown.markdown(report.subjects, title=report.title))


def _csv(report: Report) -> bytes:
    return _utf8(table.as_csv(report.subjects))


def _parquet(report: Report) -> bytes:
    return table.as_parquet(report.subjects)


def _utf8(text: str) -> bytes:
    # File names that are not UTF-8 are lone surrogates.
    return text.encode("utf-8", "backslashreplace")


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        form.name: form
        for form in (
            Format("html", _html, _says(page.MARK)),
            Format("md", _md, _says(markdown.MARK)),
            Format("csv", _csv, _says(table.CSV_MARK)),
            Format("parquet", _parquet, table.is_own_parquet, table.check_parquet, text=False),
        )
    }
)
"""The forms by name."""


def format_of(name: str | None, path: Path | None) -> Format:
    """Return the form that was asked for by name, else by the suffix of the file, else HTML.

    Raises:
        UserError: The suffix is none of a form's.
    """
    suffix = path.suffix.removeprefix(".").lower() if path is not None and str(path) != "-" else "html"
    wanted = {"htm": "html", "markdown": "md"}.get(suffix, suffix) if name is None else name
    if wanted not in FORMATS:
        raise UserError(f"no report can be written as {path}", hint=f"name it .{', .'.join(FORMATS)}, or give --format")
    return FORMATS[wanted]
