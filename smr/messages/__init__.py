"""Messages: accepted candidates become text.

In: templates that operators wrote, plain values of one customer. Out: text, or a reason why not, for that
customer alone. Templates run in a sandbox that can only read what it is given (`environment`, `syntax`,
`limits`); a failing one never stops another customer's message.
Imports: the playbooks and what lies beneath; the submodules `check` and `render` are imported by name, so
that the child process of a preview stays small.
"""

from smr.messages.fault import TemplateError
from smr.messages.template import CompiledTemplate, compile_template

__all__ = ["CompiledTemplate", "TemplateError", "compile_template"]
