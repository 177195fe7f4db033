"""Who may charge: a local block, a card known here, or what the central system says, said, or would say.

Source: OCPP 1.6 ed. 2, sections 3.4, 3.5, 4.1; contract, promises 8 to 12.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from agent.core.card import Stage
from agent.core.instant import Instant, TimeStatus
from agent.core.model import IdToken, Profile, TokenInfo, TokenStatus
from agent.core.settings import Settings
from agent.core.state import Cached, Card, Tokens

CACHE_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class Known:
    """What the station itself knows of a token: its own card, the local list's entry, a central system's last verdict.

    listed, cached: as they count now, None where there is none, or where the list or the cache is switched off.
    lapsed: why the card is not good now, for whoever decides without the central system; None where it is.
    """

    card: Card | None = None
    cached: TokenInfo | None = None
    listed: TokenInfo | None = None
    lapsed: str | None = None

    @property
    def info(self) -> TokenInfo | None:
        """What counts of list and cache: an entry of the list wins (OCPP 1.6 ed. 2, section 3.5.3)."""
        return self.cached if self.listed is None else self.listed

    @property
    def blocked(self) -> str | None:
        """Why the token never starts here, and nobody is asked, in words; None where it may (promise 10)."""
        if self.card is None:
            return None
        if self.card.standing.stage is Stage.DEACTIVATED:
            return _because("deactivated for good", self.card.standing.reason)
        if self.card.blocked is not None:
            return _because("blocked here", self.card.blocked)
        return NOT_ACTIVATED if self.card.standing.stage is Stage.NEW else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision: may it charge, on whose account, why not (for a person), and its group where known."""

    accepted: bool
    profile: Profile = Profile.FLEET
    reason: str = ""
    group: IdToken | None = None


@dataclass(frozen=True, slots=True)
class AskVerdict:
    """Only the central system can tell."""


Decision: TypeAlias = Verdict | AskVerdict

NOT_ACTIVATED: Final = "not activated yet: `wallbox-agent cards activate` with the number printed on it"
REFUSALS: Final = {
    TokenStatus.BLOCKED: "the central system has blocked this card",
    TokenStatus.EXPIRED: "this card has expired",
    TokenStatus.INVALID: "the central system does not know this card",
    TokenStatus.CONCURRENT_TX: "this card is charging elsewhere",
}


def known(tokens: Tokens, id_token: IdToken, settings: Settings, at: Instant) -> Known:
    """Return what is known of a token here; an expired verdict counts as Expired."""
    cached = tokens.cache.get(id_token.key) if settings.cache_enabled else None
    listed = tokens.listed.get(id_token.key) if settings.local_list_enabled else None
    return Known(
        tokens.cards.get(id_token.key),
        None if cached is None else current(cached.info, at),
        None if listed is None else current(listed.info, at),
        lapsed(tokens.cards.get(id_token.key), at),
    )


def current(info: TokenInfo, at: Instant) -> TokenInfo:
    """Return the verdict as it counts now: accepted until its expiry, expired from then on."""
    if info.status is TokenStatus.ACCEPTED and info.expiry is not None and info.expiry.wall <= at.wall:
        return replace(info, status=TokenStatus.EXPIRED)
    return info


def lapsed(card: Card | None, at: Instant) -> str | None:
    """Return why a card is not good now, in words: blocked by the central system, or its time is over; None: it is.

    A station that does not know the time yet keeps nobody out by it.
    """
    if card is None:
        return None
    standing = card.standing
    if standing.stage is Stage.BLOCKED:
        return _because(REFUSALS[TokenStatus.BLOCKED], standing.reason)
    if at.status is TimeStatus.UNKNOWN:
        return None
    if standing.valid_from is not None and at.wall < standing.valid_from:
        return "this card is not valid yet"
    over = standing.valid_until is not None and standing.valid_until <= at.wall
    return REFUSALS[TokenStatus.EXPIRED] if over else None


