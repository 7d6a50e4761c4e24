"""The text of a mail as it comes off the wire, in whatever pieces."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from notifier.web.mail_data import take


async def taken(pieces: Sequence[bytes], most: int = 1_000) -> tuple[bytes | None, bytes]:
    """What was taken, and what was left for the next to read."""
    reader = asyncio.StreamReader()

    async def feed() -> None:
        for piece in pieces:
            reader.feed_data(piece)
            await asyncio.sleep(0)
        reader.feed_eof()

    feeding = asyncio.create_task(feed())
    try:
        content = await take(reader, most)
    finally:
        await feeding
    return content, await reader.read()


WIRES = [
    (b"Hello\r\n.\r\n", b"Hello\r\n"),
    (b".\r\n", b""),
    (b"..\r\n...\r\n..a\r\n.\r\n", b".\r\n..\r\n.a\r\n"),
    (b"a\n.\nb\r.\rc\r\n.\r\n", b"a\n.\nb\r.\rc\r\n"),
    (b"\r\n\r\n\r\n.\r\n", b"\r\n\r\n\r\n"),
]


@pytest.mark.parametrize(("wire", "content"), WIRES)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_a_mail_ends_at_its_dot_however_it_is_cut(wire: bytes, content: bytes, size: int) -> None:
    wire += b"QUIT\r\n"
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
    assert await taken(pieces) == (content, b"QUIT\r\n")


@pytest.mark.parametrize("size", [7, 100_000])
async def test_a_mail_that_is_too_large_is_read_to_its_end_and_not_kept(size: int) -> None:
    wire = b"a" * 5_000 + b"\r\n.\r\nQUIT\r\n"
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
    assert await taken(pieces) == (None, b"QUIT\r\n")


async def test_a_sender_that_goes_away_has_sent_nothing() -> None:
    with pytest.raises(ConnectionResetError):
        await taken([b"Hello\r\n"])


@pytest.mark.parametrize("line", [b"\r\n", b".\r\n.", b"a" * 1_000_000, b"\r\n."])
async def test_no_kind_of_line_takes_long(line: bytes) -> None:
    piece = (line * (64_000 // len(line) + 1))[:64_000]
    began = time.process_time()
    await taken([b"x", *[piece] * 300, b"x\r\n.\r\n"], most=25_000_000)
    assert time.process_time() - began < 1
