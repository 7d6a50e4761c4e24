"""Reading costly mails in a process of its own: what it says, what it may take, and how it ends."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from channels.mailchild import pack, unpack
from channels.mailread import read_mail
from notifier.inbox.reader import CHEAP, Reader, ReaderEnded, TooCostly

LETTER = b"From: Sam <sam@resident.example>\nTo: r@link.example\nDate: Wed, 4 Mar 2026 05:06:07 +0100\nSubject: Lamp\n\n"
LARGE = LETTER + b"It is dark.\n" * (CHEAP // 8)
BOUNCE = (
    b"From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\n<sam@resident.example>:\n550 no such user\n"
)
COMPLAINT = (
    b"From: fbl@mx.example\nSubject: x\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"
    b"--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nOriginal-Rcpt-To: sam@resident.example\n\n--b--\n"
)


def environment_of(process: int) -> bytes:
    return Path(f"/proc/{process}/environ").read_bytes()


@pytest.mark.parametrize("raw", [LETTER + b"Hello\n", BOUNCE, COMPLAINT, b"", b"\xff\x00" * 50])
def test_what_a_process_tells_is_what_was_read(raw: bytes) -> None:
    assert unpack(pack(read_mail(raw))) == read_mail(raw)


async def test_a_small_mail_needs_no_process_and_large_ones_share_one() -> None:
    reader = Reader()
    assert (await reader.read(LETTER)).subject == "Lamp"
    assert reader.process_id is None
    assert await reader.read(LARGE) == read_mail(LARGE)
    first = reader.process_id
    assert first is not None
    found = await asyncio.gather(*(reader.read(LARGE + b"%d\n" % number) for number in range(3)))
    assert [mail.subject for mail in found] == ["Lamp"] * 3
    assert reader.process_id == first
    assert b"NOTIFIER" not in environment_of(first)
    await reader.close()
    await reader.close()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


async def test_a_mail_that_takes_too_long_is_given_up_and_the_next_is_read() -> None:
    reader = Reader(cpu_seconds=0.02)
    with pytest.raises(TooCostly, match=r"more than 0\.02 s"):
        await reader.read(LETTER + b"--\nx: y\n\n" * 900 + b"x\n" * 130_000)
    reader_of_more = Reader()
    assert (await reader_of_more.read(LARGE)).subject == "Lamp"
    await reader_of_more.close()
    await reader.close()


async def test_a_mail_that_takes_too_much_memory_is_given_up_and_the_same_process_goes_on() -> None:
    reader = Reader(memory=24 * 1024 * 1024)
    with pytest.raises(TooCostly, match="24 MB"):
        await reader.read(LETTER + b"a" * 9_000_000)
    assert (await reader.read(LARGE)).subject == "Lamp"
    await reader.close()


async def test_a_process_killed_while_it_reads_is_told_from_a_costly_mail_and_replaced() -> None:
    reader = Reader()
    await reader.read(LARGE)
    killed = reader.process_id
    assert killed is not None
    os.kill(killed, signal.SIGSTOP)
    reading = asyncio.create_task(reader.read(LARGE))
    await asyncio.sleep(0.05)
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(ReaderEnded):
        await reading
    assert (await reader.read(LARGE)).subject == "Lamp"
    assert reader.process_id not in (None, killed)
    await reader.close()


async def test_who_stops_waiting_gets_no_answer_of_an_earlier_question() -> None:
    reader = Reader()
    await reader.read(LARGE)
    stopped = reader.process_id
    assert stopped is not None
    os.kill(stopped, signal.SIGSTOP)
    reading = asyncio.create_task(reader.read(LARGE.replace(b"Lamp", b"Bench")))
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await reader.read(LARGE)).subject == "Lamp"
    await reader.close()


async def test_the_process_ends_when_nobody_is_there_to_ask() -> None:
    """As when a worker is killed: its end of the pipe closes."""
    reader = Reader()
    await reader.read(LARGE)
    process = reader._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0