def blocked(tokens: Tokens, id_token: IdToken) -> str | None:
    """Return why a token never starts here, in words: blocked, deactivated, not activated; None where it may."""
    return Known(tokens.cards.get(id_token.key)).blocked


def barred(tokens: Tokens, id_token: IdToken, at: Instant) -> str | None:
    """Return why a token does not start now, whoever wants it, in words; None where it may, or others decide."""
    card = tokens.cards.get(id_token.key)
    private = card is not None and card.profile is Profile.PRIVATE
    return blocked(tokens, id_token) or (lapsed(card, at) if private else None)


def decide(about: Known, settings: Settings, *, online: bool) -> Decision:
    """Decide about a token that wants to start.

    A block set here wins over everybody; a private card asks nobody. Online, only ``local_pre_authorize`` spares the
    question (OCPP 1.6 ed. 2, sections 3.5.1 and 4.1), and not for a card whose time is over; offline, see
    ``decide_offline``.
    """
    card, info = about.card, about.info
    if about.blocked is not None:
        return Verdict(accepted=False, reason=about.blocked)
    if card is not None and card.profile is Profile.PRIVATE:
        return Verdict(accepted=about.lapsed is None, profile=Profile.PRIVATE, reason=about.lapsed or "")
    if not online:
        return decide_offline(about, settings)
    good = info is not None and info.status is TokenStatus.ACCEPTED and about.lapsed is None
    if settings.local_pre_authorize and info is not None and good:
        return Verdict(accepted=True, group=info.group)
    return AskVerdict()


def decide_offline(about: Known, settings: Settings) -> Verdict:
    """Decide without a central system: by the local list, else by the cache (OCPP 1.6 ed. 2, section 3.5.4).

    A card whose time is over is refused, whatever they say.
    """
    info = about.info
    if about.lapsed is not None:
        return Verdict(accepted=False, reason=about.lapsed, group=info.group if info else None)
    if info is None:
        if settings.allow_offline_unknown:
            return Verdict(accepted=True)
        return Verdict(accepted=False, reason="no connection to the central system, and this card is not known here")
    if info.status is not TokenStatus.ACCEPTED:
        return Verdict(accepted=False, reason=REFUSALS[info.status], group=info.group)
    if not settings.local_authorize_offline:
        return Verdict(accepted=False, reason="no connection to the central system", group=info.group)
    return Verdict(accepted=True, group=info.group)


def verdict_of(info: TokenInfo, at: Instant) -> Verdict:
    """Return the verdict that an answer of the central system amounts to."""
    now = current(info, at)
    if now.status is TokenStatus.ACCEPTED:
        return Verdict(accepted=True, group=now.group)
    return Verdict(accepted=False, reason=REFUSALS[now.status], group=now.group)


def remember(tokens: Tokens, id_token: IdToken, info: TokenInfo, at: Instant) -> Tokens:
    """Return the tokens with what was just said of one in the cache.

    A full cache forgets what is not valid first, then the oldest. The same verdict again changes nothing, which spares
    the disk.
    """
    old = tokens.cache.get(id_token.key)
    if old is not None and old.info == info:
        return tokens
    cache = {key: cached for key, cached in tokens.cache.items() if key != id_token.key}
    while len(cache) >= CACHE_LIMIT:
        victim = min(cache.items(), key=lambda item: (item[1].info.status is TokenStatus.ACCEPTED, item[1].at.wall))
        del cache[victim[0]]
    cache[id_token.key] = Cached(id_token, info, at)
    return replace(tokens, cache=cache)


def same_group(one: IdToken | None, other: IdToken | None) -> bool:
    """Tell whether two groups are known and the same; the group's own name presented as a token is not a member."""
    return one is not None and other is not None and one.key == other.key


def _because(what: str, reason: str | None) -> str:
    return f"{what}: {reason}" if reason else what
