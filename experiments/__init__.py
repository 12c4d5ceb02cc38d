"""Experiments whose figures stand in docs/: run from the root of the repository."""
