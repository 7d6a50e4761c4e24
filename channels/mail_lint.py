"""Whether one composed mail keeps the rules for bulk mail of Gmail and Yahoo. Pure; for `doctor email`.

Sources: support.google.com/a/answer/81126, senders.yahooinc.com/best-practices, RFC 5322, 8058, 2919. It reads the
octets as a receiver does, with the standard library, and knows nothing of how they were made.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime
from html import unescape
from urllib.parse import urlsplit

from channels import list_headers
from channels.dkim_checking import fault_of, signatures_of
from channels.mail_records import Finding, Level, bad, ok, warn

CLIPPED = 102 * 1024  # octets of HTML, beyond which Gmail hides the end of a mail, and with it how to stop
LONGEST_LINE = 998
MUST_COVER = ("from", "to", "subject", "date", "message-id", "mime-version", "content-type")
ALSO_COVER = ("list-unsubscribe", "list-unsubscribe-post")

_ID = re.compile(r"<[^\s<>@]+@[^\s<>@]+>")
_LIST_ID = re.compile(r"(?:.*\s)?<[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+>", re.DOTALL)
_HREF = re.compile(r"<a\b[^>]*?\bhref=\"([^\"]*)\"", re.IGNORECASE)
_ONCE = ("From", "To", "Subject", "Date", "Message-ID")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What one mail is held against.

    domain: the one that is checked. return_path: where bounces go. keys: DKIM records by where they stand in DNS.
    shorteners: hosts that hide where a link leads. is_signed_later: the relay signs.
    """

    domain: str
    return_path: str
    own_hosts: Collection[str]
    now: datetime
    keys: dict[str, str] = field(default_factory=dict)
    shorteners: Collection[str] = ()
    is_signed_later: bool = False


def lint(raw: bytes, rules: Rules) -> list[Finding]:
    """Findings about a mail to many; one that says all is well where there is nothing to say of a matter."""
    mail = message_from_bytes(raw, policy=policy.SMTP)
    return [
        *_of_headers(mail, rules),
        *_of_stopping(mail),
        *_of_parts(mail),
        *_of_links(mail, rules),
        *_of_lines(raw),
        *_of_signatures(raw, mail, rules),
    ]


def is_aligned(host: str, domain: str) -> bool:
    """Whether DMARC takes the two for one organisation, as far as names alone tell: the same, or one above the other."""
    one, other = host.lower().rstrip("."), domain.lower().rstrip(".")
    return one == other or one.endswith(f".{other}") or (other.endswith(f".{one}") and "." in one)


def _of_headers(mail: EmailMessage, rules: Rules) -> Iterator[Finding]:
    wrong = [name for name in _ONCE if len(mail.get_all(name, [])) != 1]
    wrong += ["a header that cannot be read" for _ in mail.defects[:1]]
    if wrong:
        yield bad("headers", f"Must stand once in every mail, and do not: {', '.join(wrong)}")
        return
    senders = [address for _, address in getaddresses([str(mail["From"])])]
    hosts = [address.rpartition("@")[2] for address in senders]
    if len(senders) != 1 or not hosts[0]:
        yield bad("From", "There must be one sender, with an address")
    elif not is_aligned(hosts[0], rules.domain):
        yield bad("From", f"It is from {hosts[0]}, not from {rules.domain}: set NOTIFIER_MAIL_FROM")
    else:
        yield ok("From", f"One sender, at {hosts[0]}")
    back = rules.return_path.rpartition("@")[2]
    if is_aligned(back, hosts[0]):
        yield ok("return path", f"Bounces go to {back}, so SPF speaks for the same organisation as From")
    else:
        yield warn("return path", f"Bounces go to {back}: SPF counts for DMARC only in the domain of From")
    if not _ID.fullmatch(str(mail["Message-ID"]).strip()):
        yield bad("Message-ID", "It is not of the form <name@domain>")
    yield from _of_date(str(mail["Date"]), rules.now)
    if _LIST_ID.fullmatch(str(mail.get("List-Id", "")).strip()):
        yield ok("List-Id", "Mail programs can sort by list")
    else:
        yield bad("List-Id", "There is no List-Id of the form <name.domain>")


def _of_date(date: str, now: datetime) -> Iterator[Finding]:
    try:
        is_near = abs(parsedate_to_datetime(date) - now) < timedelta(days=1)
    except (ValueError, TypeError):
        is_near = False
    if not is_near:
        yield bad("Date", "It is not today: is this machine's clock right?")


