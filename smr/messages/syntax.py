"""The allow-list of syntax, and what a template says by its syntax alone.

In: a parsed template (its text has passed `limits`). Out: the same tree, made safe to loop over, with what it
uses (`Uses`); or TemplateError. What is not on the list is refused with the line and what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from unicodedata import normalize

from jinja2 import nodes

from smr.errors import did_you_mean
from smr.messages.environment import LOOP_FILTER, LOOP_PARTS, URL_FILTER, Sandbox
from smr.messages.fault import NOT_ALLOWED, TOO_LARGE, VARIABLE, TemplateError
from smr.messages.filters import Filter
from smr.messages.markup import Place

NODES = 600
FOR_DEPTH = 2
IF_DEPTH = 10

ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem,
    nodes.Slice, nodes.Filter, nodes.Test, nodes.If, nodes.For, nodes.Assign, nodes.Compare, nodes.Operand,
    nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod,
    nodes.Neg, nodes.Pos, nodes.Concat, nodes.CondExpr, nodes.List, nodes.Tuple,
)  # fmt: skip

REFUSED: dict[type[nodes.Node], tuple[str, str]] = {
    nodes.Call: ("nothing can be called in a message", "filters are written with a bar: {{ name | upper }}"),
    nodes.Pow: ("** cannot be used in a message", "multiply instead"),
    nodes.Dict: ("a group of values in braces cannot be written in a message", ""),
    nodes.Keyword: ("arguments of filters have no names", "write only the value: truncate(10)"),
    nodes.AssignBlock: ("{% set %} needs a value on the same line", "write {% set name = … %}"),
    nodes.NSRef: ("{% set %} takes a plain name", "write {% set name = … %}"),
}
RESERVED = frozenset({"self", "loop", "caller", "varargs", "kwargs", "super", "environment", "context"})


@dataclass
class Uses:
    """What a template uses, found from its syntax."""

    names: dict[str, int] = field(default_factory=dict)
    """dotted path → first line, of everything that comes from outside"""
    unguarded: dict[str, int] = field(default_factory=dict)
    """paths printed without a default and outside a condition on them → first line"""
    loops: bool = False


def check_tree(tree: nodes.Template, sandbox: Sandbox) -> Uses:
    """Refuse what is not allowed; wrap what loops go over; say what is used."""
    if sum(1 for _ in _walk(tree)) > NODES:
        raise TemplateError(TOO_LARGE, 0, f"the template has more than {NODES} parts", "shorten it")
    reader = _Reader(sandbox)
    reader.body(tree.body, _Scope())
    return reader.uses


def _walk(node: nodes.Node) -> Iterable[nodes.Node]:
    todo = [node]
    while todo:
        one = todo.pop()
        yield one
        todo.extend(one.iter_child_nodes())


@dataclass
class _Scope:
    """Names that are bound here, and what surrounds this place."""

    names: set[str] = field(default_factory=set)
    outer: frozenset[str] = frozenset()
    guards: frozenset[str] = frozenset()
    for_depth: int = 0
    if_depth: int = 0

    def knows(self, name: str) -> bool:
        return name in self.names or name in self.outer

    def inside_loop(self, targets: Iterable[str]) -> _Scope:
        outer = self.outer | self.names
        return _Scope({*targets, "loop"}, outer, self.guards, self.for_depth + 1, self.if_depth)

    def inside_if(self, guards: Iterable[str]) -> _Scope:
        return _Scope(self.names, self.outer, self.guards | set(guards), self.for_depth, self.if_depth + 1)


class _Reader:
    """Walks a template once, in the order it is read."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.uses = Uses()
        self.place = Place()
        self.lost: set[str] = set()

    def body(self, body: list[nodes.Node], scope: _Scope) -> None:
        for node in body:
            if isinstance(node, nodes.Output):
                self.output(node, scope)
            elif isinstance(node, nodes.If):
                self.condition(node, scope)
            elif isinstance(node, nodes.For):
                self.loop(node, scope)
            elif isinstance(node, nodes.Assign):
                self.assignment(node, scope)
            else:
                raise _not_allowed(node)

    def output(self, node: nodes.Output, scope: _Scope) -> None:
        for index, child in enumerate(node.nodes):
            if isinstance(child, nodes.TemplateData):
                self.place.read(child.data if self.sandbox.html else "")
                continue
            self.expression(child, scope)
            for path, line in _printed(child):
                if path.split(".")[0] not in scope.names | scope.outer and path not in scope.guards:
                    self.uses.unguarded.setdefault(path, line)
            if self.sandbox.html:
                node.nodes[index] = self.in_markup(child)

    def in_markup(self, node: nodes.Expr) -> nodes.Expr:
        """Values stand in text or in quoted attributes only; a link's address is checked for its scheme."""
        problem, is_link = self.place.value()
        if problem:
            fix = 'put values into text, or into quotes: title="{{ … }}"'
            raise TemplateError(NOT_ALLOWED, node.lineno, problem, fix)
        if is_link:
            return nodes.Filter(node, URL_FILTER, [], [], None, None, lineno=node.lineno)
        return node

    def branches(self, line: int, bodies: list[tuple[list[nodes.Node], _Scope]]) -> None:
        """Read bodies of which any one may come to be; they must leave the HTML in the same place."""
        before, ends = self.place, []
        for body, scope in bodies:
            self.place = before.copy()
            self.body(body, scope)
            ends.append(self.place)
        if not all(end.same(ends[0]) for end in ends):
            what = "a tag or quote begins or ends in one branch only"
            raise TemplateError(NOT_ALLOWED, line, what, "write whole tags inside {% if %} and {% for %}")
        self.place = min(ends, key=lambda end: end.begins)  # the least safe beginning of a link counts

    def condition(self, node: nodes.If, scope: _Scope) -> None:
        if scope.if_depth >= IF_DEPTH:
            raise TemplateError(
                TOO_LARGE,
                node.lineno,
                f"more than {IF_DEPTH} conditions inside each other",
                "make it flatter",
            )
        bodies = [(node.body, scope.inside_if(_paths(node.test)))]
        for branch in (node, *node.elif_):
            self.expression(branch.test, scope)
        for branch in node.elif_:
            guards = (*_paths(node.test), *_paths(branch.test))
            bodies.append((branch.body, scope.inside_if(guards)))
        self.branches(node.lineno, [*bodies, (node.else_, scope.inside_if(_paths(node.test)))])

    def loop(self, node: nodes.For, scope: _Scope) -> None:
        if node.recursive:
            raise TemplateError(NOT_ALLOWED, node.lineno, "a loop cannot be recursive", "")
        if scope.for_depth >= FOR_DEPTH:
            raise TemplateError(
                TOO_LARGE, node.lineno, f"more than {FOR_DEPTH} loops inside each other", "make it flatter"
            )
        self.uses.loops = True
        self.expression(node.iter, scope)
        node.iter = nodes.Filter(node.iter, LOOP_FILTER, [], [], None, None, lineno=node.lineno)
        inside = scope.inside_loop(self.targets(node.target, scope))
        if node.test is not None:
            self.expression(node.test, inside)
        self.branches(node.lineno, [(node.body, inside), (node.else_, scope)])
        self.lost |= inside.names

    def targets(self, target: nodes.Node, scope: _Scope) -> list[str]:
        if isinstance(target, nodes.Name):
            return [self.bound(target)]
        if isinstance(target, nodes.Tuple) and all(isinstance(one, nodes.Name) for one in target.items):
            return [self.bound(one) for one in target.items if isinstance(one, nodes.Name)]
        raise _not_allowed(target)

    def bound(self, name: nodes.Name) -> str:
        _check_name(name.name, name.lineno)
        if name.name in RESERVED:
            raise TemplateError(
                NOT_ALLOWED, name.lineno, f"{name.name!r} cannot be the name of a value", "take another name"
            )
        return name.name

    def assignment(self, node: nodes.Assign, scope: _Scope) -> None:
        if not isinstance(node.target, nodes.Name):
            raise TemplateError(
                NOT_ALLOWED, node.lineno, "{% set %} takes one plain name", "write {% set name = … %}"
            )
        name = self.bound(node.target)
        self.expression(node.node, scope)
        if name in scope.outer:
            raise TemplateError(
                NOT_ALLOWED,
                node.lineno,
                f"{{% set {name} %}} inside a loop is forgotten at the end of each round",
                "take another name, or compute it outside the loop",
            )
        scope.names.add(name)

    def expression(self, node: nodes.Node, scope: _Scope) -> None:
        path = path_of(node)
        if path is not None:
            self.path(node, path, scope)
            return
        if not isinstance(node, ALLOWED):
            raise _not_allowed(node)
        if isinstance(node, nodes.Filter):
            self.filter(node)
        elif isinstance(node, nodes.Test):
            self.test(node)
        elif isinstance(node, nodes.Getattr):
            _check_part(node.attr, node.lineno)
        elif isinstance(node, nodes.Const):
            _check_constant(node)
        elif isinstance(node, nodes.Compare) and len(node.ops) > 1:
            what = "several comparisons in a row"
            raise TemplateError(
                NOT_ALLOWED, node.lineno, what, "compare two values at a time, and join with and"
            )
        for child in node.iter_child_nodes():
            self.expression(child, scope)

    def path(self, node: nodes.Node, path: list[str], scope: _Scope) -> None:
        """A name with its parts: `customer.attributes.skin`."""
        root, line = path[0], node.lineno
        _check_name(root, line)
        for part in path[1:]:
            _check_part(part, line)
        if root == "loop" and scope.for_depth:
            self.loop_part(path, line)
            return
        if root in RESERVED:
            raise TemplateError(NOT_ALLOWED, line, f"{root!r} cannot be used here", "")
        if scope.knows(root):
            return
        if root in self.lost:
            raise TemplateError(
                VARIABLE, line, f"{root!r} is known inside its loop only", "use it before {% endfor %}"
            )
        self.uses.names.setdefault(".".join(path), line)

    def loop_part(self, path: list[str], line: int) -> None:
        if len(path) != 2 or path[1] not in LOOP_PARTS:
            known = ", ".join(f"loop.{part}" for part in sorted(LOOP_PARTS))
            raise TemplateError(NOT_ALLOWED, line, f"{'.'.join(path)} cannot be used", f"there is: {known}")

    def filter(self, node: nodes.Filter) -> None:
        spec = self.sandbox.filter_specs.get(node.name)
        if spec is None:
            known = sorted(self.sandbox.filter_specs)
            raise TemplateError(
                NOT_ALLOWED,
                node.lineno,
                f"there is no filter {node.name[:40]!r}",
                did_you_mean(node.name, known),
            )
        if node.node is None:
            raise _not_allowed(node)
        _check_arguments(node, spec)

    def test(self, node: nodes.Test) -> None:
        if node.name not in self.sandbox.tests:
            known = sorted(self.sandbox.tests)
            raise TemplateError(
                NOT_ALLOWED,
                node.lineno,
                f"there is no test {node.name[:40]!r}",
                did_you_mean(node.name, known),
            )
        if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise TemplateError(NOT_ALLOWED, node.lineno, f"is {node.name} takes no argument", "")


