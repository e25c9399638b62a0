"""Every error smr raises on purpose.

    SmrError                 something smr can explain; exit code 1
    ├── OperatorError        wrong input: config, playbook, import file, usage; exit code 2
    │   └── FaultsError      the same, with the list of all faults and their places
    ├── StateError           the database is not in a state that allows this; exit code 1
    │   └── DatabaseRefusedError   the database itself refused: busy, full, gone
    └── ChannelError         a provider did not take a message; `permanent` tells whether to try again

The class docstring is the default message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum


class SmrError(Exception):
    """smr could not do this."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class OperatorError(SmrError):
    """The input cannot be used."""

    exit_code = 2


class StateError(SmrError):
    """The database does not allow this now."""


class DatabaseRefusedError(StateError):
    """The database refused; its sentence is smr's own and holds nothing of a customer."""


@dataclass(frozen=True, order=True)
class Fault:
    """One thing wrong in an operator's input: where it is, what it is, what to do.

    `line` and `column` count from 1; 0 means unknown. `path` is the way inside the document,
    such as ``steps[1] → send``. `code` is stable and in English, for machines.
    """

    file: str
    line: int
    column: int
    path: str
    code: str
    what: str
    fix: str = ""
    warning: bool = False

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}"
            if self.column:
                place += f":{self.column}"
        parts = [part for part in (place, self.path, self.what, self.fix) if part]
        return " → ".join(parts) + f"  [{self.code}]"


class FaultsError(OperatorError):
    """The input has faults."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class Refusal(StrEnum):
    """Why a channel did not take a message (closed list)."""

    UNREACHABLE = "unreachable"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    UNAUTHORIZED = "unauthorized"
    IN_DOUBT = "in_doubt"


class ChannelError(SmrError):
    """The channel did not take the message."""

    def __init__(
        self, refusal: Refusal, detail: str = "", *, permanent: bool, retry_after: float = 0
    ) -> None:
        self.refusal = refusal
        self.permanent = permanent
        self.retry_after = retry_after
        super().__init__(detail or refusal.value)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint naming the known word nearest to `word`, or the first few known words."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if not known:
        return ""
    shown = ", ".join(sorted(known)[:12])
    return f"known here: {shown}" + (", …" if len(known) > 12 else "")