def _of_stopping(mail: EmailMessage) -> Iterator[Finding]:
    """RFC 8058 §3.1: an https address, and the word that a POST to it is enough."""
    post = str(mail.get("List-Unsubscribe-Post", ""))
    found = list_headers.read(str(mail.get("List-Unsubscribe", "")), post)
    if not found.uris or not post:
        yield bad(
            "one-click", "Gmail and Yahoo ask for List-Unsubscribe and List-Unsubscribe-Post in mail to many"
        )
    elif not found.one_click:
        yield bad(
            "one-click",
            "One click needs an address in List-Unsubscribe that begins with https://: set NOTIFIER_BASE_URL",
        )
    else:
        yield ok("one-click", "One press in the mail program ends the mails")


def _of_parts(mail: EmailMessage) -> Iterator[Finding]:
    parts = {part.get_content_type(): part for part in mail.walk() if not part.is_multipart()}
    if not {"text/plain", "text/html"} <= parts.keys():
        yield bad("parts", "There must be a text part and an HTML part")
        return
    size = len(parts["text/html"].get_payload(decode=True) or b"")
    if size > CLIPPED:
        yield bad(
            "size", f"The HTML has {size // 1024} kB: Gmail hides what is beyond 102, and with it how to stop"
        )
    else:
        yield ok("parts", f"Text and HTML, {size / 1024:.0f} kB of the 102 that Gmail shows")


def _of_links(mail: EmailMessage, rules: Rules) -> Iterator[Finding]:
    part = mail.get_body(("html",))
    if part is None:
        return
    found = [urlsplit(unescape(link)) for link in _HREF.findall(str(part.get_content()))]
    web = [link for link in found if link.scheme not in ("tel", "mailto")]
    hosts = {(link.hostname or "").lower() for link in web}
    for host in sorted(hosts & set(rules.shorteners)):
        yield bad("links", f"{host} hides where a link leads: give the real address")
    if any(link.scheme != "https" for link in web):
        yield bad("links", "There is a link that is not https://")
    strange = sorted(host for host in hosts if not any(is_aligned(host, own) for own in rules.own_hosts))
    if strange:
        yield warn("links", f"There is a link to {strange[0]}, which is not ours")
    elif web and all(link.scheme == "https" for link in web):
        yield ok("links", f"{len(web)} links, all secure and our own")


def _of_lines(raw: bytes) -> Iterator[Finding]:
    longest = max(len(line) for line in raw.split(b"\r\n"))
    if longest > LONGEST_LINE or b"\n" in raw.replace(b"\r\n", b"") or b"\0" in raw:
        yield bad("lines", f"A line is longer than {LONGEST_LINE} octets or does not end as lines of mail do")
    else:
        yield ok("lines", f"The longest line has {longest} octets of {LONGEST_LINE}")


def _of_signatures(raw: bytes, mail: EmailMessage, rules: Rules) -> Iterator[Finding]:
    signatures = signatures_of(raw)
    if not signatures and rules.is_signed_later:
        yield ok(
            "signature", "We do not sign; the relay must, both List-Unsubscribe headers included (RFC 8058)"
        )
    elif not signatures:
        yield bad(
            "signature",
            "Nothing signs this mail: let the relay sign, or set NOTIFIER_DKIM_SELECTOR and its key",
        )
    for signature in signatures:
        domain = signature.tags.get("d", "")
        left_out = _left_out(mail, signature.covered)
        fault = fault_of(raw, signature, rules.keys.get(signature.record_name, ""))
        if fault:
            yield bad("signature", f"The signature of {domain} does not hold: {fault}")
        elif not is_aligned(domain, rules.domain):
            yield bad("signature", f"It is signed by {domain}, not by {rules.domain}")
        elif left_out:
            yield bad("signature", f"The signature does not cover {', '.join(left_out)}")
        else:
            yield ok("signature", f"Signed by {domain}, and what must be covered is")


def _left_out(mail: EmailMessage, covered: Sequence[str]) -> list[str]:
    wanted = [*MUST_COVER, *(name for name in ALSO_COVER if name in mail)]
    return [name for name in wanted if name not in covered]


def gravest(findings: Sequence[Finding]) -> Level:
    """The level of the gravest of them."""
    order = list(Level)
    return max((each.level for each in findings), key=order.index, default=Level.OK)
