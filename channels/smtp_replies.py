"""What a mail server's words mean: for a transaction, for a refused greeting, for a connection that never came about.

Pure. Called by `email_smtp`. Sources: RFC 5321 §4.2 (replies), 3463 (status codes), 1047 (the final dot's window).
"""

import re
import socket
import ssl

import aiosmtplib

from channels.base import Accepted, Failed, Outcome, Refusal, Refused, Throttled, Unknown, Where
from channels.bounce_reasons import Failure, failure_in
from channels.smtp_pipeline import Broken, Ended, Reply, Stage

WAIT_SECONDS = 60.0  # after a 421 or a rate limit that names no time

_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_QUEUED = re.compile(r"queued as ([\w.-]{1,60})", re.IGNORECASE)
_WITH_ADDRESS = re.compile(r"\S*@\S*")
_GREYLISTED = re.compile(r"gr[ae]y[- ]?list", re.IGNORECASE)

# What a permanent reply means, by its status (first match), else by its number, at each stage.
_BY_STATUS = (
    ("5.1.7", Refusal.NOT_ALLOWED),  # the sender's address is bad
    ("5.1.8", Refusal.NOT_ALLOWED),
    ("5.1.", Refusal.BAD_ADDRESS),
    ("5.2.1", Refusal.BAD_ADDRESS),  # the mailbox is closed
    ("5.7.8", Refusal.NOT_ALLOWED),  # our credentials
    ("5.7.9", Refusal.NOT_ALLOWED),
    ("5.7.", Refusal.CONTENT),
)
_BY_NUMBER = {
    Stage.SENDER: {552: Refusal.CONTENT},
    Stage.RECIPIENT: dict.fromkeys((521, 550, 551, 553, 556), Refusal.BAD_ADDRESS),
    Stage.TEXT: {550: Refusal.CONTENT},
}
_CREDENTIALS = (530, 534, 535, 538)
_OTHERWISE = {
    Stage.SENDER: Refusal.NOT_ALLOWED,
    Stage.RECIPIENT: Refusal.CONTENT,
    Stage.TEXT: Refusal.CONTENT,
}

# Whose trouble a passing refusal of a recipient or a text is, by its status (first match), else by its number.
_WHERE_BY_STATUS = (
    ("4.1.7", Where.PROVIDER),  # the sender's address
    ("4.1.8", Where.PROVIDER),
    ("4.1.2", Where.DOMAIN),  # the domain cannot be found now
    ("4.1.", Where.RECIPIENT),
    ("4.2.", Where.RECIPIENT),  # the mailbox
    ("4.", Where.DOMAIN),  # the system behind, the way to it, its rules
)
_WHERE_BY_NUMBER = {450: Where.RECIPIENT, 454: Where.PROVIDER}

# Why a certificate is not believed (OpenSSL's X509_V_ERR numbers).
_CERTIFICATES = {
    9: "the server's certificate is not valid yet",
    10: "the server's certificate has expired",
    18: "the server's certificate is signed by itself",
    62: "the server's certificate is for another name",
    64: "the server's certificate is for another address",
}


class NoTls(aiosmtplib.SMTPException):
    """The server does not offer TLS, which is asked for, or needed for a password."""

    def __init__(self) -> None:
        super().__init__(self.__doc__ or "")


class NoSignIn(aiosmtplib.SMTPException):
    """The server does not offer a way to sign in that we know."""

    def __init__(self) -> None:
        super().__init__(self.__doc__ or "")


def outcome(ended: Ended, own_id: str = "") -> Outcome:
    """What came of a transaction. own_id: of the mail, which names it where the server has no name for it."""
    match ended:
        case Reply(code=code, text=text) if code < 300:
            queued = _QUEUED.search(text)
            return Accepted(provider_id=queued[1] if queued else own_id)
        case Reply():
            return _refused(ended)
        case Broken(handed_over=True, is_late=late):
            return Unknown(reason="no answer to the text in time" if late else "broken after the text")
        case Broken(is_late=late):
            return Failed(
                reason="no answer in time" if late else "the connection broke before the text",
                code="timeout" if late else "broken",
            )


