"""Entry point: ``python -m agent`` and the command ``wallbox-agent``."""

from __future__ import annotations

import sys

from agent.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
