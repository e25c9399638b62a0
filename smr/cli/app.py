"""The `smr` command: all its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import traceback
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from smr import __version__
from smr.cli.say import talk
from smr.errors import SmrError
from smr.garbage import look_rarely

COMMANDS = {
    "demo": "smr.cli.demo:demo",
    "init": "smr.cli.init:init",
    "gallery": "smr.cli.gallery:gallery",
    "check": "smr.cli.check:check",
    "import": "smr.cli.import_:import_facts",
    "calendar": "smr.cli.calendar:show_calendar",
    "plan": "smr.cli.run:plan",
    "run": "smr.cli.run:run",
    "deliver": "smr.cli.deliver:deliver",
    "daemon": "smr.cli.daemon:daemon",
    "status": "smr.cli.status:status",
    "channels": "smr.cli.channels:app",
    "outbox": "smr.cli.outbox:app",
    "policy": "smr.cli.policy:policy",
    "segments": "smr.cli.segments:app",
    "handovers": "smr.cli.handovers:app",
    "explain": "smr.cli.explain:explain",
    "preview": "smr.cli.preview:preview",
    "export-sql": "smr.cli.export_sql:export_sql",
    "candidates": "smr.cli.candidates:app",
    "test": "smr.cli.test_:test",
    "backtest": "smr.cli.backtest:backtest",
    "simulate": "smr.cli.simulate:simulate",
    "learn": "smr.cli.learn:learn",
    "rebuild": "smr.cli.run:rebuild",
    "schema": "smr.cli.schema:give_schema",
    "db": "smr.cli.db:app",
}
"""Each command and where it is written, in the order in which --help lists them."""


def build(names: Iterable[str] = tuple(COMMANDS)) -> typer.Typer:
    """The command line with these commands; only their modules are loaded, which makes each start quicker."""
    built = typer.Typer(
        name="smr",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Reminds customers when what they bought runs out. Start with: smr demo, or smr init.",
    )
    built.callback()(about)
    for name in names:
        module, attribute = COMMANDS[name].split(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            built.add_typer(found, name=name)
        else:
            built.command(name)(found)
    return built


def __getattr__(name: str) -> typer.Typer:
    """`app`: the whole command line, for those who want all of it."""
    if name != "app":
        raise AttributeError(name)
    return build()


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"smr {__version__}")
        raise typer.Exit


def about(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="The configuration file, for whatever command follows."),
    ] = None,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Reminds customers when what they bought runs out."""
    if config is not None:
        context.default_map = _Everywhere(config=config)


class _Everywhere(dict[str, Any]):
    """Default values for a command and whatever commands lie below it."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value of an option; below a command, the same values again."""
        return super().get(key, self if key in COMMANDS or key in BELOW else default)


BELOW = frozenset(
    {
        "close",
        "list",
        "moves",
        "overlap",
        "test",
        "try",
        "why",
        "show",
        "states",
        "cancel",
        "retry",
        "upgrade",
        "check",
        "backup",
        "distribute",
    }
)
"""Commands of command groups."""


def main() -> None:
    """Run the command line; every expected error ends in its exit code, without a traceback."""
    asked = sys.argv[1:2]
    try:
        app = _loaded(_needed(asked))
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


def _needed(asked: list[str]) -> Iterable[str]:
    """The commands to load for what is asked first: that one; none to tell the version; else all."""
    if asked == ["--version"]:
        return ()
    return asked if asked and asked[0] in COMMANDS else COMMANDS


def _loaded(names: Iterable[str]) -> typer.Typer:
    """The command line. What loading makes lasts, so that looking through it for garbage is in vain."""
    gc.disable()
    try:
        return build(names)
    finally:
        look_rarely()
        gc.enable()


def _trace() -> str:
    """Write the present exception's trace to a file that only this user can read; its path."""
    descriptor, path = tempfile.mkstemp(prefix="smr-fault-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"smr {__version__}, Python {sys.version}\n{traceback.format_exc()}")
    return path
