"""The sandbox: an own subclass of Jinja2's, in which a template can only read what it was given.

In: nothing. Out: `TEXT` and `HTML`, the two environments all templates are compiled in. No loader, no
extension, no global, no call; an attribute means an item of a mapping; every operator, every join and every
printed value goes through `values`. The compiler folds nothing: whatever a template computes, it computes
when it is rendered, under the limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from jinja2 import StrictUndefined, nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from smr.errors import did_you_mean
from smr.messages import values
from smr.messages.fault import ValueRefused
from smr.messages.filters import FILTERS, HTML_FILTERS, TESTS

LOOP_PARTS = frozenset({"first", "last", "index", "index0", "length"})
LOOP_STEPS = 2_000
"""How often all loops of one text may go round, together."""

LOOP_FILTER = "items of a loop"
"""The filter around what a loop goes over; its blanks keep templates from naming it."""

URL_FILTER = "address of a link"


class Missing(StrictUndefined):
    """Something a template names and the data has not: an error wherever it is used, but for `default`."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        hint: str | None = self._undefined_hint
        if hint:
            return hint
        name = str(self._undefined_name)[:60]
        if isinstance(self._undefined_obj, dict):
            hint = did_you_mean(name, [str(key) for key in self._undefined_obj])
            return f"there is no {name!r} here ({hint or 'nothing is known'})"
        if isinstance(self._undefined_obj, list | tuple | str):
            return f"there is no part {name} in {values.kind(self._undefined_obj)}"
        if self._undefined_obj is not None and isinstance(self._undefined_obj, int):
            return f"there is no {name!r} in {values.kind(self._undefined_obj)}"
        return f"there is no {name!r}"


class StrictContext:
    """The values of one rendering, and how many rounds its loops have left.

    The small part of Jinja2's own context that generated code and filters use: theirs costs as much to make
    as a short text to render.
    """

    __slots__ = ("_exported_vars", "_vars", "parent", "steps_left")

    def __init__(self, parent: Mapping[str, Any]) -> None:
        self.parent = parent
        self.steps_left = LOOP_STEPS

    @property
    def vars(self) -> dict[str, Any]:
        """What the template has set; made when it is asked for, since most set nothing."""
        try:
            return self._vars
        except AttributeError:
            self._vars: dict[str, Any] = {}
            return self._vars

    @property
    def exported_vars(self) -> set[str]:
        """The names of what it has set, likewise."""
        try:
            return self._exported_vars
        except AttributeError:
            self._exported_vars: set[str] = set()
            return self._exported_vars

    def resolve_or_missing(self, key: str) -> Any:
        """The value of a name, or Jinja2's mark that there is none."""
        return self.parent.get(key, missing)


