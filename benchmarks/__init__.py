"""Measurements of speed and memory, side by side where a peer does the same job."""
