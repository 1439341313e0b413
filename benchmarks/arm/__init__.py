"""Instructions that the networks execute on ARM cores, counted exactly under QEMU.

``install.sh`` fetches the emulator and an ARM system, ``python -m benchmarks arm`` counts.
"""
