"""Figures are judged by their bound, on its side, and only at the scale they are meant for."""

from __future__ import annotations

from benchmarks.figures import Figure, table, verdict


def test_at_least_and_at_most() -> None:
    assert verdict(Figure("rate", 0.4, bound=0.4), full=True) == "pass"
    assert verdict(Figure("rate", 0.39, bound=0.4), full=True) == "MISS"
    assert verdict(Figure("memory", 251, bound=250, side="most"), full=True) == "MISS"


def test_what_is_only_told_is_not_judged() -> None:
    assert verdict(Figure("messages", 9), full=True) == ""


def test_a_figure_for_full_scale_is_shown_but_not_judged_in_the_short_form() -> None:
    figure = Figure("second run to the first", 0.5, bound=0.1, side="most", only_full=True)

    assert verdict(figure, full=False) == "(judged at full scale)"
    assert "0.5" in table("SQLite", [figure], full=False)
