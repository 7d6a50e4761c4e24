"""Transactions over a connection that aiosmtplib has opened, for `email_smtp`.

aiosmtplib connects, negotiates TLS, signs in and greets; then this protocol takes the transport. Where the server
offers PIPELINING (RFC 2920) sender, recipient and DATA are said in one write, and the next mail's along with the text
of the one before; else one by one. A text follows only after 354 and an accepted recipient, so a break before it
certainly sent nothing, and one after it leaves all open.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Generic, TypeVar, cast

import aiosmtplib

LONGEST_REPLY = 32_768  # octets of one reply; a server that says more is not listened to
_CLOSING = 421  # "closing": may answer any command


class Stage(StrEnum):
    """Where in a transaction a reply came."""

    SENDER = "MAIL"
    RECIPIENT = "RCPT"
    TEXT = "DATA"


@dataclass(slots=True)
class Reply:
    """The server's word on a transaction: a refusal at a stage, or 2xx to the text."""

    stage: Stage
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Broken:
    """There was no such word. is_late: the time was up. handed_over: the text had been written."""

    handed_over: bool
    is_late: bool = False


Ended = Reply | Broken


@dataclass(slots=True)
class Mail:
    """One mail for one recipient, both checked addresses.

    to: in other letters than ASCII only for a server that takes SMTPUTF8 (RFC 6531).
    text: as it goes over the wire, whole CRLF lines, the last a dot alone and no other beginning with one (RFC 5321 §4.5.2).
    """

    sender: str
    to: str
    text: bytes


M = TypeVar("M", bound=Mail)


class _Waits(IntEnum):
    """Which reply comes next."""

    NONE = 0
    SENDER = 1
    RECIPIENT = 2
    DATA = 3
    TEXT = 4
    CLEARED = 5  # after a refusal: to RSET, or to the dot that ends a text nobody wanted


# By names of their own: to look a member up in its enumeration takes longer than to hear a line.
_NONE, _SENDER, _RECIPIENT, _DATA, _TEXT, _CLEARED = _Waits
_AT_SENDER, _AT_RECIPIENT, _AT_TEXT = Stage
_CODES = {b"%d" % code: code for code in range(200, 600)}


