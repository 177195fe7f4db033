"""Tokens and passwords of deliveries, read from their files each time: who changes one restarts nothing."""

from __future__ import annotations

from pathlib import Path

from agent.statement.delivery.errand import NotReached


def token_in(path: Path, key: str) -> str:
    """Return what a file holds, without white space around it; key: for the words. Raises: NotReached."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise NotReached(f"{key}: {path} cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise NotReached(f"{key}: {path} is not UTF-8 text; write the secret alone into it") from error
    if not (secret.isascii() and secret.isprintable() and secret):
        raise NotReached(f"{key}: {path} must hold the secret alone, on one line of ASCII")
    return secret
