"""`notifier doctor email DOMAIN`: whether mail of that domain arrives, from its records in DNS to one composed message.

Nothing is sent and the database is not asked. The checks are in `channels.mail_records` and `channels.mail_lint`; here
the settings are gathered, one message is composed as every message is, and what DNS does not answer becomes a finding.
"""

import asyncio
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import urlsplit
from uuid import UUID

from channels import http
from channels.base import Medium, Outgoing, Refused
from channels.dkim_checking import signatures_of
from channels.email_smtp import EmailSmtp
from channels.errors import ChannelError
from channels.mail_dns import Address, Dns, NoAnswer
from channels.mail_lint import Rules, lint
from channels.mail_records import (
    Finding,
    bad,
    check_dkim,
    check_dmarc,
    check_exchanges,
    check_mta_sts,
    check_sender,
    check_spf,
    ok,
    sending_addresses,
    warn,
)
from channels.registry import find
from notifier.broadcast.cautions import SHORTENERS
from notifier.config import Environment
from notifier.delivery import marks
from notifier.delivery.tokens import links_of, names_of
from notifier.delivery.wording import Words, content_of
from subscribers.signing import Keys

LONGEST_POLICY = 64 * 1024  # octets (RFC 8461 §3.3)
NO_SERVER = {"NOTIFIER_SMTP_URL": "smtp://127.0.0.1"}  # to compose with, where none is set
SAMPLE = {
    "title": "Come and meet your local team",
    "body": "We are at the library on **Saturday**.\n\n## What to bring\n\n- Your questions\n- A friend",
    "kind": "news",
    "team_name": "Your local team",
    "area_names": ["Your area"],
    "reply_by": "",
    "can_reply": True,
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command was given. selectors, addresses: beside those that the settings tell."""

    domain: str
    selectors: Sequence[str] = ()
    addresses: Sequence[str] = ()
    nameserver: str = ""
    policy_origin: str = ""


@dataclass(frozen=True, kw_only=True)
class Composed:
    """One mail as it would leave, and whose it is."""

    raw: bytes
    return_path: str
    channel: EmailSmtp


async def examine(environment: Environment, asked: Asked) -> list[Finding]:
    """Every finding about the domain, the records first. ValueError where the domain or an address given is none."""
    dns, domain = Dns(asked.nameserver), _in_dns(asked.domain)
    given = [ip_address(each) for each in asked.addresses]
    mail = compose(environment)
    signer = mail.channel.signer if isinstance(mail, Composed) else None
    selectors = list(dict.fromkeys([*asked.selectors, *([signer.selector] if signer else [])]))
    ours = {signer.selector: signer.record} if signer and signer.domain == domain else {}
    senders = given or await _relays(dns, environment)
    settings = environment.settings
    exchanges = check_exchanges(
        dns, domain, listens=settings.inbound_listen, is_ours=domain == settings.mail_domain.lower()
    )
    tasks: list[tuple[str, Awaitable[list[Finding]]]] = [
        ("SPF", check_spf(dns, domain, senders)),
        ("DKIM", _keys(dns, domain, selectors, ours)),
        ("DMARC", check_dmarc(dns, domain)),
        ("MX", exchanges),
        ("MTA-STS", _with_policies(dns, domain, asked.policy_origin)),
        ("PTR", _names(dns, senders)),
    ]
    answers = await asyncio.gather(*(_answered(check, task) for check, task in tasks))
    return [
        each
        for found in [*answers, await _linted(dns, mail, environment, replace(asked, domain=domain))]
        for each in found
    ]


def _in_dns(domain: str) -> str:
    """A domain as DNS spells it, other letters than ASCII included."""
    try:
        found = domain.lower().rstrip(".").encode("idna").decode()
    except UnicodeError:
        found = ""
    if "." not in found or not re.fullmatch(r"[a-z0-9.-]{1,253}", found):
        raise ValueError(f"{domain!r} is no domain")
    return found


async def _answered(check: str, work: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await work
    except NoAnswer as error:
        return [warn(check, f"{error}: try again, or name a server with --nameserver")]


async def _keys(dns: Dns, domain: str, selectors: Sequence[str], ours: Mapping[str, str]) -> list[Finding]:
    if not selectors:
        return [warn("DKIM", "Not looked at: say what your relay signs with, by --selector NAME")]
    return [await check_dkim(dns, domain, each, ours=ours.get(each, "")) for each in selectors]


async def _names(dns: Dns, senders: Sequence[Address]) -> list[Finding]:
    if not senders:
        return [
            warn("PTR", "Not looked at: the relay is in the house; give its public address, by --address")
        ]
    return [await check_sender(dns, each) for each in senders]


async def _relays(dns: Dns, environment: Environment) -> tuple[Address, ...]:
    """The relay's public addresses, where the settings name one."""
    host = urlsplit(environment.mapping.get("NOTIFIER_SMTP_URL", "")).hostname or ""
    try:
        return await sending_addresses(dns, host) if host else ()
    except NoAnswer:
        return ()


async def _with_policies(dns: Dns, domain: str, origin: str) -> list[Finding]:
    async def fetch(domain: str) -> str:
        url = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
        try:
            async with session.request("GET", url) as response:
                if response.status != 200:  # a redirect counts as none (RFC 8461 §3.3)
                    raise LookupError(f"the answer is {response.status}")
                return (await response.read())[:LONGEST_POLICY].decode("utf-8", "replace")
        except http.TROUBLE as error:
            raise LookupError("no good answer from there, or a certificate for another name") from error

    session = http.Session(origin)
    try:
        return await check_mta_sts(dns, domain, fetch)
    finally:
        await session.close()


# --- One message, as every message is made ------------------------------------------------


def compose(environment: Environment) -> Composed | str:
    """A team's message to many, by the same steps as any; or why it cannot be made."""
    settings = environment.settings
    domain, keys = settings.mail_domain, Keys(["only to have links of the length"])
    (names,) = names_of(keys, [1], domain)
    (links,) = links_of(keys, settings.public_url, [(UUID(int=1), 1)])
    words = Words(
        template="message",
        variables=SAMPLE
        | {
            "team_url": f"{settings.public_url}/areas/E05999001",
            "service_name": settings.service_name,
            "force_name": settings.force_name,
        },
        language="en",
        marks=marks.of_message(
            UUID(int=1), "news", team_name="Your local team", team_slug="sample", domain=domain
        ),
    )
    try:
        channel = _channel(environment)
        message = Outgoing(
            attempt="",
            delivery=names.delivery,
            to="somebody@gmail.example",
            prepared=channel.prepare(content_of(words, Medium.EMAIL, channel)),
            values=links,
            reply_to=names.reply,
            return_path=names.bounce,
            headers=marks.one_click(links["unsubscribe_url"]),
        )
    except ChannelError as error:
        return str(error)
    raw = channel.composed(message)
    if isinstance(raw, Refused):
        return raw.reason
    return Composed(raw=raw, return_path=names.bounce, channel=channel)


def _channel(environment: Environment) -> EmailSmtp:
    """The first open channel that speaks SMTP, else the usual one."""
    for name in environment.settings.channels:
        kind = find(name)
        if issubclass(kind, EmailSmtp):
            return kind.from_env(environment.for_channels())
    return EmailSmtp.from_env(NO_SERVER | environment.for_channels())


async def _linted(dns: Dns, mail: Composed | str, environment: Environment, asked: Asked) -> list[Finding]:
    if isinstance(mail, str):
        return [bad("message", f"No message can be composed: {mail}")]
    keys = {}
    for signature in signatures_of(mail.raw):
        try:
            keys[signature.record_name] = next(iter(await dns.texts(signature.record_name)), "")
        except NoAnswer as error:
            return [warn("message", f"{error}: its signature cannot be checked")]
    rules = Rules(
        domain=asked.domain,
        return_path=mail.return_path,
        own_hosts={
            urlsplit(environment.settings.public_url).hostname or "",
            environment.settings.mail_domain,
        },
        now=datetime.now(UTC),
        keys=keys,
        shorteners=SHORTENERS,
        is_signed_later=bool(asked.selectors),
    )
    found = lint(mail.raw, rules)
    return [ok("message", f"A sample of {len(mail.raw):,} octets was composed, and not sent"), *found]
