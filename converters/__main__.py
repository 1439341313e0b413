"""``python -m converters``."""

import sys

import torch

from converters.cli import main

if __name__ == "__main__":
    # One picture at a time has too little work for threads that wait for one another.
    torch.set_num_threads(1)
    sys.exit(main())
