"""``vlmkit doctor``: does everything that a run needs work here, and if not, what mends it?"""

from __future__ import annotations

import click
from attrs import asdict

from vlmkit.cli.checks import Check, adapters, machine, packages
from vlmkit.cli.main import session
from vlmkit.cli.model_checks import model as model_checks
from vlmkit.cli.output import console, print_json, table


@click.command()
@click.option(
    "--model", default="tiny", show_default=True, help="The model to open: an adapter, a model directory, or a hub id."
)
@click.option("--json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(context: click.Context, model: str, json: bool) -> None:
    """Check the installation and a model.

    Looks at packages, devices, disk, plugins and adapters, opens the model, and puts one question to it for each
    readout. The exit code is 1 if something is broken; what is only missing leaves it 0.
    """
    opened = session(context)
    checks = [*packages(), *machine()]
    problems = [plugin.error for plugin in opened.plugins.failures] + list(opened.failures)
    checks += [Check("plugin", "broken", problem.message, problem.hint) for problem in problems if problem is not None]
    checks += [*adapters(opened.plugins), *model_checks(model, opened.plugins)]
    if json:
        print_json([asdict(check) for check in checks])
    else:
        console().print(
            table(
                ("check", "", "found", "to mend it"),
                ((check.name, check.state, check.found, check.mend) for check in checks),
            )
        )
    if any(check.state == "broken" for check in checks):
        context.exit(1)
