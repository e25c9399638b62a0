"""The command line: parses, prints, exits; one file per command.

Facts go to stdout, talk to stderr. Exit codes: 0 done, 1 failed at run time, 2 bad input or usage,
3 done with rejected rows.
"""
