"""The record of ``latency``, measured on a real phone or board: over adb, over ssh, in Termux."""
