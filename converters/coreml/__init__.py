"""Rooms of the Core ML converter; ``converters.to_coreml`` is its door."""
