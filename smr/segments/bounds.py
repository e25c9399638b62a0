"""The slice of buckets that a statement works on."""

from __future__ import annotations

import sqlalchemy as sa

LOW = sa.bindparam("low", type_=sa.Integer)
HIGH = sa.bindparam("high", type_=sa.Integer)
