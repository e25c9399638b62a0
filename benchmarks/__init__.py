"""Speed, as ratios against references written by hand in the same run: `python -m benchmarks`.

`world` makes a shop, `loading` puts it into smr's schema, `by_hand` and `by_orm` are the references (they
know smr's tables and nothing else of it), `suite` runs them and smr side by side, `figures` judges and
prints.
"""
