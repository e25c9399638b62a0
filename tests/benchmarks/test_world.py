"""The made-up shop is the same for the same seed, and as skewed as it says."""

from __future__ import annotations

from collections import Counter

from benchmarks.world import DAY, OPENED, TODAY, World

SHOP = World(customers=3_000, lines=30_000)


def test_the_same_seed_makes_the_same_shop_and_another_seed_another() -> None:
    again = World(customers=3_000, lines=30_000)
    other = World(customers=3_000, lines=30_000, seed=7)

    assert list(SHOP.shoppers()) == list(again.shoppers())
    assert SHOP.day(300) == again.day(300)
    assert list(SHOP.shoppers()) != list(other.shoppers())


def test_customers_come_in_the_order_of_the_tables_keys() -> None:
    keys = [(customer.bucket, customer.customer_id) for customer, _ in SHOP.shoppers()]

    assert keys == sorted(keys)
    assert len(set(keys)) == 3_000


def test_it_has_about_the_lines_asked_for_all_in_two_years() -> None:
    times = [line[3] for _, lines in SHOP.shoppers() for line in lines]

    assert 0.95 * 30_000 < len(times) < 1.05 * 30_000
    assert min(times) >= OPENED
    assert max(times) <= TODAY


def test_a_fifth_of_the_customers_bought_once() -> None:
    once = sum(len({line[0] for line in lines}) == 1 for _, lines in SHOP.shoppers())

    assert 0.17 < once / 3_000 < 0.23


def test_a_tenth_of_the_products_makes_a_third_of_the_sales() -> None:
    sold = Counter(line[1] for _, lines in SHOP.shoppers() for line in lines)

    assert sum(count for _, count in sold.most_common(50)) > sum(sold.values()) / 3


def test_no_line_is_there_twice_though_one_order_may_hold_a_product_twice() -> None:
    identities = [(customer.customer_id, *line[:3]) for customer, lines in SHOP.shoppers() for line in lines]

    assert len(identities) == len(set(identities))
    assert any(line_no == 2 for *_, line_no in identities)


def test_the_day_has_only_that_days_lines_and_some_new_customers() -> None:
    known = {customer_id for _, customer_id in SHOP.keys}
    day = SHOP.day(300)

    assert all(TODAY <= new.line[3] < TODAY + DAY for new in day)
    assert {new.customer_id for new in day} - known
