"""Answers of an OCPP 1.6 central system; a module that is ``dialect.Results``.

What is needed must be there, what is not needed may be wrong or missing: central systems differ.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from agent.core.facts import Fact, SessionEnded, SessionStarted
from agent.core.model import IdToken, Registration, TokenInfo, TokenStatus
from agent.ocpp.dialect import Booted, Taken, Transferred, TransferStatus, member, moment
from agent.ocpp.rpc import JsonObject

ID_TOKEN_LENGTH: Final = 20


def booted(result: JsonObject) -> Booted:
    """Read BootNotification.conf. Raises: ValueError where there is no status in it."""
    try:
        registration = Registration(str(result.get("status")))
    except ValueError as error:
        raise ValueError("BootNotification was answered without a status that OCPP 1.6 knows") from error
    interval = _integer(result.get("interval"))
    return Booted(registration, told_time(result), max(interval or 0, 0))


def told_time(result: JsonObject) -> datetime | None:
    """Read currentTime."""
    told = moment(result.get("currentTime"))
    return None if told is None else told.wall


def verdict(result: JsonObject) -> TokenInfo:
    """Read idTagInfo of Authorize.conf. Raises: ValueError where there is no verdict in it."""
    info = _info(result)
    if info is None:
        raise ValueError("Authorize was answered without an idTagInfo that OCPP 1.6 knows")
    return info


def taken(fact: Fact, result: JsonObject) -> Taken:
    """Read the answer to StartTransaction, MeterValues or StopTransaction.

    Raises: ValueError for a start without a usable transaction id, which nothing that follows could refer to.
    """
    if isinstance(fact, SessionStarted):
        transaction = _integer(result.get("transactionId"))
        if transaction is None:
            raise ValueError("StartTransaction was answered without a transaction id")
        return Taken(transaction, fact.id_token, _info(result))
    if isinstance(fact, SessionEnded) and fact.id_token is not None:
        return Taken(id_token=fact.id_token, info=_info(result))
    return Taken()


def transferred(result: JsonObject) -> Transferred:
    """Read DataTransfer.conf. Raises: ValueError where there is no status in it."""
    try:
        status = TransferStatus(str(result.get("status")))
    except ValueError as error:
        raise ValueError("DataTransfer was answered without a status that OCPP 1.6 knows") from error
    data = result.get("data")
    return Transferred(status, data if isinstance(data, str) else None)


def signing(result: JsonObject) -> bool:
    """Read SignCertificate.conf. Raises: ValueError where there is no status in it."""
    status = result.get("status")
    if status not in {"Accepted", "Rejected"}:
        raise ValueError("SignCertificate was answered without a status that OCPP 1.6 knows")
    return status == "Accepted"


def _info(result: JsonObject) -> TokenInfo | None:
    info = member(result, "idTagInfo")
    try:
        status = TokenStatus(str(info.get("status")))
    except ValueError:
        return None
    return TokenInfo(status, moment(info.get("expiryDate")), _group(info.get("parentIdTag")))


def _group(text: object) -> IdToken | None:
    if isinstance(text, str) and 0 < len(text) <= ID_TOKEN_LENGTH:
        return IdToken(text)
    return None


def _integer(value: object) -> int | None:
    """Return a whole number of at most 64 bits, None for anything else; 42.0 is one, true is not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return value
    return None
