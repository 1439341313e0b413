"""Errors of the benchmarks."""


class BenchmarkError(Exception):
    """Something could not be measured; the message says what was expected and what came."""
