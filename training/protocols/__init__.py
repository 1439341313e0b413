"""Evaluation by the protocols of the field: one module per family, one registry, one report."""
