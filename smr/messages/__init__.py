"""Messages: accepted candidates become text.

In: templates that operators wrote, plain values of one customer. Out: text, or a reason why not, for that
customer alone. Templates run in a sandbox that can only read what it is given (`environment`, `syntax`,
`limits`); a failing one never stops another customer's message.
Imports: conditions and what lies beneath. The names that need the database are loaded when they are first
asked for, so that the child process of a preview stays small.
"""

from typing import TYPE_CHECKING, Any

from smr.messages.fault import TemplateError
from smr.messages.template import CompiledTemplate, compile_template

if TYPE_CHECKING:
    from smr.messages.check import check_library
    from smr.messages.rendering import FailedMessage, RenderedMessage, message_id, render

_LATER = {
    "check_library": "check",
    "render": "rendering",
    "message_id": "rendering",
    "RenderedMessage": "rendering",
    "FailedMessage": "rendering",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


__all__ = [
    "CompiledTemplate",
    "FailedMessage",
    "RenderedMessage",
    "TemplateError",
    "check_library",
    "compile_template",
    "message_id",
    "render",
]
