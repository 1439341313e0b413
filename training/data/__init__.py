"""Readers of training data: every format becomes a sequence of ``Sample``."""
