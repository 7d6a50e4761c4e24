"""The pipelined transaction, word for word: what is said when, and what each answer or break makes of it."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import aiosmtplib
import pytest

from channels.smtp_pipeline import LONGEST_REPLY, Broken, Ended, Mail, Pipeline, Reply, Stage

ENVELOPE = b"MAIL FROM:<b@link.example>\r\nRCPT TO:<sam@home.example>\r\nDATA\r\n"
SENT = b"Subject: x\r\n\r\nA dot:\r\n.\r\n"
GO = b"250 ok\r\n250 ok\r\n354 go\r\n"
OTHERS = ["jo@home.example", "alex@home.example"]
JO = ENVELOPE.replace(b"sam", b"jo")


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.protocol: Any = None
        self._is_closing = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self._is_closing

    def abort(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class Behind(asyncio.Protocol):
    """Stands for aiosmtplib's protocol."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def connection_lost(self, error: Exception | None) -> None:
        self.told.append("lost")

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


class Client:
    """As much of aiosmtplib's client as the pipeline takes over."""

    def __init__(self) -> None:
        self.transport, self.protocol = Wire(), Behind()


def taken_over(
    client: Client, *, at_once: bool = True, command_seconds: float = 5, final_seconds: float = 5
) -> Pipeline[Mail]:
    return Pipeline(
        cast(aiosmtplib.SMTP, client),
        at_once=at_once,
        command_seconds=command_seconds,
        final_seconds=final_seconds,
    )


async def run(
    heard: Sequence[bytes], *, at_once: bool = True, seconds: float = 5
) -> tuple[Ended, list[bytes], bool]:
    """Feed packets to one transaction: how it ended, what was written, whether another may follow."""
    client = Client()
    pipeline = taken_over(client, at_once=at_once, command_seconds=seconds, final_seconds=seconds)
    sending = asyncio.create_task(one(pipeline, seconds=seconds))
    await asyncio.sleep(0)
    for packet in heard:
        pipeline.data_received(packet)
    ended = await sending
    return ended, client.transport.written, pipeline.is_ready


async def one(pipeline: Pipeline[Mail], *, seconds: float = 1e9) -> Ended:
    """A run of a single mail."""
    (ended,) = await several(pipeline, 1, seconds=seconds)
    return ended


async def several(
    pipeline: Pipeline[Mail], number: int, *, most: int = 9, seconds: float = 1e9
) -> list[Ended]:
    """A run of so many mails: how each ended that was taken."""
    left = [Mail("b@link.example", to, SENT) for to in [*OTHERS[: number - 1], "sam@home.example"]]
    taken, found = list[Mail](), list[Ended]()

    def following() -> Mail | None:
        taken.extend(left[-1:])
        return left.pop() if left else None

    def heard(mail: Mail, ended: Ended) -> None:
        assert mail is taken[len(found)]
        found.append(ended)

    until = asyncio.get_running_loop().time() + seconds
    await pipeline.carry(following, heard, most=most, until=until)
    assert len(found) == len(taken)
    return found


async def test_all_is_said_at_once_and_the_text_after_the_go_ahead() -> None:
    assert await run([GO, b"250 2.0.0 queued\r\n"]) == (
        Reply(Stage.TEXT, 250, "2.0.0 queued"),
        [ENVELOPE, SENT],
        True,
    )


async def test_without_pipelining_each_word_follows_the_answer_to_the_last() -> None:
    ended, written, is_ready = await run([GO, b"250 queued\r\n"], at_once=False)
    assert (ended, is_ready) == (Reply(Stage.TEXT, 250, "queued"), True)
    assert written == [*ENVELOPE.splitlines(keepends=True), SENT]


@pytest.mark.parametrize("size", [1, 2, 7, 23])
async def test_answers_may_come_in_any_pieces_and_over_several_lines(size: int) -> None:
    said = b"250-one\r\n250 two\r\n250 ok\r\n354-go\r\n354 on\r\n250-2.0.0 all\r\n250 well\r\n"
    packets = [said[n : n + size] for n in range(0, len(said), size)]
    ended, written, is_ready = await run(packets)
    assert ended == Reply(Stage.TEXT, 250, "2.0.0 all\r\nwell")
    assert (written, is_ready) == ([ENVELOPE, SENT], True)


