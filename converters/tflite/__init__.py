"""Rooms of the TFLite converter; ``converters.to_tflite`` and ``quantize_tflite`` are its doors."""
