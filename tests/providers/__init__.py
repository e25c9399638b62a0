"""Fake providers: real servers in processes of their own. What they log is the truth of what was received."""