@pytest.mark.parametrize(
    ("heard", "ended", "then_said"),
    [
        (b"250 ok\r\n550 5.1.1 no\r\n554 no recipients\r\n250 reset\r\n", Reply(Stage.RECIPIENT, 550, "5.1.1 no"), b"RSET\r\n"),
        (b"250 ok\r\n550 5.1.1 no\r\n354 go\r\n554 nobody\r\n", Reply(Stage.RECIPIENT, 550, "5.1.1 no"), b".\r\n"),
        (b"550 no\r\n503 first MAIL\r\n503 first RCPT\r\n250 reset\r\n", Reply(Stage.SENDER, 550, "no"), b"RSET\r\n"),
        (b"550 no\r\n503 first MAIL\r\n354 go\r\n554 nobody\r\n", Reply(Stage.SENDER, 550, "no"), b".\r\n"),
        (b"250 ok\r\n250 ok\r\n451 later\r\n250 reset\r\n", Reply(Stage.TEXT, 451, "later"), b"RSET\r\n"),
    ],
)  # fmt: skip
async def test_a_refusal_is_cleared_away_and_no_text_is_sent(
    heard: bytes, ended: Reply, then_said: bytes
) -> None:
    assert await run([heard]) == (ended, [ENVELOPE, then_said], True)


async def test_an_accepted_recipient_of_a_refused_sender_is_sent_no_empty_mail() -> None:
    ended, written, is_ready = await run([b"550 no\r\n250 ok\r\n354 go\r\n"])
    assert (ended, written, is_ready) == (Reply(Stage.SENDER, 550, "no"), [ENVELOPE], False)


@pytest.mark.parametrize(
    ("heard", "ended"),
    [
        (b"421 closing\r\n", Reply(Stage.SENDER, 421, "closing")),
        (b"250 ok\r\n421 closing\r\n", Reply(Stage.RECIPIENT, 421, "closing")),
        (b"250 ok\r\n250 ok\r\n421 closing\r\n", Reply(Stage.TEXT, 421, "closing")),
        (b"250 ok\r\n550 no\r\n421 closing\r\n", Reply(Stage.RECIPIENT, 550, "no")),
        (b"250 ok\r\n550 no\r\n554 none\r\n421 closing\r\n", Reply(Stage.RECIPIENT, 550, "no")),
        (GO + b"421 closing\r\n", Reply(Stage.TEXT, 421, "closing")),
    ],
)
async def test_a_server_that_closes_is_not_spoken_to_again(heard: bytes, ended: Reply) -> None:
    found, _, is_ready = await run([heard])
    assert (found, is_ready) == (ended, False)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("heard", "handed_over"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\n", False),
        (b"999 what\r\n", False),
        (b"354 go\r\n", False),
        (b"250 ok\r\n250 ok\r\n250 no need\r\n", False),
        (b"2" * (LONGEST_REPLY + 1), False),
        (b"250-more\r\n" * 4000, False),
        (GO + b"354 go on\r\n", True),
        (GO + b"\r\n", True),
        (GO + b"2" * (LONGEST_REPLY + 1), True),
    ],
)
async def test_nonsense_ends_the_connection_and_is_in_doubt_only_after_the_text(
    heard: bytes, handed_over: bool, at_once: bool
) -> None:
    ended, _, is_ready = await run([heard], at_once=at_once)
    assert (ended, is_ready) == (Broken(handed_over=handed_over), False)


@pytest.mark.parametrize("more", [b"250 again\r\n", b"250 ag"])
async def test_a_word_too_many_ends_the_connection_but_not_the_acceptance(more: bytes) -> None:
    ended, _, is_ready = await run([GO, b"250 queued\r\n" + more])
    assert (ended, is_ready) == (Reply(Stage.TEXT, 250, "queued"), False)


async def test_what_is_said_to_nobody_ends_the_connection() -> None:
    client = Client()
    pipeline = taken_over(client)
    pipeline.data_received(b"421 idle too long\r\n")
    assert not pipeline.is_ready
    await asyncio.sleep(0)
    assert client.protocol.told == ["lost"]


@pytest.mark.parametrize(
    ("heard", "ended"),
    [
        ([], Broken(handed_over=False, is_late=True)),
        ([b"250 ok\r\n250 ok\r\n"], Broken(handed_over=False, is_late=True)),
        ([GO], Broken(handed_over=True, is_late=True)),
        ([GO, b"250 qu"], Broken(handed_over=True, is_late=True)),
        ([b"250 ok\r\n550 no\r\n554 none\r\n"], Reply(Stage.RECIPIENT, 550, "no")),
    ],
)
async def test_the_time_for_an_answer_is_limited(heard: list[bytes], ended: Ended) -> None:
    found, _, is_ready = await run(heard, seconds=0.05)
    assert (found, is_ready) == (ended, False)


