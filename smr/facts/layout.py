"""Which column of a source is which column of ours.

In: the header, the kind of fact, the mapping from the settings. Out: a `Layout`, or a FaultsError that
names what is missing, what was probably meant, and the mapping to write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smr.errors import Fault, FaultsError, OperatorError, did_you_mean

ALIASES = {
    "products": {"name": ("description",)},
    "customers": {"address.sms": ("phone",), "address.email": ("email",), "address.wecom": ("wecom",)},
}


@dataclass(frozen=True)
class Columns:
    """The columns of one kind of fact; families are beginnings such as `attributes.`."""

    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    families: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """All plain names."""
        return self.needed + self.optional


KINDS = {
    "customers": Columns(
        ("customer_id",),
        (
            *("name", "gender", "birthday", "lunar_birthday", "zone", "locale", "tags", "consented_at"),
            *("staff_id", "staff_name", "store_id", "store_name"),
        ),
        ("address.", "consent.", "attributes."),
    ),
    "products": Columns(
        ("product_id",),
        (
            *("name", "category", "price", "currency", "units"),
            *("in_stock", "stock", "as_of", "substitutes"),
        ),
        ("attributes.",),
    ),
    "purchases": Columns(
        ("customer_id", "product_id", "purchased_at"),
        (
            *("order_id", "category", "quantity", "unit_price", "line_no", "amount", "currency"),
            *("delivered_at", "kind"),
        ),
    ),
    "refunds": Columns(
        ("customer_id", "product_id", "refunded_at"),
        ("order_id", "purchased_at", "line_no", "refund_id", "quantity", "amount", "currency"),
    ),
    "consents": Columns(("customer_id", "channel", "granted", "decided_at"), ("purpose", "source")),
    "calendar": Columns(("day", "kind"), ("name",)),
    "interactions": Columns(
        ("customer_id", "happened_at", "kind"), ("interaction_id", "channel", "content"), ("attributes.",)
    ),
    "candidates": Columns(
        ("playbook", "step", "customer_id", "anchor", "anchor_at", "due_at"),
        ("kind", "line", "order_id", "product_id", "quantity", "runs_out_at"),
    ),
}
"""What each kind of fact is made of."""


@dataclass(frozen=True)
class Layout:
    """Our column → the source's, and the source's columns nobody asked for."""

    columns: Mapping[str, str]
    unknown: tuple[str, ...]

    @property
    def wanted(self) -> frozenset[str]:
        """The source's columns that are read."""
        return frozenset(self.columns.values())


def kind_named(kind: str) -> Columns:
    """The columns of a kind; OperatorError for a kind there is not."""
    if kind not in KINDS:
        raise OperatorError(f"there is no kind of fact {kind!r}; {did_you_mean(kind, list(KINDS))}")
    return KINDS[kind]


def lay_out(
    source: str, kind: str, header: Sequence[str], mapping: Mapping[str, str], *, open_ended: bool = False
) -> Layout:
    """Match a header with the kind's columns.

    Where it is `open_ended`, a column that need not be there may be mapped and still be missing.
    """
    columns = kind_named(kind)
    if open_ended:
        mapping = {
            ours: theirs
            for ours, theirs in mapping.items()
            if theirs in header or ours in columns.needed or _ours(kind, columns, ours) is None
        }
    faults = _mapping_faults(source, kind, header, mapping)
    found = {_ours(kind, columns, ours) or ours: theirs for ours, theirs in mapping.items()}
    taken = set(mapping.values())
    # A column's own name goes before the other names it is understood by.
    for name in sorted(header, key=lambda name: _ours(kind, columns, name) != name):
        ours = _ours(kind, columns, name)
        if ours is not None and ours not in found and name not in taken:
            found[ours] = name
            taken.add(name)
    if not faults:
        faults = [_missing(source, kind, header, name) for name in columns.needed if name not in found]
    if faults:
        raise FaultsError(faults)
    return Layout(found, tuple(name for name in header if name and name not in taken))


def _ours(kind: str, columns: Columns, name: str) -> str | None:
    if name in columns.known or (name.startswith(columns.families) and not name.endswith(".")):
        return name
    for ours, others in ALIASES.get(kind, {}).items():
        if name in others:
            return ours
    return None


def _mapping_faults(source: str, kind: str, header: Sequence[str], mapping: Mapping[str, str]) -> list[Fault]:
    columns = kind_named(kind)
    faults = []
    for ours, theirs in mapping.items():
        path = f"import → columns → {kind} → {ours}"
        if _ours(kind, columns, ours) is None:
            hint = did_you_mean(ours, columns.known)
            what = f"{kind} have no column {ours!r}"
            faults.append(Fault(source, 0, 0, path, "unknown_column", what, hint))
        elif theirs not in header:
            hint = did_you_mean(theirs, header)
            faults.append(Fault(source, 1, 0, path, "missing_column", f"there is no column {theirs!r}", hint))
    return faults


def _missing(source: str, kind: str, header: Sequence[str], name: str) -> Fault:
    hint = did_you_mean(name, [column for column in header if column])
    fix = f"{hint}; " if hint else ""
    fix += f"to map it, write in config.yaml: import: {{columns: {{{kind}: {{{name}: YOUR COLUMN}}}}}}"
    return Fault(source, 1, 0, "", "missing_column", f"there is no column {name!r}", fix)
