"""smr: a rule-driven repurchase reminder engine for private-domain retail."""

__version__ = "0.1.0"