class Pipeline(asyncio.Protocol, Generic[M]):
    """Our own side of one connection. One run of mails at a time.

    There is no writing to a transport that asks for a pause: each write follows the reply to the one before it, and a
    connection that is still paused at a run's end is not ready for another.
    """

    def __init__(
        self, client: aiosmtplib.SMTP, *, at_once: bool, command_seconds: float, final_seconds: float
    ) -> None:
        """Take over a connected client's transport. at_once: the server reads several commands together."""
        if client.protocol is None or client.transport is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        self._transport = cast(asyncio.Transport, client.transport)
        self._behind = client.protocol
        self._loop = asyncio.get_running_loop()
        self._at_once = at_once
        self._command_seconds, self._final_seconds = command_seconds, final_seconds
        self._glance_seconds = min(command_seconds, final_seconds)
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._over: asyncio.Future[None] | None = None  # of the run
        self._following: Callable[[], M | None]
        self._heard: Callable[[M, Ended], None]
        self._left = 0  # mails that the run may still take
        self._mail: M | None = None  # in its transaction
        self._ahead: M | None = None  # its envelope is said already
        self._waits = _NONE
        self._partial = b""  # the line that has begun
        self._lines: list[bytes] = []  # the reply that has begun
        self._octets = 0  # of both
        self._is_paused = False
        self._refusal: Reply | None = None
        self._recipient_taken = self._handed_over = False
        self.carried = 0  # mails whose transactions came to a clean end
        self._transport.set_protocol(self)

    @property
    def is_ready(self) -> bool:
        """Whether another run may begin."""
        return self._over is None and not self._is_paused and not self._transport.is_closing()

    async def carry(
        self,
        following: Callable[[], M | None],
        heard: Callable[[M, Ended], None],
        *,
        most: int,
        until: float,
    ) -> None:
        """Hand over mail after mail, until there is none, `most` are done, or the connection is of no more use.

        following: asked for the next when it can go; it is on its way then. heard: told of each how it ended, in
        their order. until: the loop's time for all before the first text.
        """
        is_ready = self.is_ready
        self._following, self._heard, self._left = following, heard, most
        mail = self._take()
        if mail is None:
            return
        if not is_ready:
            heard(mail, Broken(handed_over=False))
            return
        over: asyncio.Future[None] = self._loop.create_future()
        self._over = over
        self._begin(mail)
        self._watch(until)
        self._transport.write(self._opening(mail))
        try:
            await over
        finally:
            if self._over is over:  # cancelled
                self._over = self._mail = self._ahead = None
                self.abort()

    def abort(self) -> None:
        """Drop the connection at once, with whatever is still unwritten."""
        self._waits = _NONE
        self._transport.abort()

    def give_back(self) -> None:
        """Let aiosmtplib speak again, to say goodbye."""
        self._stop_watching()
        self._transport.set_protocol(self._behind)

    # --- What the transport says ----------------------------------------------------------

    def pause_writing(self) -> None:
        self._is_paused = True
        self._behind.pause_writing()

    def resume_writing(self) -> None:
        self._is_paused = False
        self._behind.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_watching()
        self._break_off()
        self._behind.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._octets += len(data)
        *lines, self._partial = (self._partial + data if self._partial else data).split(b"\n")
        for line in lines:
            if line[3:4] == b"-":
                self._lines.append(line)
                continue
            self._octets = len(self._partial)
            if self._lines:
                before, self._lines = self._lines, []
                self._hear([*before, line])
            else:
                self._hear([line])
        if self._octets > LONGEST_REPLY or (self._over is None and self._octets):
            self._break_off()  # too much, or more than was asked for: no later reply could be trusted

    # --- Replies --------------------------------------------------------------------------

    def _hear(self, lines: Sequence[bytes]) -> None:
        """A whole reply."""
        code, mail, waits = _CODES.get(lines[-1][:3], 0), self._mail, self._waits
        if mail is None or not code:
            self._break_off()
        elif waits is _SENDER:
            self._hear_address(mail, _AT_SENDER, code, lines)
        elif waits is _RECIPIENT:
            self._recipient_taken = code < 300
            self._hear_address(mail, _AT_RECIPIENT, code, lines)
        elif waits is _DATA:
            self._hear_data(mail, code, lines)
        elif waits is _TEXT:
            if 300 <= code < 400:
                self._break_off()
            else:
                self._end(_reply(_AT_TEXT, code, lines), is_clean=code != _CLOSING)
        else:
            self._end(self._refusal or self._broken(), is_clean=code != _CLOSING)

    def _hear_address(self, mail: M, stage: Stage, code: int, lines: Sequence[bytes]) -> None:
        """A word on the sender or the recipient."""
        if code < 300:
            self._next(mail)
        elif code < 400:
            self._break_off()
        elif self._refusal is None:
            self._refuse(mail, _reply(stage, code, lines), unanswered=self._at_once)
        else:
            self._next(mail)

    def _next(self, mail: M) -> None:
        is_sender = self._waits is _SENDER
        self._waits = _RECIPIENT if is_sender else _DATA
        if not self._at_once:
            self._transport.write(_recipient(mail) if is_sender else b"DATA\r\n")

    def _hear_data(self, mail: M, code: int, lines: Sequence[bytes]) -> None:
        if code < 400:
            self._hear_go_ahead(mail, code)
        else:
            refusal = self._refusal or _reply(_AT_TEXT, code, lines)
            self._refuse(mail, refusal, unanswered=False, is_closing=code == _CLOSING)

    def _hear_go_ahead(self, mail: M, code: int) -> None:
        """354. Also where all was refused: then no mail may come of it (RFC 2920 §3.1)."""
        if code != 354 or self._transport.is_closing():
            self._break_off()
        elif self._refusal is None:
            self._hand_over(mail)
        elif self._recipient_taken:  # a dot would send an empty mail
            self._end(self._refusal, is_clean=False)
        else:
            self._waits = _CLEARED
            self._transport.write(b".\r\n")

    def _hand_over(self, mail: M) -> None:
        """The text, and with it the next envelope (RFC 2920 §3.1 allows a text to begin a group)."""
        self._handed_over, self._waits = True, _TEXT
        self._deadline = self._loop.time() + self._final_seconds
        self._ahead = self._take() if self._at_once else None
        self._transport.write(mail.text + self._opening(self._ahead) if self._ahead else mail.text)

    def _refuse(self, mail: M, refusal: Reply, *, unanswered: bool, is_closing: bool = False) -> None:
        """Remember the first no, and clear the transaction once every command is answered."""
        self._refusal = refusal
        if is_closing or refusal.code == _CLOSING:
            self._end(refusal, is_clean=False)
        elif unanswered:
            self._next(mail)
        else:
            self._waits = _CLEARED
            self._transport.write(b"RSET\r\n")

    # --- The end of a transaction ---------------------------------------------------------

    def _broken(self, *, is_late: bool = False) -> Broken:
        return Broken(handed_over=self._handed_over, is_late=is_late)

    def _break_off(self, *, is_late: bool = False) -> None:
        self._end(self._refusal or self._broken(is_late=is_late), is_clean=False)

    def _end(self, ended: Ended, *, is_clean: bool) -> None:
        """The mail's transaction is over: on to the next, or the run ends."""
        mail, ahead = self._mail, self._ahead
        self._mail = self._ahead = None
        self.carried += is_clean
        if mail is not None:
            self._heard(mail, ended)
        if not is_clean or self._transport.is_closing():
            if ahead is not None:
                self._heard(ahead, Broken(handed_over=False))
            self._finish()
            self._transport.abort()
        elif ahead is not None:
            self._begin(ahead)
        elif (following := self._take()) is not None:
            self._begin(following)
            self._transport.write(self._opening(following))
        else:
            self._finish()

    def _finish(self) -> None:
        over, self._over, self._waits = self._over, None, _NONE
        if over is not None and not over.done():
            over.set_result(None)

    # --- The next one ---------------------------------------------------------------------

    def _take(self) -> M | None:
        if not self._left:
            return None
        self._left -= 1
        return self._following()

    def _begin(self, mail: M) -> None:
        """Its envelope is said, or about to be."""
        self._mail, self._waits = mail, _SENDER
        self._refusal, self._recipient_taken, self._handed_over = None, False, False
        self._deadline = self._loop.time() + self._command_seconds

    def _opening(self, mail: M) -> bytes:
        """What is said first of a mail: all before the text where the server reads it together."""
        utf8 = "" if mail.to.isascii() else " SMTPUTF8"
        if self._at_once:
            return f"MAIL FROM:<{mail.sender}>{utf8}\r\nRCPT TO:<{mail.to}>\r\nDATA\r\n".encode()
        return f"MAIL FROM:<{mail.sender}>{utf8}\r\n".encode()

    # --- Deadlines ------------------------------------------------------------------------
    # One timer for a connection looks now and then whether the deadline of the moment has passed: a timer
    # for each transaction would be set and cancelled thousands of times a second.

    def _watch(self, until: float) -> None:
        self._deadline = until
        if self._timer is None:
            self._look_later()

    def _look_later(self) -> None:
        left = min(self._deadline - self._loop.time(), self._glance_seconds)
        self._timer = self._loop.call_later(max(left, 0.0), self._look)

    def _look(self) -> None:
        self._timer = None
        if self._over is None:
            return
        if self._deadline <= self._loop.time():
            self._break_off(is_late=True)
        else:
            self._look_later()

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _reply(stage: Stage, code: int, lines: Sequence[bytes]) -> Reply:
    words = lines[0][4:] if len(lines) == 1 else b"\n".join([line[4:] for line in lines])
    return Reply(stage, code, words.decode("utf-8", "replace").strip())


def _recipient(mail: Mail) -> bytes:
    return f"RCPT TO:<{mail.to}>\r\n".encode()