class StrictCode(CodeGenerator):
    """Generates code in which nothing is computed behind the sandbox's back."""

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:  # noqa: N802 - named by Jinja2
        """Numbers with a fraction are decimals."""
        if isinstance(node.value, float):
            self.write(f"environment.decimal({str(node.value)!r})")
        else:
            super().visit_Const(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - named by Jinja2
        """The ~ operator prints its parts like everything that is printed."""
        self.write("environment.glue((")
        for one in node.nodes:
            self.visit(one, frame)
            self.write(", ")
        self.write("))")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802 - named by Jinja2
        """Slices go through the sandbox too."""
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.cut(")
        self.visit(node.node, frame)
        for part in (node.arg.start, node.arg.stop, node.arg.step):
            self.write(", ")
            if part is None:
                self.write("None")
            else:
                self.visit(part, frame)
        self.write(")")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802 - named by Jinja2
        """Whether two values are the same is asked of the sandbox; < and > fail by themselves."""
        operator = node.ops[0].op
        if operator not in {"eq", "ne"}:
            super().visit_Compare(node, frame)
            return
        self.write("environment.same(" if operator == "eq" else "(not environment.same(")
        self.visit(node.expr, frame)
        self.write(", ")
        self.visit(node.ops[0].expr, frame)
        self.write(")" if operator == "eq" else "))")

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802 - named by Jinja2
        """A part that a group of values has is read on the spot; all else is asked of the sandbox."""
        if not isinstance(node.node, nodes.Name):
            super().visit_Getattr(node, frame)
            return
        group, part = frame.symbols.ref(node.node.name), repr(node.attr)
        self.write(f"({group}[{part}] if type({group}) is dict and {part} in {group} else ")
        super().visit_Getattr(node, frame)
        self.write(")")

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        """A short text is printed as it is; all else is asked of the sandbox."""
        self._printed = self.temporary_identifier()
        opened = "escape(" if frame.eval_ctx.autoescape else "("
        self.write(f"{opened}{self._printed} if type({self._printed} := ")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        short = f"len({self._printed}) <= {values.TEXT_LENGTH}"
        self.write(f") is str and {short} else environment.show({self._printed}))")


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment all templates of one kind are compiled in."""

    code_generator_class = StrictCode
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset({"+", "-"})
    show = staticmethod(values.shown)
    glue = staticmethod(values.glued)
    same = staticmethod(values.same)

    def __init__(self, *, html: bool) -> None:
        super().__init__(undefined=Missing, autoescape=html, optimized=False, auto_reload=False, cache_size=0)
        self.html = html
        self.globals.clear()
        known = {**FILTERS, **HTML_FILTERS} if html else FILTERS
        self.filter_specs = known
        self.filters = {name: known[name].call for name in known}
        self.filters[LOOP_FILTER] = _loop_items
        self.filters[URL_FILTER] = _link_address
        self.tests = dict(TESTS)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """The item of a mapping, or one of the few parts of `loop`; never a Python attribute."""
        if type(obj) is dict:
            try:
                return obj[attribute]
            except KeyError:
                return Missing(obj=obj, name=attribute)
        if type(obj) is LoopContext and attribute in LOOP_PARTS:
            return getattr(obj, attribute)
        return self._nothing(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """The item of a mapping by its key, of a list or text by its number."""
        if type(obj) is dict and type(argument) is str:
            return self.getattr(obj, argument)
        if type(argument) is int and (type(obj) is str or isinstance(obj, list | tuple)):
            try:
                return obj[argument]
            except IndexError:
                return Missing(obj=obj, name=str(argument))
        return self._nothing(obj, argument)

    def _nothing(self, obj: Any, name: Any) -> Undefined:
        if isinstance(obj, Undefined):
            return obj
        if obj is None:
            return Missing(hint=f"there is no value that could have a {str(name)[:60]!r}")
        return Missing(hint=f"{values.kind(obj)} has no part {str(name)[:60]!r}")

    def cut(self, obj: Any, start: Any, stop: Any, step: Any) -> Any:
        """A slice of a text or list."""
        if isinstance(obj, Undefined):
            obj._fail_with_undefined_error()
        if not isinstance(obj, list | tuple | str):
            raise ValueRefused(f"cannot take a slice of {values.kind(obj)}")
        if isinstance(obj, str):
            values.unmarked(obj)
        if any(type(part) is not int for part in (start, stop, step) if part is not None) or step == 0:
            raise ValueRefused("a slice needs whole numbers, such as [:5]")
        return obj[start:stop:step]

    def decimal(self, text: str) -> Any:
        """A number written in the template."""
        return values.number(float(text))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Operators: on numbers, and + on two short texts."""
        for side in (left, right):
            if isinstance(side, Undefined):
                side._fail_with_undefined_error()
        return values.computed(operator, left, right)

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        """Signs before numbers."""
        if isinstance(arg, Undefined):
            arg._fail_with_undefined_error()
        return values.negated(operator, arg)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> NoReturn:
        """Nothing can be called."""
        raise ValueRefused("nothing can be called in a message")


@pass_context
def _loop_items(context: StrictContext, value: Any) -> Any:
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if not isinstance(value, list | tuple):
        fix = "add | default([])" if value is None else ""
        raise ValueRefused(f"a loop goes over a list, found {values.kind(value)}", fix)
    if len(value) > values.LIST_LENGTH:
        raise ValueRefused(f"a list of {len(value):,}; at most {values.LIST_LENGTH} fit in a message")
    context.steps_left -= len(value)
    if context.steps_left < 0:
        raise ValueRefused(f"the loops go round more than {LOOP_STEPS:,} times")
    return value


def _link_address(value: Any) -> str:
    text = values.shown(value)
    if not text.lower().startswith(("http://", "https://", "mailto:", "tel:", "weixin://", "/", "#")):
        raise ValueRefused(f"{text[:30]!r} is not the address of a link", "it begins with https://")
    return text


TEXT = Sandbox(html=False)
HTML = Sandbox(html=True)
