"""`smr daemon`: do everything at its time, until told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from smr import logs
from smr.cli.shop import ConfigOption
from smr.errors import OperatorError


def daemon(
    config: ConfigOption = None,
    log_format: Annotated[
        str, typer.Option("--log-format", help="json or text; text in a terminal where not said.")
    ] = "",
) -> None:
    """Import, decide, send, watch and clean up at the times config.yaml says, until told to stop.

    Any number may run at once: each thing is done once, and the sending is shared. SIGTERM finishes what is
    in hand and ends; SIGHUP takes up changed files, as the daemon also does by itself.
    """
    if log_format not in ("", "json", "text"):
        raise OperatorError(f"--log-format: {log_format!r} is not known; write json or text")
    from smr.daemon import serve

    logs.set_up(as_json=None if not log_format else log_format == "json")
    raise typer.Exit(serve(config))
