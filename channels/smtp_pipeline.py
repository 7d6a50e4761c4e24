"""Transactions over a connection that aiosmtplib has opened, for `email_smtp`.

aiosmtplib connects, negotiates TLS, signs in and greets; then this protocol takes the transport. Where the server
offers PIPELINING (RFC 2920) sender, recipient and DATA are said in one write, else one by one. The text follows only
after 354 and an accepted recipient, so a break before it certainly sent nothing, and one after it leaves all open.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import cast

import aiosmtplib

LONGEST_REPLY = 32_768  # octets of one reply; a server that says more is not listened to
_LEADING_DOT = re.compile(rb"\n\.")
_CLOSING = 421  # "closing": may answer any command


class Stage(StrEnum):
    """Where in a transaction a reply came."""

    SENDER = "MAIL"
    RECIPIENT = "RCPT"
    TEXT = "DATA"


@dataclass(frozen=True, slots=True)
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


class _Waits(IntEnum):
    """Which reply comes next."""

    NONE = 0
    SENDER = 1
    RECIPIENT = 2
    DATA = 3
    TEXT = 4
    CLEARED = 5  # after a refusal: to RSET, or to the dot that ends a text nobody wanted


_AFTER = {_Waits.SENDER: _Waits.RECIPIENT, _Waits.RECIPIENT: _Waits.DATA}


class Pipeline(asyncio.Protocol):
    """Our own side of one connection. One transaction at a time.

    There is no writing to a transport that asks for a pause: each write follows the reply to the one before it, and a
    connection that is still paused at a transaction's end is not ready for another.
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
        self._at_once, self._final_seconds = at_once, final_seconds
        self._glance_seconds = min(command_seconds, final_seconds)
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._ended: asyncio.Future[Ended] | None = None
        self._waits = _Waits.NONE
        self._partial = b""  # the line that has begun
        self._lines: list[bytes] = []  # the reply that has begun
        self._octets = 0  # of both
        self._is_paused = False
        self._recipient = self._text = b""
        self._refusal: Reply | None = None
        self._recipient_taken = self._handed_over = False
        self._transport.set_protocol(self)

    @property
    def is_ready(self) -> bool:
        """Whether another transaction may begin."""
        return self._ended is None and not self._is_paused and not self._transport.is_closing()

    async def transact(self, sender: str, to: str, text: bytes, *, until: float) -> Ended:
        """Hand over one mail to one recipient, both checked addresses. until: the loop's time for all before the text.

        The connection is ready afterwards only if everything said was answered.
        """
        if not self.is_ready:
            return Broken(handed_over=False)
        self._recipient, self._text = b"RCPT TO:<%b>\r\n" % to.encode("ascii"), stuffed(text)
        self._refusal, self._recipient_taken, self._handed_over = None, False, False
        self._waits = _Waits.SENDER
        ended: asyncio.Future[Ended] = self._loop.create_future()
        self._ended = ended
        self._watch(until)
        sender_line = b"MAIL FROM:<%b>\r\n" % sender.encode("ascii")
        if self._at_once:
            self._transport.write(b"%b%bDATA\r\n" % (sender_line, self._recipient))
        else:
            self._transport.write(sender_line)
        try:
            return await ended
        finally:
            if self._ended is ended:  # cancelled
                self._ended = None
                self.abort()

    def abort(self) -> None:
        """Drop the connection at once, with whatever is still unwritten."""
        self._waits = _Waits.NONE
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
            self._lines.append(line)
            if line[3:4] != b"-":
                self._hear()
        if self._octets > LONGEST_REPLY or (self._ended is None and self._octets):
            self._break_off()  # too much, or more than was asked for: no later reply could be trusted

    # --- Replies --------------------------------------------------------------------------

    def _hear(self) -> None:
        lines, self._lines = self._lines, []
        number, self._octets = lines[-1][:3], len(self._partial)
        code = int(number) if len(number) == 3 and number.isdigit() else 0
        if self._ended is None or not 200 <= code < 600:
            self._break_off()
            return
        waits = self._waits
        if waits is _Waits.SENDER:
            self._hear_address(Stage.SENDER, code, lines)
        elif waits is _Waits.RECIPIENT:
            self._recipient_taken = code < 300
            self._hear_address(Stage.RECIPIENT, code, lines)
        elif waits is _Waits.DATA:
            self._hear_data(code, lines)
        elif waits is _Waits.TEXT:
            if 300 <= code < 400:
                self._break_off()
            else:
                self._end(_reply(Stage.TEXT, code, lines), is_clean=code != _CLOSING)
        else:
            self._end(self._refusal or self._broken(), is_clean=code != _CLOSING)

    def _hear_address(self, stage: Stage, code: int, lines: Sequence[bytes]) -> None:
        """A word on the sender or the recipient."""
        if 300 <= code < 400:
            self._break_off()
        elif code >= 400 and self._refusal is None:
            self._refuse(_reply(stage, code, lines), unanswered=self._at_once)
        else:
            self._next()

    def _next(self) -> None:
        was, self._waits = self._waits, _AFTER[self._waits]
        if not self._at_once:
            self._transport.write(self._recipient if was is _Waits.SENDER else b"DATA\r\n")

    def _hear_data(self, code: int, lines: Sequence[bytes]) -> None:
        if code < 400:
            self._hear_go_ahead(code)
        else:
            refusal = self._refusal or _reply(Stage.TEXT, code, lines)
            self._refuse(refusal, unanswered=False, is_closing=code == _CLOSING)

    def _hear_go_ahead(self, code: int) -> None:
        """354. Also where all was refused: then no mail may come of it (RFC 2920 §3.1)."""
        if code != 354 or self._transport.is_closing():
            self._break_off()
        elif self._refusal is None:
            self._handed_over, self._waits = True, _Waits.TEXT
            self._deadline = self._loop.time() + self._final_seconds
            self._transport.write(self._text)
        elif self._recipient_taken:  # a dot would send an empty mail
            self._end(self._refusal, is_clean=False)
        else:
            self._waits = _Waits.CLEARED
            self._transport.write(b".\r\n")

    def _refuse(self, refusal: Reply, *, unanswered: bool, is_closing: bool = False) -> None:
        """Remember the first no, and clear the transaction once every command is answered."""
        self._refusal = refusal
        if is_closing or refusal.code == _CLOSING:
            self._end(refusal, is_clean=False)
        elif unanswered:
            self._next()
        else:
            self._waits = _Waits.CLEARED
            self._transport.write(b"RSET\r\n")

    # --- The end of a transaction ---------------------------------------------------------

    def _broken(self, *, is_late: bool = False) -> Broken:
        return Broken(handed_over=self._handed_over, is_late=is_late)

    def _break_off(self, *, is_late: bool = False) -> None:
        self._end(self._refusal or self._broken(is_late=is_late), is_clean=False)

    def _end(self, ended: Ended, *, is_clean: bool) -> None:
        waiting, self._ended, self._waits, self._text = self._ended, None, _Waits.NONE, b""
        if waiting is not None and not waiting.done():
            waiting.set_result(ended)
        if not is_clean:
            self._transport.abort()

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
        if self._ended is None:
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


def stuffed(text: bytes) -> bytes:
    """A text of whole CRLF lines as it goes over the wire: leading dots doubled, and the dot that ends it (RFC 5321 §4.5.2)."""
    if _LEADING_DOT.search(text):  # twice as quick as `in`
        text = text.replace(b"\r\n.", b"\r\n..")
    if text.startswith(b"."):
        text = b"." + text
    return text + (b".\r\n" if text.endswith(b"\r\n") else b"\r\n.\r\n")
