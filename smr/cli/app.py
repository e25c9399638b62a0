"""The `smr` command: all its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback

import typer

from smr import __version__
from smr.cli import check, db, deliver, demo, explain, init, outbox, preview, run, schema
from smr.cli.import_ import import_facts
from smr.cli.say import talk
from smr.cli.test_ import test
from smr.errors import SmrError

app = typer.Typer(
    name="smr",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reminds customers when what they bought runs out. Start with: smr demo, or smr init.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"smr {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Reminds customers when what they bought runs out."""


# Commands are registered here, in the order in which --help lists them.
app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("check")(check.check)
app.command("import")(import_facts)
app.command("plan")(run.plan)
app.command("run")(run.run)
app.command("deliver")(deliver.deliver)
app.add_typer(outbox.app, name="outbox")
app.command("explain")(explain.explain)
app.command("preview")(preview.preview)
app.command("test")(test)
app.command("schema")(schema.give_schema)
app.add_typer(db.app, name="db")


def main() -> None:
    """Run the command line; every expected error ends in its exit code, without a traceback."""
    try:
        app()
    except SmrError as error:
        talk.print(f"error: {error}", markup=False, style="red")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        talk.print("stopped; whatever was finished is kept, and the command can be run again")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        talk.print(f"error: a fault in smr itself ({type(error).__name__})", style="red", markup=False)
        talk.print(f"Please report it with the file {_trace()}", markup=False)
        sys.exit(1)


def _trace() -> str:
    """Write the present exception's trace to a file that only this user can read; its path."""
    descriptor, path = tempfile.mkstemp(prefix="smr-fault-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"smr {__version__}, Python {sys.version}\n{traceback.format_exc()}")
    return path
