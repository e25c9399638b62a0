"""The almanac: lunar dates, festivals, public holidays and the weekends worked to make up for them.

In: a calendar day, and what the shop wrote into the table `calendar`. Out: its lunar date, its festivals,
whether people work on it. Lunar years 1900 to 2100 and the years arranged so far come with smr.
"""

from smr.almanac.days import KINDS, Almanac, almanac_of, shipped
from smr.almanac.festivals import FESTIVALS, festival_named
from smr.almanac.lunar import (
    LunarDate,
    anniversary,
    in_chinese,
    is_called_lunar,
    lunar_of,
    month_days_on,
    next_anniversary,
    parse_lunar,
    read_lunar,
    solar_of,
)

__all__ = [
    "FESTIVALS",
    "KINDS",
    "Almanac",
    "LunarDate",
    "almanac_of",
    "anniversary",
    "festival_named",
    "in_chinese",
    "is_called_lunar",
    "lunar_of",
    "month_days_on",
    "next_anniversary",
    "parse_lunar",
    "read_lunar",
    "shipped",
    "solar_of",
]
