"""``vlmkit hierarchy bottleneck``: probes, text and images side by side."""

from __future__ import annotations

from pathlib import Path

import click

from vlmkit.cli.output import console, note, print_json, table

_FILE = click.Path(path_type=Path)


@click.command()
@click.option(
    "--probe",
    "probes",
    envvar="VLMKIT_HIERARCHY_BOTTLENECK_PROBE",
    type=_FILE,
    metavar="FILE|DIR",
    multiple=True,
    required=True,
    help="Probe results.",
)
@click.option("--text", type=_FILE, metavar="FILE|DIR", help="Results of vlmkit hierarchy eval in text mode.")
@click.option("--image", type=_FILE, metavar="FILE|DIR", help="Results of vlmkit hierarchy eval in image mode.")
@click.option("--site", help="Sites of the probes to show, joined by commas.  [default: all]")
@click.option(
    "--plot",
    "picture",
    envvar="VLMKIT_HIERARCHY_BOTTLENECK_PLOT",
    type=_FILE,
    metavar="FILE",
    help="Draw it too; needs matplotlib.",
)
@click.option("--json", is_flag=True, help="Print JSON.")
@click.option("--markdown", is_flag=True, help="Print Markdown.")
def bottleneck(
    probes: tuple[Path, ...],
    text: Path | None,
    image: Path | None,
    site: str | None,
    picture: Path | None,
    json: bool,
    markdown: bool,
) -> None:
    """Set side by side, level by level, what probes read off a model and what the model answers.

    High vision probes over a low model say that what the model sees is lost on the way to its answer; text beside them
    says how much of the taxonomy it knows by name. --probe may stand several times.
    """
    from vlmkit_hierarchy.probes.bottleneck import report

    made = report(probes, text=text, image=image, sites=None if site is None else site.split(","))
    if picture is not None:
        from vlmkit_hierarchy.probes.plot import plot

        plot(made, picture)
        note(f"drawn in {picture}")
    if json:
        print_json(made.json())
    elif markdown:
        click.echo(made.markdown())
    else:
        console().print(table(made.columns, made.cells))
