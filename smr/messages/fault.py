"""What a template can be refused for, or fail with.

One error type for all of it: whatever is wrong in a template, or goes wrong while it is rendered for
one customer, ends as a `TemplateError` with the line of the template it happened on.
"""

from __future__ import annotations

from smr.errors import OperatorError

SYNTAX = "template_syntax"
NOT_ALLOWED = "template_not_allowed"
VARIABLE = "template_variable"
TOO_LARGE = "template_too_large"
FAILED = "template_failed"


class TemplateError(OperatorError):
    """The template cannot be used.

    `code` is one of the constants above; `line` and `column` count from 1 inside the template (0: unknown).
    """

    def __init__(
        self, code: str, line: int, what: str, fix: str = "", *, column: int = 0, where: str = ""
    ) -> None:
        self.code = code
        self.line = line
        self.column = column
        self.what = what
        self.fix = fix
        self.where = where
        super().__init__(self._text())

    def at(self, where: str) -> TemplateError:
        """The same, saying in which text it is."""
        return TemplateError(self.code, self.line, self.what, self.fix, column=self.column, where=where)

    def _text(self) -> str:
        place = self.where or "template"
        if self.line:
            place += f":{self.line}"
            if self.column:
                place += f":{self.column}"
        return " → ".join(part for part in (place, self.what, self.fix) if part) + f"  [{self.code}]"


class ValueRefused(Exception):  # noqa: N818 - a verdict inside this room, always turned into a TemplateError
    """A value that a filter, an operator or the text itself cannot take; its message says which and why.

    `empty` tells that it is refused for being nothing at all.
    """

    def __init__(self, what: str, fix: str = "", *, empty: bool = False) -> None:
        self.what = what
        self.fix = fix
        self.empty = empty
        super().__init__(what)
