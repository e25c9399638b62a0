"""The language of *who*: typed conditions, and what each asks of the facts, as SQL.

In: conditions from YAML. Out: SQL expressions about one customer. Conditions compile to SQL only;
explaining asks the same SQL, leaf by leaf, for one customer.
"""

from smr.conditions.compile import NOW, Who, condition_sql, leaf_value

__all__ = ["NOW", "Who", "condition_sql", "leaf_value"]
