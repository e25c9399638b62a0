"""Rows that shops' exports really contain, or an attacker would write, each with the code it must get.

The good rows around them must all go in.
"""
