"""Where the demos find their playbooks, and that they keep out of a real shop's database."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import sqlalchemy as sa

import smr
from smr.cli.shop import Shop
from smr.errors import OperatorError
from smr.tables import bucket_of, customers

PACKAGE = Path(smr.__file__).parent


def examples() -> Path:
    """The example playbooks: within an installed smr, or beside it in its repository."""
    inside = PACKAGE / "_playbooks"
    return inside if inside.is_dir() else PACKAGE.parent / "playbooks"


def refuse_other_shops(shop: Shop, one_of_them: str) -> None:
    """Raise OperatorError where the database has customers, and this one of the demo's is not among them."""
    owned = sa.select(customers.c.customer_id).where(
        customers.c.bucket == bucket_of(one_of_them), customers.c.customer_id == one_of_them
    )
    with shop.database.read() as connection:
        somebody = connection.execute(sa.select(customers.c.customer_id).limit(1)).first()
        if somebody and not connection.execute(owned).first():
            raise OperatorError(
                f"the database {shop.database.shown_url} holds another shop's customers; the demo would mix "
                "them with its own. Unset SMR_DATABASE_URL, or name an empty database."
            )


def program() -> str:
    """How this program was called, for commands to paste."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{Path(sys.executable).name} -m smr"
    if shutil.which("smr") == str(called.absolute()):
        return "smr"
    try:
        return str(called.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(called)
