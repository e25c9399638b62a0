"""A command starts with what it needs, and nothing else."""

from __future__ import annotations

import subprocess
import sys

from smr import __version__

TELL_WHAT_IS_LOADED = """
import sys
from smr.cli.app import main
try:
    main()
finally:
    print(*(name for name in sys.modules if name.startswith("smr")), file=sys.stderr)
"""


def started(*words: str) -> tuple[str, set[str]]:
    """What a command prints, and which modules of smr it has loaded."""
    command = [sys.executable, "-c", TELL_WHAT_IS_LOADED, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout, set(done.stderr.split())


def test_telling_the_version_loads_no_command() -> None:
    printed, loaded = started("--version")
    assert printed == f"smr {__version__}\n"
    assert {name for name in loaded if name.startswith("smr.cli.")} == {"smr.cli.app", "smr.cli.say"}


def test_a_run_loads_neither_backtests_nor_the_daemon_nor_a_broker() -> None:
    printed, loaded = started("run", "-h")
    assert "outbox" in printed
    assert not {"smr.backtest", "smr.simulation", "smr.daemon", "smr.channels.broker"} & loaded