def connection_failed(error: Exception) -> Outcome:
    """What it means that no connection came about: aiosmtplib's errors, those above, OSError and TimeoutError."""
    match error:
        case NoTls() | NoSignIn():
            return Refused(
                why=Refusal.NOT_ALLOWED, reason=str(error), code="tls" if isinstance(error, NoTls) else "auth"
            )
        case aiosmtplib.SMTPAuthenticationError():
            return _sign_in_refused(error)
        case aiosmtplib.SMTPResponseException(code=-1):
            return Failed(reason="what answers there is no mail server", code="greeting")
        case aiosmtplib.SMTPResponseException(code=code, message=text):
            greeting = Reply(Stage.SENDER, code, text)
            return _not_now(greeting) or Failed(reason="greeted with a refusal", code=_code(greeting))
        case TimeoutError():
            return Failed(reason="no connection in time", code="timeout")
        case _:
            return _network_failed(error)


def _network_failed(error: Exception) -> Outcome:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            number = getattr(cause, "verify_code", 0)  # absent where Python itself found the fault
            why = _CERTIFICATES.get(number, "the server's certificate is not signed by anyone we trust")
            return Refused(why=Refusal.NOT_ALLOWED, reason=why, code="tls")
        if isinstance(cause, ssl.SSLError):
            return Failed(reason="no agreement with the server on TLS", code="tls")
        if isinstance(cause, socket.gaierror):
            return Failed(reason="the server's name is not known", code="dns")
    return Failed(reason="no connection", code="connection")


def _causes(error: BaseException | None) -> list[BaseException]:
    """An error and what it came from, at most a few."""
    found: list[BaseException] = []
    while error is not None and len(found) < 8:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _sign_in_refused(error: aiosmtplib.SMTPAuthenticationError) -> Outcome:
    if 400 <= error.code < 500:
        return Failed(reason="sign-in failed for now", code=str(error.code))
    return Refused(why=Refusal.NOT_ALLOWED, reason="the server refused our sign-in", code=str(error.code))


def _refused(reply: Reply) -> Outcome:
    later = _not_now(reply)
    if later is not None:
        return later
    status = _status(reply.text)
    if _is_full(reply, status):
        return Failed(reason=_without_addresses(reply.text), code=_code(reply), where=Where.RECIPIENT)
    why = next((why for prefix, why in _BY_STATUS if status.startswith(prefix)), None)
    if reply.code in _CREDENTIALS or "relay" in reply.text.lower():
        why = Refusal.NOT_ALLOWED
    why = why or _BY_NUMBER[reply.stage].get(reply.code) or _OTHERWISE[reply.stage]
    if why is Refusal.BAD_ADDRESS:  # by its number, which filters and servers in trouble give as well
        match failure_in(reply.text):
            case Failure.FULL:
                return Failed(reason=_without_addresses(reply.text), code=_code(reply), where=Where.RECIPIENT)
            case Failure.LATER:
                return Failed(reason=_without_addresses(reply.text), code=_code(reply), where=Where.DOMAIN)
            case Failure.REFUSED:
                why = Refusal.CONTENT
    return Refused(why=why, reason=f"{reply.stage}: {_without_addresses(reply.text)}", code=_code(reply))


def _is_full(reply: Reply, status: str) -> bool:
    """The mailbox is full: said to be for good, and it passes once its owner tidies up (RFC 3463 §3.3)."""
    return status == "5.2.2" or (reply.code == 552 and not status and reply.stage is Stage.RECIPIENT)


def _not_now(reply: Reply) -> Outcome | None:
    """A transient reply: too fast, or certainly not taken; none for any other."""
    if not 400 <= reply.code < 500:
        return None
    reason, code, where = _without_addresses(reply.text), _code(reply), _where(reply)
    if reply.code == 421 or _status(reply.text).startswith("4.7."):
        return Throttled(after_seconds=WAIT_SECONDS, reason=reason, code=code, where=where)
    return Failed(reason=reason, code=code, where=where)


def _where(reply: Reply) -> Where:
    """Whose trouble a passing refusal is: before a recipient is named it can only be the server's own."""
    if reply.stage is Stage.SENDER:
        return Where.PROVIDER
    if _GREYLISTED.search(reply.text):
        return Where.RECIPIENT
    status = _status(reply.text)
    by_status = next((where for prefix, where in _WHERE_BY_STATUS if status.startswith(prefix)), None)
    return by_status or _WHERE_BY_NUMBER.get(reply.code, Where.DOMAIN)


def _code(reply: Reply) -> str:
    return f"{reply.code} {_status(reply.text)}".strip()


def _status(text: str) -> str:
    found = _STATUS.search(text[:200])
    return found[1] if found else ""


def _without_addresses(text: str) -> str:
    """A server's words, safe to keep: one line, short, no address."""
    return _WITH_ADDRESS.sub("…", " ".join(text.split()))[:160]
