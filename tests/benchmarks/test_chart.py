"""The picture of the figures is drawn from the page's own tables."""

from __future__ import annotations

from xml.etree import ElementTree

from benchmarks.chart import PAGE, PICTURE, bars, drawn

TABLE = """
### SQLite

| figure | reached | wanted |  | how |
| --- | --- | --- | --- | --- |
| import of a history | 71,366 lines/s | ≥ 60,000 lines/s | pass | by time |
| messages queued | 98,820 |  |  | |
| second run to the first | 0.05 | ≤ 0.1 | pass | 1.2 s |
| smr to by hand | 0.2 | ≥ 0.4 | MISS |  |
"""


def test_a_figure_is_shown_as_how_many_times_better_than_wanted_it_is() -> None:
    [(title, found)] = bars(TABLE)
    assert title == "SQLite"
    told = {bar.name: round(bar.times, 2) for bar in found}
    assert told == {"import of a history": 1.19, "second run to the first": 2.0, "smr to by hand": 0.5}


def test_what_is_missed_ends_left_of_the_line() -> None:
    picture = ElementTree.fromstring(drawn(TABLE))  # noqa: S314 - drawn a moment ago
    colors = [one.get("fill") for one in picture.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert colors == ["#2f7d5b", "#2f7d5b", "#b3412f"]


def test_the_picture_in_the_docs_shows_the_figures_of_the_page() -> None:
    assert PICTURE.read_text(encoding="utf-8") == drawn(PAGE.read_text(encoding="utf-8"))
