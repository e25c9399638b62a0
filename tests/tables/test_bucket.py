"""The bucket and the dice of a customer are the same wherever they are computed."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from smr.tables import BUCKETS, bucket_of, dice_of

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)


@given(KEYS)
def test_the_bucket_is_the_first_twelve_bits_of_the_hash(key: str) -> None:
    assert bucket_of(key) == int(sha256(key.encode("utf-8")).hexdigest()[:3], 16)


@given(KEYS)
def test_bucket_and_dice_fit_their_columns(key: str) -> None:
    assert 0 <= bucket_of(key) < BUCKETS
    assert 0 <= dice_of(key) < 2**31


def test_known_customers_keep_their_buckets_for_ever() -> None:
    known = {"ana": (589, 963598554), "小林": (3000, 1084667430), "0017": (458, 686846484)}
    assert {key: (bucket_of(key), dice_of(key)) for key in known} == known


def test_postgresql_computes_the_same_bucket(postgres_url: str) -> None:
    keys = [f"c{number}" for number in range(500)] + ["小林", "Zoë", "ana@example.org", "𝒶"]
    engine = sa.create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    in_sql = sa.text(
        "SELECT key, (get_byte(h, 0) << 4) | (get_byte(h, 1) >> 4) AS bucket FROM (SELECT key, "
        "sha256(convert_to(key, 'UTF8')) AS h FROM unnest(CAST(:keys AS text[])) AS key) AS hashed"
    )
    with engine.connect() as connection:
        found: dict[str, int] = {row.key: row.bucket for row in connection.execute(in_sql, {"keys": keys})}
    engine.dispose()
    assert found == {key: bucket_of(key) for key in keys}


def test_customers_spread_evenly() -> None:
    shards = Counter(bucket_of(f"customer-{number}") * 32 // BUCKETS for number in range(50_000))
    assert max(shards.values()) < 1.2 * 50_000 / 32


def test_the_dice_does_not_follow_the_bucket() -> None:
    low = [dice_of(f"c{number}") for number in range(20_000) if bucket_of(f"c{number}") < BUCKETS // 2]
    held_out = sum(dice % 10 == 0 for dice in low)
    assert 0.08 < held_out / len(low) < 0.12
