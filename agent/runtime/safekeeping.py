"""The wallet of the station as it is configured: keys, certificates and password for the central system."""

from __future__ import annotations

from collections.abc import Callable

from agent.core.events import Event
from agent.ocpp.link import Endpoint
from agent.ports import Clock
from agent.runtime.config import AgentConfig
from agent.runtime.config.effective import password_of
from agent.trust.wallet import Setup, Wallet

WALLET = "wallet"
"""Its name among the destinations of effects."""


def wallet_of(config: AgentConfig, endpoint: Endpoint, clock: Clock, post: Callable[[Event], None]) -> Wallet:
    """Return the wallet; endpoint: as the configuration file has it."""
    cloud = config.cloud
    setup = Setup(
        endpoint=endpoint,
        common_name=config.station.serial_number or config.station.id,
        url_secure=cloud.url_secure,
        password=password_of(config.password),
        certificate=cloud.client_cert_file,
        key=cloud.client_key_file,
        additional_check=cloud.additional_root_check,
    )
    return Wallet(config.station.state_dir, setup, clock=clock, post=post)
