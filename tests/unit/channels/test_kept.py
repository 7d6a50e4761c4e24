"""The two channels that keep what they send: `outbox` and `memory`."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from channels.base import (
    Accepted,
    Content,
    Failed,
    Incoming,
    Medium,
    Outgoing,
    Prepared,
    Refused,
    Throttled,
    Unknown,
    hole,
)
from channels.memory import Memory
from channels.outbox import Outbox, read_box, read_one
from channels.words import Words, read_words

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PREPARED = Memory().prepare(
    Content(
        medium=Medium.EMAIL,
        language="cy",
        subject=f"Helo {hole('name')}",
        text=f'Annwyl {hole("name")},\n"dyfyniad" \\ {hole("link")}',
        html=f"<p>{hole('name')}</p>",
        sender_name="Tîm",
    )
)


def outgoing(attempt: str = "abc.def", prepared: Prepared = PREPARED) -> Outgoing:
    return Outgoing(
        attempt=attempt,
        delivery="d.mac",
        to="sam@resident.example",
        prepared=prepared,
        values={"name": 'Siôn "<b>"', "link": "https://link.example/\\x"},
        sender="team@link.example",
        reply_to="r+x@link.example",
        return_path="b+x@link.example",
        headers={"List-Id": "<x.link.example>"},
        urgent=True,
    )


def test_words_come_back_as_they_were_filled() -> None:
    assert read_words(PREPARED.fill(outgoing().values)) == Words(
        subject='Helo Siôn "<b>"',
        text='Annwyl Siôn "<b>",\n"dyfyniad" \\ https://link.example/\\x',
        html="<p>Siôn &quot;&lt;b&gt;&quot;</p>",
        sender_name="Tîm",
    )


async def test_the_outbox_keeps_all_that_a_reader_or_a_reply_needs(tmp_path: Path) -> None:
    async with Outbox(tmp_path / "box", now=lambda: AT) as outbox:
        assert await outbox.send(outgoing()) == Accepted(provider_id="abc.def")
    (kept,) = read_box(tmp_path / "box")
    assert kept == read_one(tmp_path / "box", "abc.def")
    assert (kept.medium, kept.to, kept.at, kept.language) == (Medium.EMAIL, "sam@resident.example", AT, "cy")
    assert (kept.sender, kept.reply_to, kept.return_path) == (
        "team@link.example",
        "r+x@link.example",
        "b+x@link.example",
    )
    assert (kept.attempt, kept.delivery, kept.urgent) == ("abc.def", "d.mac", True)
    assert kept.headers == {"List-Id": "<x.link.example>"}
    assert kept.words.subject == 'Helo Siôn "<b>"'


async def test_the_box_is_read_newest_first_and_only_so_far(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for number, name in enumerate(("first", "second", "third")):
        await outbox.send(outgoing(name))
        os.utime(tmp_path / f"{name}.json", ns=(number, number))
    assert [kept.attempt for kept in read_box(tmp_path, limit=2)] == ["third", "second"]


async def test_the_outbox_leaves_nothing_half_written(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    await outbox.send(outgoing())
    await outbox.send(outgoing())
    assert os.listdir(tmp_path) == ["abc.def.json"]
    assert json.loads((tmp_path / "abc.def.json").read_text())["to"] == "sam@resident.example"


async def test_an_attempt_that_would_name_another_file_is_refused(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "box")
    for attempt in ("../out", "", ".hidden", "a/b", "a\0b", "a" * 300):
        assert isinstance(await outbox.send(outgoing(attempt)), Refused)
        assert read_one(tmp_path / "box", attempt) is None
    assert not (tmp_path / "box").exists()


def test_a_box_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_box(tmp_path / "none") == []
    assert read_one(tmp_path / "none", "abc.def") is None


async def test_the_outbox_says_of_a_file_that_cannot_be_read_that_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "abc.def.json").write_text("{")
    assert isinstance(await Outbox(tmp_path).look_up(outgoing()), Unknown)


async def test_memory_follows_its_script_and_then_accepts() -> None:
    memory = Memory()
    memory.script("sam@resident.example", Throttled(after_seconds=5), Failed(reason="no"))
    memory.script("sam@resident.example", Unknown(reason="lost"), taken=True)
    kinds = [type(await memory.send(outgoing())) for _ in range(4)]
    assert kinds == [Throttled, Failed, Unknown, Accepted]
    assert len(memory.sent) == 2
    assert memory.sent[0].words.subject == 'Helo Siôn "<b>"'


async def test_memory_tells_what_came_back_once() -> None:
    memory = Memory()
    incoming = Incoming(
        event_id="1", medium=Medium.SMS, sender="a", recipient="b", text="Hi", at=None, raw=b""
    )
    memory.receive(incoming)
    events, cursor = await memory.poll("")
    assert list(events) == [incoming]
    assert await memory.poll(cursor) == ([], cursor)
