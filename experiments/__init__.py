"""Experiments whose figures are in docs/; run them from the root of the repository."""
