"""Why a mail was not delivered: a status, and what kind of failure it is, from a mail system's own words.

Pure. Called by `delivery_fields` and `bounce_wordings` for each recipient. What the words say counts for more than the
status beside them: many systems write 5.0.0, 5.1.1 or 5.7.1 for whatever it is.
Sources: RFC 3463 and 5248 (enhanced status codes), RFC 7504 (556), RFC 7505 (a host that takes no mail).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

MAX_REASON = 3_000  # characters of a system's explanation that are looked at


class Failure(StrEnum):
    """What a failure says of the address it was for."""

    GONE = "gone"  # no such mailbox or domain, or it has moved
    FULL = "full"
    DISABLED = "disabled"  # there, but it takes no mail at present
    REFUSED = "refused"  # our words, our server or our signature: not the person's matter
    LATER = "later"  # not reached in time
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """status: RFC 3463, made up from the words where the system gave none that says anything."""

    status: str
    failure: Failure
    permanent: bool


# Phrases in lower case, single spaces. `~` stands for a few other characters of the same sentence.
_ABOUT_US = (
    "after mail from", "reply to mail from", "response to mail from", "sender address", "sender domain", "domain of sender", "sender~rejected", "sender~denied",
    "sender~invalid", "sender~not accepted", "sender~not exist", "sender~not found", "sender verify", "unroutable sender", "unrouteable sender", "mail from~reject",
    "blacklisted", "black listed", "too many invalid", "too many unknown", "too many bad recipients", "verification failed for",
    "accept mail from", "accepting mail from", "access from", "dynamic ip", "sender ip", "server ip", "your remotehost", "your hostname", "relay host name",
    "from address not verified", "sender was rejected", "mail from~mismatch",
)  # fmt: skip
_FULL = (
    "mailbox~full", "mailbox~exceed", "mail box~full", "inbox~full", "full mailbox", "mailbox for~full", "account is full", "folder is full",
    "quota~exceed", "exceed~quota", "over quota", "overquota", "over~quota", "disk quota", "quota violation", "quota full", "out of storage",
    "exceed~storage", "exceed~mailbox size", "mailbox size limit", "mailbox size exceed", "not enough storage space", "insufficient~storage space",
    "insufficient disk", "not enough disk", "too many messages in", "too many messages on", "too much mail data", "mailbox too large", "mailbox has exceeded",
    "postfach~voll", "bo\u00eete~pleine", "boite~pleine", "buz\u00f3n~lleno", "cuota", "casella~piena", "\u6e80\u6761\u3044", "\u4e00\u676f\u306e\u305f\u3081",
)  # fmt: skip
_GONE = (
    "user unknown", "unknown user", "user is unknown", "user~not found", "user~not exist", "user~doesn't exist", "no such user", "no such mailbox",
    "no such recipient", "no such person", "no such account", "no such address", "no such local", "no such domain", "no such host", "no such email",
    "addressee unknown", "expired account", "address lookup~failed", "does not handle mail", "unknown recipient", "unknown local", "unknown address", "unknown mailbox", "unknown account", "recipient unknown", "recipient~not found",
    "recipient~not exist", "recipient~doesn't exist", "recipient is invalid", "mailbox~not found", "mailbox~not exist", "mailbox~doesn't exist", "mailbox unknown",
    "address~not found", "address~not exist", "address~doesn't exist", "address unknown", "address error", "account~not exist", "account~doesn't exist",
    "account~not found", "no account", "no mailbox", "invalid recipient", "invalid mailbox", "invalid user", "invalid address", "invalid username",
    "recipnotfound", "adr.exrecip", "not a valid user", "not a valid mailbox", "not a valid recipient", "not a known user", "is not known", "not listed in",
    "isn't listed", "not our customer", "nobody by", "non-existent", "nonexistent", "not exist", "couldn't be found", "could not be found", "can't be found",
    "cannot be found", "unrouteable", "unroutable", "host unknown", "unknown host", "host~not found", "domain~not found", "domain~not exist", "domain~doesn't exist",
    "host~not exist", "domain name not found", "nxdomain", "name or service not known", "no mx", "null mx", "nullmx", "doesn't accept mail", "does not accept mail",
    "don't accept mail", "do not accept mail", "unable to resolve", "couldn't find any host", "cannot find~domain", "dns loop", "no longer works", "no longer valid",
    "no longer in use", "no longer with", "no longer employed", "no longer available", "has moved", "has been moved", "has changed", "recipient no longer on server",
    "doesn't have a~account", "does not have a~account", "incorrectly constructed", "malformed address", "mailbox unavailable or does", "not local to",
    "no one by", "unbekannt", "existiert nicht", "inexistente", "n'existe pas", "inconnu", "no existe", "desconocid", "sconosciut", "onbekend", "nieznany",
    "user doesn't", "not recognized", "not recognised", "action not taken: mailbox unavailable", "address rejected: access denied", "invalid final delivery", "domain does not exist",
    "couldn't find a mail exchanger", "not accepting network messages", "no longer accept", "none of the mail servers", "542~rejected", "not able to find",
    "\u898b\u3064\u304b\u308a\u307e\u305b", "\u898b\u3064\u304b\u3089", "\u89b3\u3064", "could not find~user",
    "could not find~recipient", "could not find~mailbox", "could not find~account", "could not find~address", "could not find~host", "could not find~domain",
    "recipient cannot be verified", "action not taken: mailbox not available", "no mail box",
    "unable to deliver to~unknown", "not a registered", "mailbox is not found", "invalid local", "unknown email", "bad destination mailbox",
    "there is no such", "invalid dest", "sorry, no mailbox", "does not have an email", "not a member", "user not local", "no longer exist",
    "\u898b\u3064\u304b\u308a\u307e\u305b\u3093", "\u3042\u308a\u307e\u305b\u3093", "\u5b58\u5728\u3057",
)  # fmt: skip
_REFUSED = (
    "spam", "virus found", "virus detected", "contains a virus", "infected", "malware", "phish", "unsolicited", "blacklist", "black list", "blocklist", "block list", "blocked", "dnsbl",
    "rbl", "reputation", "greylist", "banned", "dmarc", "spf", "dkim", "unauthenticated", "not authorized", "not authorised", "reverse dns", "ptr record", "rdns", "helo",
    "content reject", "content filter", "message content", "message rejected", "message refused", "message size", "message too", "message header", "too large", "too big",
    "size limit", "size exceed", "maximum size", "policy", "relaying denied", "relay access denied", "relay not permitted", "unable to relay", "not permitted to relay",
    "relaying not", "we do not relay", "access denied", "rate limit", "too many connections", "too many recipients", "too many hops", "too many unwanted", "too many mails",
    "sending ip", "sending mta", "client host",
    "your ip", "ip address", "listed at", "listed in", "mail loop", "loop", "attachment~not allowed", "attachment~reject", "attachment~block", "moderated", "restricted", "non-member", "tls", "certificate", "mail rejete",
    "rejected for", "header error", "domain filter", "invalid ip", "in your mail", "not allowed to send", "security", "suspicious",
    "administrative", "junk", "compliant", "authentication required", "your mailserver", "your mail server", "your country", "your region", "approved list",
    "listed by", ":blocked", "rejected, see", "rejected see", "rejected - see", "to virus", "forbidden", "prohibited", "abuse", "bulk mail", "not allowed to connect",
    "not authenticated", "throttl", "slow down", "too much mail", "uribl", "surbl", "contact postmaster", "out of sequence",
    "open proxy", "go away", "mailing list", "this group", "protocol violation", "mass mailer", "filtered", "content denied",
    "blocked by", "is blocked", "your isp", "spf record", "header are not", "multiple addresses",
    "authentication is required", "relaying mail", "relaying to", "bad_header", "duplicate header", "ct signature", "requires confirmation", "automatically rejected", "not accepting mail with", "no smtp service",
    "unauthorized relay", "unauthorised relay", "relay through", "not a gateway", "local user only", "local users only", "auth failed", "bounced by admin",
    "refused to receive", "refuses to receive", "mime error", "mime structure", "mime/reject", "mime header", "invalid data in", "mail data refused", "mail data rejected", "mail~is rejected", "mail~is refused",
    "message~is rejected", "message~is refused", "domain is not allowed", "character set",
)  # fmt: skip
_DISABLED = (
    "account~disabled", "mailbox~disabled", "user~disabled", "recipient~disabled", "disabled recipient", "disabled user", "account~inactive", "mailbox~inactive",
    "user~inactive", "account~suspended", "mailbox~suspended", "user~suspended", "account~ locked", "mailbox~ locked", "account has expired", "mailbox has expired",
    "account is not active", "mailbox is not active", "out of service", "inactive user", "inactive recipient", "user not active", "not an active address", "suspended", "deactivated", "account expired",
    "account is expired", "account is blocked", "not an active",
)  # fmt: skip
_LATER = (
    "timed out", "timeout", "time out", "temporar", "try again", "try later", "deferred", "connection refused", "connection reset", "connection lost", "connection was",
    "connection died", "expired", "retry", "no answer", "not respond", "unreachable", "no route to host", "network", "too long", "delayed", "unable to connect", "cannot connect",
    "could not be delivered for", "cannot send message for", "dns error", "lookup failure", "service unavailable", "service not available", "too many hours", "in the queue",
    "system resources", "internal error", "server error", "system error", "database error", "local error", "configuration error", "config error", "system call", "write error", "misconfigured", "configuration problem", "a problem occurred", "queue full",
    "name server reply",
)  # fmt: skip


_PERHAPS_GONE = (  # where nothing else is said
    "were unknown", "unknown e-mail", "no one at this", "no mail box", "not a local", "not local", "bad recipient",
    "bad address", "badrcptto", "mailbox~unavailable", "account unavailable", "mailbox~invalid",
)  # fmt: skip
_FOR_NOW = (
    "temporarily disabled", "temporarily locked", "temporarily suspended", "temporarily inactive", "temporarily deactivated",
    "disabled temporar", "suspended temporar",
)  # fmt: skip


def _table(phrases: Iterable[str]) -> re.Pattern[str]:
    return re.compile(
        "|".join(re.escape(each).replace("\\~", "~").replace("~", "[^.;]{0,40}") for each in phrases)
    )


_BY_WORDS = (
    (_table(_ABOUT_US), Failure.REFUSED),
    (_table(_FULL), Failure.FULL),
    (_table(_GONE), Failure.GONE),
    (_table(_FOR_NOW), Failure.LATER),
    (_table(_DISABLED), Failure.DISABLED),
    (_table(_REFUSED), Failure.REFUSED),
    (_table(_LATER), Failure.LATER),
    (_table(_PERHAPS_GONE), Failure.GONE),
)
# By subject and detail of a status (RFC 3463 §3), where the words say nothing.
_BY_STATUS = (
    (re.compile(r"[45]\.1\.(?:[0-3]|6|10)$|5\.4\.4$"), Failure.GONE),
    (re.compile(r"[45]\.2\.2$"), Failure.FULL),
    (re.compile(r"5\.2\.1$"), Failure.DISABLED),
    (re.compile(r"[45]\.(?:[67]\.\d{1,3}|1\.[789]|2\.3|3\.4)$"), Failure.REFUSED),
    (re.compile(r"4\.|[45]\.4\."), Failure.LATER),
)
_BY_REPLY = {"551": Failure.GONE, "552": Failure.FULL, "556": Failure.GONE}
_MADE_UP = {
    Failure.GONE: "5.1.1",
    Failure.FULL: "5.2.2",
    Failure.DISABLED: "5.2.1",
    Failure.REFUSED: "5.7.1",
    Failure.LATER: "4.4.7",
    Failure.OTHER: "5.0.0",
}
_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.]*\d)")
_REPLY = re.compile(r"(?<![\d.\-:@\w])[45][0-5]\d(?=[ \-#:>)\]<,]|$)")
_AFTER_DATA = re.compile(r"(?:end of |reply to (?:the )?|final |after )data\b")
_NAMES = re.compile(
    r"<[^<>]{0,320}>|[^\s()]{1,64}@[^\s:;,()]{1,255}|https?://\S{1,500}|(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)"
)
_EMPTY = re.compile(r"\(\s*\)")  # where a name stood: "user (a@b.example) unknown"
# Who keeps lists of senders: the name of one says what a bare link to it is for.
_LISTS = re.compile(
    r"\b(?:spamhaus|spamcop|sorbs|barracudacentral|uribl|surbl|abuseat|senderscore|mailspike)\.[a-z]{2,6}\b"
)
# What a server says of us in the words it has for a recipient: "your domain does not exist", "host not found" after HELO.
_OF_US = re.compile(
    r"\byour (?:ip|host|hostname|server|domain|system|network|mail ?server|helo|isp|provider|dns|mta|e-?mail address|address|relay)\b"
    r"|(?<!to )(?<!to the )\bsender\b|\bsending (?:ip|host|server|domain|mta|address)|\bclient host|\be?helo\b|\breverse\b|\bptr\b|\brdns\b|\bdns check"
    r"|\b(?:dkim|spf|dmarc)\b|\breturn[- ]path\b|\benvelope[- ]from|\bfrom:? (?:address|header|domain|field)\b"
    r"|\baccept\w{0,3} (?:[\w-]{1,20} ){0,3}from\b|\btoo many\b|\b(?:approved|allowed|safe|permitted) (?:senders?|list)\b|\bwhite ?list|\b(?:this|the) (?:list|group)\b"
)
_SENTENCE_END = re.compile(r"[.;!?] ")
# Said before anybody was named as the recipient, so of us: at the greeting, HELO or MAIL FROM.
_BEFORE_RCPT = re.compile(
    r"(?:in reply to|response to|smtp error from remote mail server after) (?:mail from|e?helo|initial connection|starttls|auth)\b|refused to talk to me"
    r"|while performing the e?helo handshake|greeting failed|sender was rejected"
)
_SPACE = re.compile(r"\s+")


def reason_of(status: str, words: str, *, delayed: bool = False) -> Reason:
    """What a system meant. status: its Status field, or nothing. words: what it says of that recipient."""
    flat = _SPACE.sub(" ", words[:MAX_REASON]).lower()
    given, said = first_status(status), first_status(flat)
    best = said if said and (not given or given.endswith(".0.0")) else given
    plain = _plain(flat)
    found = _REPLY.search(plain)
    reply = found[0] if found else ""
    failure = _by_words(flat, plain) or _by_comment(status) or _by_status(best) or _by_reply(reply)
    failure = at_its_stage(failure, flat)
    if failure is Failure.OTHER and _AFTER_DATA.search(flat):
        best = best if best[:3] in ("4.2", "5.2") else ("4.2.0" if reply.startswith("4") else "5.2.0")
    permanent = not delayed and (best or reply or _MADE_UP[failure]).startswith("5")
    if not best or best.endswith(".0.0"):
        best = _made_up(failure, permanent=permanent)
    return Reason(status=best, failure=failure, permanent=permanent)


def failure_in(words: str) -> Failure | None:
    """What a system's words say by themselves, whatever number stands before them; None where they say nothing."""
    flat = _SPACE.sub(" ", words[:MAX_REASON]).lower()
    failure = _by_words(flat, _plain(flat))
    return at_its_stage(failure, flat) if failure is not None else None


