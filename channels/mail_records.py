"""Whether a domain's records let its mail arrive: SPF, DKIM, DMARC, MX, MTA-STS, TLS-RPT, PTR. For `doctor email`.

Each check asks DNS and answers in findings, each a plain sentence that says what to do. Sources: RFC 7208, 6376, 7489,
8461, 8460; support.google.com/a/answer/81126 and senders.yahooinc.com/best-practices (what bulk senders must have).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from cryptography.hazmat.primitives.asymmetric import rsa

from channels.dkim_checking import NoKey, read_key
from channels.mail_dns import Address, Dns
from channels.mail_spf import MOST_LOOK_UPS, Spf, read_spf

LEAST_BITS = 2048
FetchPolicy = Callable[[str], Awaitable[str]]  # the policy of a domain; LookupError where it cannot be had


class Level(StrEnum):
    """How grave a finding is."""

    OK = "ok"
    WARN = "warn"  # mail arrives, and could be safer
    BAD = "bad"  # mail is refused, lost or taken for spam


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    sentence: str


def ok(check: str, sentence: str) -> Finding:
    return Finding(check=check, level=Level.OK, sentence=sentence)


def warn(check: str, sentence: str) -> Finding:
    return Finding(check=check, level=Level.WARN, sentence=sentence)


def bad(check: str, sentence: str) -> Finding:
    return Finding(check=check, level=Level.BAD, sentence=sentence)


# --- Who may send -------------------------------------------------------------------------


async def check_spf(dns: Dns, domain: str, senders: Sequence[Address]) -> list[Finding]:
    """senders: the addresses our mail reaches the world from, where they are known."""
    spf = await read_spf(dns, domain)
    if not spf.records:
        return [bad("SPF", f"{domain} has no SPF record: publish a TXT record like “v=spf1 include:… -all”")]
    if spf.records > 1:
        return [bad("SPF", f"{domain} has {spf.records} SPF records, which is an error: join them into one")]
    found = [bad("SPF", f"The SPF record of {domain} is wrong: {fault}") for fault in spf.faults]
    if spf.look_ups > MOST_LOOK_UPS:
        words = (
            f"needs {spf.look_ups} look-ups, and receivers stop at {MOST_LOOK_UPS}: take some includes out"
        )
        found.append(bad("SPF", f"The SPF record of {domain} {words}"))
    found += [_end_of(spf, domain), *(_allowed(spf, domain, sender) for sender in senders)]
    if all(each.level is Level.OK for each in found):
        found.insert(0, ok("SPF", f"One record, {spf.look_ups} of {MOST_LOOK_UPS} look-ups"))
    return found


def _end_of(spf: Spf, domain: str) -> Finding:
    match spf.ends:
        case "-" | "~":
            return ok("SPF", f"It ends in {spf.ends}all: others may not send as {domain}")
        case "+":
            return bad("SPF", "It ends in +all, which lets anybody send as you: end it in -all")
        case _:
            return warn("SPF", "It does not say what others may not do: end it in -all or ~all")


def _allowed(spf: Spf, domain: str, sender: Address) -> Finding:
    if spf.allows(sender):
        return ok("SPF", f"{sender} may send for {domain}")
    if spf.is_open:
        return warn("SPF", f"Whether {sender} may send depends on the mail: try it with a real one")
    return bad(
        "SPF", f"{sender} sends our mail and the SPF record does not name it: add ip{sender.version}:{sender}"
    )


# --- Signatures and policy ----------------------------------------------------------------


async def check_dkim(dns: Dns, domain: str, selector: str, *, ours: str = "") -> Finding:
    """The key that receivers check our signatures with. ours: the record that our own key needs, where we sign."""
    name = f"{selector}._domainkey.{domain}"
    records = [text for text in await dns.texts(name) if "p=" in text]
    if len(records) != 1:
        count = "no key" if not records else f"{len(records)} keys where there may be one"
        told = f": publish TXT “{ours}”" if ours else ""
        return bad("DKIM", f"There is {count} at {name}{told}")
    try:
        key = read_key(records[0])
    except NoKey as error:
        return bad("DKIM", f"{name}: {error}: publish it anew")
    if ours and _value(records[0], "p") != _value(ours, "p"):
        return bad("DKIM", f"The key at {name} is not the one we sign with: publish TXT “{ours}”")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_BITS:
        return bad("DKIM", f"The key at {name} has {key.key_size} bits: make one of {LEAST_BITS}")
    if "y" in _value(records[0], "t").split(":"):
        return warn("DKIM", f"The key at {name} says that it is a test (t=y): take that out")
    kind = f"RSA, {key.key_size} bits" if isinstance(key, rsa.RSAPublicKey) else "Ed25519"
    return ok("DKIM", f"The key at {name} is good: {kind}")


async def check_dmarc(dns: Dns, domain: str) -> list[Finding]:
    """Of the domain, or of the nearest one above it that has one."""
    at, records = await _policy_above(dns, domain)
    if not records:
        words = f"publish TXT “v=DMARC1; p=quarantine; rua=mailto:…” at _dmarc.{domain}"
        return [bad("DMARC", f"{domain} has no DMARC policy, which Gmail and Yahoo ask for: {words}")]
    if len(records) > 1:
        return [bad("DMARC", f"There are {len(records)} DMARC records at _dmarc.{at}: keep one")]
    record = records[0]
    policy = (at != domain and _value(record, "sp")) or _value(record, "p")
    found = []
    match policy:
        case "reject" | "quarantine":
            found.append(
                ok("DMARC", f"The policy is {policy}: mail that others send as {domain} is kept away")
            )
        case "none":
            found.append(
                warn("DMARC", "The policy is none: once reports look right, ask for quarantine, then reject")
            )
        case _:
            found.append(
                bad("DMARC", f"The policy “{policy[:20]}” is none that receivers know: set p=quarantine")
            )
    if not _value(record, "rua"):
        found.append(warn("DMARC", "Nobody gets its reports: add rua=mailto:… and see who sends as you"))
    if _value(record, "pct") not in ("", "100"):
        found.append(warn("DMARC", f"It holds for {_value(record, 'pct')[:3]} % of mail only: take pct out"))
    return found


async def _policy_above(dns: Dns, domain: str) -> tuple[str, list[str]]:
    labels = domain.split(".")
    for start in range(max(len(labels) - 1, 1)):
        at = ".".join(labels[start:])
        texts = await dns.texts(f"_dmarc.{at}")
        found = [text for text in texts if text.replace(" ", "").upper().startswith("V=DMARC1")]
        if found:
            return at, found
    return domain, []


# --- Mail that comes back -----------------------------------------------------------------


async def check_exchanges(dns: Dns, domain: str, *, listens: str, is_ours: bool) -> list[Finding]:
    """Replies and bounces come to the mail domain. listens: where our listener takes them. is_ours: it is that domain."""
    hosts = await dns.exchanges(domain)
    if not hosts:
        return [
            bad("MX", f"{domain} has no MX record, so no reply or bounce can come: name your mail server")
        ]
    if hosts == ("",):
        return [bad("MX", f"{domain} says that it takes no mail: name your mail server in MX")]
    found = []
    for host in hosts:
        addresses = await dns.addresses(host)
        if addresses:
            found.append(ok("MX", f"{host} takes mail for {domain}"))
        else:
            found.append(bad("MX", f"{host} is named in MX and has no address"))
    if is_ours and not listens:
        found.append(bad("MX", "Nothing listens for replies and bounces: set NOTIFIER_INBOUND_LISTEN"))
    elif is_ours:
        found.append(ok("MX", f"That server must hand all mail for {domain} to {listens}"))
    return found


async def check_mta_sts(dns: Dns, domain: str, fetch: FetchPolicy) -> list[Finding]:
    """Whether other servers must use TLS when they bring replies (RFC 8461), and whether they report (RFC 8460)."""
    texts = [text for text in await dns.texts(f"_mta-sts.{domain}") if text.startswith("v=STSv1")]
    reports = [text for text in await dns.texts(f"_smtp._tls.{domain}") if text.startswith("v=TLSRPTv1")]
    reported = (
        ok("TLS-RPT", "Failures of TLS are reported")
        if len(reports) == 1 and _value(reports[0], "rua")
        else warn(
            "TLS-RPT",
            f"Nobody hears when TLS fails: publish “v=TLSRPTv1; rua=mailto:…” at _smtp._tls.{domain}",
        )
    )
    if not texts:
        words = "replies may come in the clear where somebody listens on the way"
        return [warn("MTA-STS", f"{domain} does not ask for TLS (MTA-STS): {words}"), reported]
    if len(texts) > 1 or not _value(texts[0], "id").isalnum():
        return [
            bad("MTA-STS", f"The record at _mta-sts.{domain} must be one, with an id of letters and digits"),
            reported,
        ]
    try:
        policy = await fetch(domain)
    except LookupError as error:
        return [bad("MTA-STS", f"The policy at https://mta-sts.{domain} cannot be read: {error}"), reported]
    return [_policy(policy, await dns.exchanges(domain)), reported]


def _policy(text: str, hosts: Sequence[str]) -> Finding:
    pairs = [
        (name.strip(), value.strip())
        for name, _, value in (line.partition(":") for line in text.splitlines())
    ]
    values = dict(pairs)
    patterns = [value.lower() for name, value in pairs if name == "mx"]
    if values.get("version") != "STSv1" or not values.get("max_age", "").isdigit():
        return bad("MTA-STS", "The policy must say “version: STSv1” and max_age in seconds")
    left_out = [host for host in hosts if not any(_matches(host, pattern) for pattern in patterns)]
    match values.get("mode"):
        case "enforce" if left_out:
            return bad("MTA-STS", f"The policy does not name {left_out[0]}, so mail to it will be held back")
        case "enforce":
            return ok("MTA-STS", "Other servers must use TLS to bring replies")
        case "testing" | "none":
            return warn(
                "MTA-STS", f"The policy is in mode {values['mode']}: set enforce once reports are quiet"
            )
        case _:
            return bad("MTA-STS", "The policy has no mode that servers know: set enforce, testing or none")


def _matches(host: str, pattern: str) -> bool:
    return host.partition(".")[2] == pattern[2:] if pattern.startswith("*.") else host == pattern


# --- Where it comes from ------------------------------------------------------------------


async def check_sender(dns: Dns, address: Address) -> Finding:
    """The name of an address must lead back to it, or the large receivers turn its mail away."""
    names = await dns.names(address)
    if not names:
        return bad("PTR", f"{address} has no name (PTR): ask whoever gave you the address to set one")
    for name in names:
        if address in await dns.addresses(name):
            return ok("PTR", f"{address} is {name}, and {name} is {address}")
    return bad("PTR", f"{address} calls itself {names[0]}, which is another address: make the two agree")


async def sending_addresses(dns: Dns, relay: str) -> tuple[Address, ...]:
    """The public addresses of the server that takes our mail; none where it is inside the house."""
    try:
        found: tuple[Address, ...] = (ip_address(relay),)
    except ValueError:
        found = await dns.addresses(relay) if "." in relay else ()
    return tuple(address for address in found if address.is_global)


def _value(record: str, name: str) -> str:
    """One value of `name=value; name=value`, empty where it is not there."""
    pairs = (part.partition("=") for part in record.split(";"))
    return next((rest.strip() for key, _, rest in pairs if key.strip().lower() == name), "").replace(" ", "")
