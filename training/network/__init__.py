"""The reference networks in PyTorch."""
