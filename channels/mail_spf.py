"""Reading SPF (RFC 7208): who may send for a domain, and how many questions it costs a receiver to find out.

`mail_records` asks. Everything is followed, also what comes after a match, since the next sender may need it.
"""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from channels.mail_dns import Address, Dns

MOST_LOOK_UPS = 10  # §4.6.4: what needs more is an error to every receiver
MOST_RECORDS = 30  # that we follow to say how far above it is
ASKS = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})

_TERM = re.compile(
    r"([+?~-]?)([A-Za-z][A-Za-z0-9_-]*)(?::([^\s/]+)|=(\S*))?((?:/\d{1,3}){0,1}(?://\d{1,3})?)"
)
_KNOWN = ASKS | {"all", "ip4", "ip6"}

Network = IPv4Network | IPv6Network


@dataclass
class Spf:
    """What a domain's SPF record comes to.

    records: how many there are at the domain itself. look_ups: questions in all. networks: who may send.
    ends: the qualifier of `all`, at the domain itself or where it redirects to; empty for none. faults: in words.
    """

    records: int = 0
    look_ups: int = 0
    networks: list[Network] = field(default_factory=list)
    ends: str = ""
    faults: list[str] = field(default_factory=list)
    is_open: bool = False  # a macro or `exists` decides, which depends on the mail

    def allows(self, address: Address) -> bool:
        return any(address in network for network in self.networks if network.version == address.version)


async def read_spf(dns: Dns, domain: str) -> Spf:
    """Follow a domain's record. Raises NoAnswer."""
    found = Spf()
    await _follow(dns, domain, found, trail=(), passes=True)
    return found


async def _follow(dns: Dns, domain: str, found: Spf, *, trail: tuple[str, ...], passes: bool) -> None:
    """trail: domains on the way here, and after each how it led on. passes: what this record allows is allowed."""
    texts = [text for text in await dns.texts(domain) if re.match(r"v=spf1(?: |$)", text, re.IGNORECASE)]
    if not trail:
        found.records = len(texts)
    elif len(texts) != 1:
        found.faults.append(f"{domain}, which it includes, has {len(texts) or 'no'} SPF record")
    if not texts:
        return
    redirect, ends = "", ""
    for term in texts[0].split()[1:]:
        read = _TERM.fullmatch(term)
        if not read or (read[4] is None and read[2].lower() not in _KNOWN):
            found.faults.append(f"“{term[:40]}” is nothing that SPF knows")
            continue
        qualifier, kind = read[1] or "+", read[2].lower()
        if kind == "all":
            ends = qualifier
        elif kind == "redirect":
            redirect = read[4] or ""
        elif read[4] is None:
            allowed = passes and qualifier == "+"
            await _mechanism(dns, kind, (read[3] or domain, read[5] or ""), found, (*trail, domain), allowed)
    if ends and all(step == "redirect" for step in trail[1::2]):  # it speaks for the domain itself
        found.ends = ends
    if redirect and not ends:
        found.look_ups += 1
        await _deeper(dns, redirect, found, (*trail, domain, "redirect"), passes)


async def _mechanism(
    dns: Dns, kind: str, target: tuple[str, str], found: Spf, trail: tuple[str, ...], allowed: bool
) -> None:
    name, length = target
    found.look_ups += kind in ASKS
    if "%" in name or kind == "exists":
        found.is_open = True
    elif kind == "include":
        await _deeper(dns, name, found, (*trail, "include"), allowed)
    elif kind in ("ip4", "ip6"):
        _add(found, name + length, allowed=allowed)
    elif kind in ("a", "mx"):
        hosts = [name] if kind == "a" else [each for each in await dns.exchanges(name) if each][:10]
        four, _, six = length.partition("//")
        for host in hosts:
            for address in await dns.addresses(host):
                size = four.lstrip("/") if address.version == 4 else six
                _add(found, f"{address}/{size}" if size else str(address), allowed=allowed)
    elif kind == "ptr":
        found.faults.append("it uses ptr, which receivers no longer look up")


async def _deeper(dns: Dns, domain: str, found: Spf, trail: tuple[str, ...], allowed: bool) -> None:
    if domain.lower() in trail:
        found.faults.append(f"{domain} includes itself")
    elif found.look_ups <= MOST_RECORDS:
        await _follow(dns, domain.lower(), found, trail=trail, passes=allowed)


def _add(found: Spf, text: str, *, allowed: bool) -> None:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        found.faults.append(f"“{text[:50]}” is no address")
        return
    if allowed:
        found.networks.append(network)
