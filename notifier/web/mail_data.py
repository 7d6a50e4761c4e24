"""Takes the text of a mail off the wire in large pieces, whatever its lines are like.

aiosmtpd asks for it line by line: eleven million empty lines held the loop for a quarter of a minute, and one line
longer than its buffer was refused for good. Used by `mail`.
"""

import asyncio

from aiosmtpd.smtp import SMTP, syntax

ALL = 1 << 30  # as much as is there
END = b"\r\n.\r\n"  # nothing else ends a mail: other line ends are how mails are smuggled
TOO_LARGE = "552 5.3.4 Too much mail data"


class Wholesale(SMTP):
    """An SMTP session that reads DATA in pieces."""

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """RFC 5321 §4.1.1.4: take the text, hand it over, and say what came of it."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        if self.envelope is None or not self.envelope.rcpt_tos:
            await self.push("503 Error: need RCPT command")
            return
        if arg:
            await self.push("501 Syntax: DATA")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = await take(self._reader, self.data_size_limit or ALL)
        if content is None:
            self._set_post_data_state()  # type: ignore[no-untyped-call]
            await self.push(TOO_LARGE)
            return
        self.envelope.content = self.envelope.original_content = content
        status = await self._call_handler_hook("DATA")
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push(status)


async def take(reader: asyncio.StreamReader, most: int) -> bytes | None:
    """A mail's text without the dots that were put before its lines; None where it has more octets than `most`.

    What follows its end is left for the next to read. Raises ConnectionResetError where the sender goes away before it.
    """
    taken, is_over = bytearray(b"\r\n"), False  # the end of the line DATA
    while True:
        piece = await reader.read(ALL)
        if not piece:
            raise ConnectionResetError
        looked_at = max(0, len(taken) - len(END) + 1)
        taken += piece
        end = taken.find(END, looked_at)
        if end >= 0:
            break
        if len(taken) > most + len(END):
            del taken[: -len(END)]
            is_over = True
    if rest := taken[end + len(END) :]:
        reader.feed_data(rest)  # nothing else is in its buffer: all was read
    if is_over or end > most:
        return None
    return bytes(taken[: end + 2]).replace(b"\r\n.", b"\r\n")[2:]
