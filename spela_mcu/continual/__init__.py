"""Continual learning, measured: streams of experiences, learners, and the field's figures."""