async def test_the_answer_to_the_text_has_a_time_of_its_own() -> None:
    client = Client()
    pipeline = taken_over(client, command_seconds=0.05, final_seconds=5)
    sending = asyncio.create_task(one(pipeline, seconds=0.05))
    await asyncio.sleep(0)
    pipeline.data_received(GO)
    await asyncio.sleep(0.15)
    pipeline.data_received(b"250 at last\r\n")
    assert await sending == Reply(Stage.TEXT, 250, "at last")
    assert pipeline.is_ready


async def test_one_who_gives_up_waiting_drops_the_connection() -> None:
    client = Client()
    pipeline = taken_over(client)
    sending = asyncio.create_task(one(pipeline))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert not pipeline.is_ready


async def test_aiosmtplib_is_told_of_pauses_and_of_the_end() -> None:
    client = Client()
    pipeline = taken_over(client)
    pipeline.pause_writing()
    assert not pipeline.is_ready
    assert await one(pipeline) == Broken(handed_over=False)
    pipeline.resume_writing()
    assert pipeline.is_ready
    pipeline.connection_lost(None)
    assert client.protocol.told == ["pause", "resume", "lost"]


# --- Several mails in a run ---------------------------------------------------------------

QUEUED = Reply(Stage.TEXT, 250, "queued")


async def run_of_two(
    heard: Sequence[bytes], *, at_once: bool = True, most: int = 9
) -> tuple[list[Ended], list[bytes], bool]:
    client = Client()
    pipeline = taken_over(client, at_once=at_once)
    sending = asyncio.create_task(several(pipeline, 2, most=most))
    await asyncio.sleep(0)
    for packet in heard:
        pipeline.data_received(packet)
    return await sending, client.transport.written, pipeline.is_ready


async def test_the_next_envelope_goes_with_the_text_before_it() -> None:
    assert await run_of_two([GO, b"250 queued\r\n" + GO, b"250 queued\r\n"]) == (
        [QUEUED, QUEUED],
        [ENVELOPE, SENT + JO, SENT],
        True,
    )


async def test_without_pipelining_the_next_envelope_waits_for_the_answer() -> None:
    ended, written, is_ready = await run_of_two([GO, b"250 queued\r\n", GO, b"250 queued\r\n"], at_once=False)
    assert (ended, is_ready) == ([QUEUED, QUEUED], True)
    lines = [ENVELOPE.splitlines(keepends=True), JO.splitlines(keepends=True)]
    assert written == [*lines[0], SENT, *lines[1], SENT]


async def test_no_more_are_taken_than_a_run_may_have() -> None:
    ended, written, is_ready = await run_of_two([GO, b"250 queued\r\n"], most=1)
    assert (ended, written, is_ready) == ([QUEUED], [ENVELOPE, SENT], True)


@pytest.mark.parametrize("first", [b"250 queued\r\n", b"554 5.7.1 no\r\n"])
async def test_a_refused_text_says_nothing_of_the_next(first: bytes) -> None:
    ended, _, is_ready = await run_of_two([GO, first + GO + b"250 queued\r\n"])
    assert [reply.code for reply in ended if isinstance(reply, Reply)] == [int(first[:3]), 250]
    assert is_ready


async def test_a_refused_recipient_is_cleared_away_before_the_next() -> None:
    refused = b"250 ok\r\n550 5.1.1 no\r\n554 none\r\n"
    ended, written, is_ready = await run_of_two([refused, b"250 reset\r\n", GO, b"250 queued\r\n"])
    assert (ended, is_ready) == ([Reply(Stage.RECIPIENT, 550, "5.1.1 no"), QUEUED], True)
    assert written == [ENVELOPE, b"RSET\r\n", JO, SENT]


@pytest.mark.parametrize(
    ("heard", "first", "second"),
    [
        ([GO], Broken(handed_over=True), Broken(handed_over=False)),
        ([GO, b"250 queued\r\n250 ok\r\n"], QUEUED, Broken(handed_over=False)),
        ([GO, b"250 queued\r\n" + GO], QUEUED, Broken(handed_over=True)),
        ([GO, b"421 closing\r\n"], Reply(Stage.TEXT, 421, "closing"), Broken(handed_over=False)),
    ],
)
async def test_a_break_leaves_open_only_what_was_handed_over(
    heard: list[bytes], first: Ended, second: Ended
) -> None:
    client = Client()
    pipeline = taken_over(client)
    sending = asyncio.create_task(several(pipeline, 2))
    await asyncio.sleep(0)
    for packet in heard:
        pipeline.data_received(packet)
    pipeline.connection_lost(None)
    assert await sending == [first, second]
