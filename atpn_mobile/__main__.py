"""``python -m atpn_mobile``: the same as the command ``atpn``."""

import sys

from atpn_mobile.cli import main

if __name__ == "__main__":
    sys.exit(main())
