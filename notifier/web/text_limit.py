"""Whether one more stranger may make us send a text, which costs money: so many an hour, and few for one visitor.

Asked before the transaction that would plan the text. The hour's count is begun from the rows, so that neither a
restart nor an emptied Redis begins it anew; while the shared counters are away the answer is no.
"""

from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import structlog
from aiohttp import web

from notifier.delivery.counters import CountersLost
from notifier.runtime import Service
from notifier.web.service import service as served_by
from subscribers import sign_ups

log = structlog.get_logger()

SENTENCE = "We cannot send texts just now. Use an email address, or try again later."
WINDOW = timedelta(hours=1)
VISITORS_SHARE = 20  # one visitor gets the twentieth part of the hour's texts, at least one
COUNT = "sign-up-texts"
_WITHIN = tuple(
    ip_network(each)
    for each in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)


async def may_text(request: web.Request) -> bool:
    """Count one text that this visitor causes; False where it may not be sent."""
    service = served_by(request)
    most, visitor = service.settings.sign_up_texts_an_hour, visitor_of(request)
    if not visitor:
        return await count_text(service)
    hashed = service.db.keys.address_hash("visitor", visitor).hex()[:32]
    try:
        found = await service.counters.count(
            f"{COUNT}/{hashed}", max(most // VISITORS_SHARE, 1), WINDOW.total_seconds(), begun=0
        )
    except CountersLost:
        found = None
    if found is None:
        log.warning("sign_up_text_refused", reason="visitor")
        return False
    return await count_text(service)


async def count_text(service: Service) -> bool:
    """Count one text of whoever it is; False where the hour's are used up or cannot be counted."""
    most, seconds = service.settings.sign_up_texts_an_hour, WINDOW.total_seconds()
    try:
        found = await service.counters.count(COUNT, most, seconds, begun=None)
        if found == -1:
            async with service.db.transaction(read_only=True) as tx:
                begun = await sign_ups.codes_since(tx, tx.now - WINDOW)
            found = await service.counters.count(COUNT, most, seconds, begun=begun)
    except CountersLost:
        log.warning("sign_up_text_refused", reason="counters lost")
        return False
    if found is None:
        log.warning("sign_up_text_refused", reason="hour's limit")
    return found is not None


def visitor_of(request: web.Request) -> str:
    """Where a visitor comes from: an address, of IPv6 its network. Empty where only a proxy can be seen.

    A proxy of ours is a peer on a private network; what it adds last to X-Forwarded-For is then the visitor.
    """
    try:
        found = ip_address(request.remote or "")
        if _is_within(found):
            found = ip_address(request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip())
    except ValueError:
        return ""
    if _is_within(found):
        return ""
    return str(found) if found.version == 4 else str(ip_network((found, 64), strict=False))


def _is_within(address: IPv4Address | IPv6Address) -> bool:
    """This machine, or a private network (RFC 1918, RFC 4193)."""
    return any(address in network for network in _WITHIN)
