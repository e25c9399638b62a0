"""Tests of the benchmark's own world and references."""
