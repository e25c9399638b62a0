"""Seeing: how the shop's sending stands, what is wrong with it, and telling the operator.

In: the tables, and what the daemon does. Out: a `Status` at a glance, counters, incidents, alerts. Decides
nothing about messages. May import delivery, pipeline and everything beneath.
"""