def at_its_stage(failure: Failure, words: str) -> Failure:
    """The failure by when in the talk it was told: no server knows before RCPT who is meant, and after DATA it has read us.

    words: in lower case, of a report that tells it ("in reply to MAIL FROM command").
    """
    if failure in (Failure.GONE, Failure.OTHER) and _BEFORE_RCPT.search(words):
        return Failure.REFUSED
    if failure is Failure.GONE and _AFTER_DATA.search(words):  # a filter's way of saying no to the words
        return Failure.OTHER
    return failure


def first_status(text: str) -> str:
    """The first enhanced status in a text, or nothing."""
    found = _STATUS.search(text)
    return found[0] if found else ""


def _plain(flat: str) -> str:
    """Without names: an address may be called spam@, and a link may lead to /policy."""
    return _SPACE.sub(" ", _EMPTY.sub(" ", _NAMES.sub(" ", flat)))


def _by_words(flat: str, plain: str) -> Failure | None:
    of_us = False
    for pattern, failure in _BY_WORDS:
        for found in pattern.finditer(plain):
            if failure is not Failure.GONE or not _OF_US.search(_sentence(plain, found)):
                return failure
            of_us = True
    return Failure.REFUSED if of_us or _LISTS.search(flat) else None


def _sentence(plain: str, found: re.Match[str]) -> str:
    """The sentence around what was found, as far as it matters."""
    before, after = plain[max(0, found.start() - 160) : found.start()], plain[found.end() : found.end() + 80]
    return _SENTENCE_END.split(before)[-1] + found[0] + _SENTENCE_END.split(after, maxsplit=1)[0]


def _by_comment(status: str) -> Failure | None:
    """By the words some systems add to the status, "5.1.1 (bad destination mailbox address)": its meaning in general."""
    return _by_words("", _plain(_SPACE.sub(" ", status[:MAX_REASON]).lower())) if "(" in status else None


def _by_status(status: str) -> Failure | None:
    return next((failure for pattern, failure in _BY_STATUS if pattern.match(status)), None)


def _by_reply(reply: str) -> Failure:
    return _BY_REPLY.get(reply, Failure.LATER if reply.startswith("4") else Failure.OTHER)


def _made_up(failure: Failure, *, permanent: bool) -> str:
    status = _MADE_UP[failure]
    return status if permanent else f"4{status[1:]}"