def _check_arguments(node: nodes.Filter, spec: Filter) -> None:
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        raise TemplateError(
            NOT_ALLOWED,
            node.lineno,
            f"the arguments of {node.name} have no names or stars",
            "write only the values",
        )
    if not spec.least <= len(node.args) <= spec.most:
        count = str(spec.most) if spec.least == spec.most else f"{spec.least} to {spec.most}"
        raise TemplateError(
            NOT_ALLOWED, node.lineno, f"{node.name} takes {count} arguments, not {len(node.args)}", ""
        )


def _check_constant(node: nodes.Const) -> None:
    value = node.value
    if isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) <= 10**15:
        raise TemplateError(NOT_ALLOWED, node.lineno, "a number out of all ordinary size", "")
    if isinstance(value, str):
        _check_text(value, node.lineno)


def _check_text(text: str, line: int) -> None:
    if any("\ud800" <= one <= "\udfff" or (one < " " and one not in "\n\t") for one in text):
        raise TemplateError(NOT_ALLOWED, line, "a text in quotes has a control character", "remove it")


def _check_name(name: str, line: int) -> None:
    if name.startswith("_"):
        raise TemplateError(NOT_ALLOWED, line, f"{name[:40]!r} cannot be used: it begins with _", "")
    # Python reads look-alike letters as one name; two names of a template must never be the same value.
    if normalize("NFKC", name) != name:
        raise TemplateError(
            NOT_ALLOWED, line, f"the name {name[:40]!r} is written in unusual letters", "use plain letters"
        )


