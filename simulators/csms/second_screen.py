"""The panel beside a central system, where its library is installed."""

from __future__ import annotations

import contextlib

from simulators.csms.server import Csms
from simulators.errors import Misuse


async def open_panel(csms: Csms, port: int, stack: contextlib.AsyncExitStack) -> str:
    """Open the panel for as long as the stack lasts; return its address. Raises Misuse, OSError: the port is taken."""
    try:
        from simulators.panel import Panel
    except ModuleNotFoundError as missing:
        raise Misuse(f"--panel needs the package {missing.name}: pip install 'wallbox-agent[panel]'") from None
    panel = await stack.enter_async_context(Panel(csms, port))
    return panel.url
