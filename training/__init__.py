"""Reference networks, their training data and their training. Needs the extra ``train``."""