def _check_part(part: str, line: int) -> None:
    if part.startswith("_"):
        raise TemplateError(NOT_ALLOWED, line, f"{part[:40]!r} cannot be used: it begins with _", "")


def _not_allowed(node: nodes.Node) -> TemplateError:
    what, fix = REFUSED.get(type(node), (f"{type(node).__name__.lower()} cannot be used in a message", ""))
    return TemplateError(NOT_ALLOWED, node.lineno or 0, what, fix)


def path_of(node: nodes.Node) -> list[str] | None:
    """`a.b["c"]` as its parts; None where it is not a plain path."""
    parts: list[str] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Getattr):
            parts.append(node.attr)
        elif (
            isinstance(node, nodes.Getitem)
            and isinstance(node.arg, nodes.Const)
            and type(node.arg.value) is str
        ):
            parts.append(node.arg.value)
        else:
            return None
        node = node.node
    return [node.name, *reversed(parts)]


def _paths(node: nodes.Node) -> list[str]:
    """All paths mentioned in an expression."""
    path = path_of(node)
    if path is not None:
        return [".".join(path)]
    return [found for child in node.iter_child_nodes() for found in _paths(child)]


def _printed(node: nodes.Node) -> list[tuple[str, int]]:
    """The paths whose missing value would be an error where this expression is printed."""
    path = path_of(node)
    if path is not None:
        return [(".".join(path), node.lineno)]
    if isinstance(node, nodes.Filter):
        return [] if node.name == "default" or node.node is None else _printed(node.node)
    if isinstance(node, nodes.Or):
        return _printed(node.right)
    if isinstance(node, nodes.Concat):
        return [found for one in node.nodes for found in _printed(one)]
    if isinstance(node, nodes.CondExpr):
        guards = set(_paths(node.test))
        both = _printed(node.expr1) + (_printed(node.expr2) if node.expr2 is not None else [])
        return [found for found in both if found[0] not in guards]
    if isinstance(node, nodes.BinExpr):
        return _printed(node.left) + _printed(node.right)
    return []
