"""What DNS says, for the checks of a mail domain (`mail_records`). The one home of dnspython; imported by `doctor email`.

An answer of nothing is an answer: an empty tuple. No answer at all is `NoAnswer`, and says nothing of the domain.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver
import dns.reversename

Address = IPv4Address | IPv6Address

ANSWER_SECONDS = 5.0  # for one question, its repetitions included


class NoAnswer(Exception):
    """DNS gave no answer to a question."""

    def __init__(self, name: str) -> None:
        super().__init__(f"DNS gave no answer about {name}")


class Dns:
    """Questions to the machine's own resolver, or to one that is named."""

    def __init__(self, nameserver: str = "", *, seconds: float = ANSWER_SECONDS) -> None:
        """nameserver: `HOST:PORT` or `HOST`, by address (IPv6 in brackets). ValueError where it is no address."""
        parts = urlsplit(f"//{nameserver}")
        if nameserver and not parts.hostname:
            raise ValueError("a name server is given by its address, as 192.0.2.1 or 192.0.2.1:53")
        self._nameserver = str(ip_address(parts.hostname)) if parts.hostname else ""
        self._port, self._seconds = parts.port or 53, seconds
        self._opened: dns.asyncresolver.Resolver | None = None

    async def texts(self, name: str) -> tuple[str, ...]:
        """TXT records, the strings of each joined (RFC 7208 §3.3)."""
        return tuple(
            b"".join(record.strings).decode("utf-8", "replace") for record in await self._ask(name, "TXT")
        )

    async def exchanges(self, name: str) -> tuple[str, ...]:
        """Hosts that take mail, the preferred first; a lone empty name where the domain takes none (RFC 7505)."""
        found = sorted(await self._ask(name, "MX"), key=lambda record: int(record.preference))
        return tuple(_bare(record.exchange) for record in found)

    async def addresses(self, host: str) -> tuple[Address, ...]:
        """IPv4 and IPv6."""
        records = [*await self._ask(host, "A"), *await self._ask(host, "AAAA")]
        return tuple(ip_address(record.address) for record in records)

    async def names(self, address: Address) -> tuple[str, ...]:
        """Whom an address says it belongs to (PTR)."""
        asked = dns.reversename.from_address(str(address))
        return tuple(_bare(record.target) for record in await self._ask(_bare(asked), "PTR"))

    # Any: a record's attributes depend on its kind.
    async def _ask(self, name: str, kind: str) -> Sequence:  # type: ignore[type-arg]
        try:
            answer = await self._resolver().resolve(f"{name}.", kind, lifetime=self._seconds, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.name.LabelTooLong, dns.name.EmptyLabel, dns.name.NameTooLong, UnicodeError):
            return ()  # nothing can stand at such a name
        except (dns.exception.DNSException, OSError) as error:
            raise NoAnswer(name) from error
        return list(answer)

    def _resolver(self) -> dns.asyncresolver.Resolver:
        if self._opened is None:
            self._opened = dns.asyncresolver.Resolver(configure=not self._nameserver)
            if self._nameserver:
                self._opened.nameservers, self._opened.port = [self._nameserver], self._port
        return self._opened


def _bare(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")
