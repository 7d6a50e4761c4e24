"""Pictures that come with texts, on both databases: wanted with the text, fetched once, kept sealed, handed to the team."""

import asyncio
from collections import defaultdict
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, text, update

from channels.base import Incoming, Media, MediaRefused, Medium
from notifier.broadcast.leaving import erase
from notifier.db import Database
from notifier.inbox import media, receive
from notifier.inbox.media import MOST_OCTETS, MOST_TRIES, fault_of
from notifier.models import AuditEvent, IncomingMedia, IncomingRow, MediaState, Role
from tests.integration.desk import Desk, open_desk
from tests.integration.several import TextsA, worker_of

PNG = Media(content_type="image/png", data=b"\x89PNG\r\n\x1a\n" + b"pixels of a broken lamp")
URL = "https://provider.example/media/{}"
EMAIL = "sam@force.example"


class WithMedia(TextsA):
    """Fetches what the test says, or raises it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.answers: defaultdict[str, list[Media | MediaRefused | Exception]] = defaultdict(list)

    async def fetch(self, url: str) -> Media | MediaRefused:
        self.asked.append(url)
        await asyncio.sleep(0)
        answer = self.answers[url].pop(0) if self.answers[url] else PNG
        if isinstance(answer, Exception):
            raise answer
        return answer


async def store(
    db: Database, *urls: str, sender: str = "+447700900555", words: str = "", to: str = "x"
) -> UUID:
    event = Incoming(
        event_id=f"MM{'.'.join(urls)}",
        medium=Medium.SMS,
        sender=sender,
        recipient=to,
        text=words,
        at=None,
        raw=b"",
        media=urls,
    )
    async with db.transaction() as tx:
        await receive.store(tx, "sms_a", event)
        return (await receive.store(tx, "sms_a", event)).id  # told twice


async def rows(db: Database) -> list[Any]:
    async with db.transaction(read_only=True) as tx:
        query = select(IncomingMedia).order_by(IncomingMedia.incoming_id, IncomingMedia.number)
        return list((await tx.execute(query)).all())


async def make_due(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(IncomingMedia).values(due_at=tx.now))


async def test_what_came_with_a_text_is_fetched_once_and_kept_sealed(db: Database) -> None:
    await store(db, URL.format(1), URL.format(2))
    channel = WithMedia()
    workers = [worker_of(db, channel) for _ in range(3)]
    assert sum(await asyncio.gather(*(worker.fetch_pictures() for worker in workers))) == 2
    assert sorted(channel.asked) == [URL.format(1), URL.format(2)]
    found = await rows(db)
    assert [(row.number, row.state, row.content_type, row.octets) for row in found] == [
        (1, "kept", "image/png", len(PNG.data)),
        (2, "kept", "image/png", len(PNG.data)),
    ]
    assert not any(b"broken lamp" in row.media_sealed or b"provider" in row.url_sealed for row in found)
    assert await workers[0].fetch_pictures() == 0


async def test_what_fails_is_tried_again_and_given_up_with_the_reason(db: Database) -> None:
    await store(db, URL.format(1), URL.format(2), URL.format(3))
    channel = WithMedia()
    busy = MediaRefused(reason="the provider is busy", again=True, after_seconds=7200)
    channel.answers[URL.format(1)] = [busy, ValueError("a fault of its own")]
    channel.answers[URL.format(2)] = [MediaRefused(reason="it is gone")]
    channel.answers[URL.format(3)] = [busy] * MOST_TRIES
    worker = worker_of(db, channel, NOTIFIER_TIME_FACTOR="1")
    await worker.fetch_pictures()
    assert [row.state for row in await rows(db)] == ["wanted", "refused", "wanted"]
    assert await worker.fetch_pictures() == 0  # not before its time
    for _ in range(MOST_TRIES):
        await make_due(db)
        await worker.fetch_pictures()
    found = await rows(db)
    assert [(row.state, row.reason, row.tries) for row in found] == [
        ("kept", None, 3),
        ("refused", "it is gone", 1),
        ("refused", "it could not be fetched: the provider is busy", MOST_TRIES),
    ]


async def test_a_fetch_that_was_cut_off_is_made_again(db: Database) -> None:
    await store(db, URL.format(1))
    async with db.transaction() as tx:
        (taken,) = await media.take(tx)
    channel = WithMedia()
    worker = worker_of(db, channel)
    assert await worker.fetch_pictures() == 0  # for a while it is the other's
    await make_due(db)
    assert await worker.fetch_pictures() == 1
    async with db.transaction() as tx:
        late = MediaRefused(reason="too late")
        await media.settle(tx, taken, late)
    assert [row.state for row in await rows(db)] == ["kept"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_whose_channel_is_not_open_waits_and_too_many_of_one_text_are_left_out(
    db: Database,
) -> None:
    await store(db, *(URL.format(n) for n in range(12)))
    async with db.transaction() as tx:
        await tx.execute(update(IncomingRow).values(channel="sms_gone"))
    assert await worker_of(db, WithMedia()).fetch_pictures() == 10
    assert {(row.state, row.reason) for row in await rows(db)} == {("wanted", media.GONE)}


def test_only_pictures_that_are_what_they_say_are_kept() -> None:
    jpeg, webp = b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBPVP8 "
    good = {"image/png": PNG.data, "image/jpeg": jpeg, "image/gif": b"GIF89a", "image/webp": webp}
    assert not [kind for kind, data in good.items() if fault_of(Media(content_type=kind, data=data))]
    for kind, data in (
        ("image/svg+xml", b"<svg onload=alert(1)>"),
        ("text/html", b"<script>"),
        ("image/png", jpeg),
        ("image/jpeg", b"<html>"),
        ("image/webp", b"RIFF\0\0\0\0WAVE"),
        ("application/pdf", b"%PDF-1.7"),
        ("", b""),
    ):
        assert fault_of(Media(content_type=kind, data=data)) == media.STRANGE, kind
    large = Media(content_type="image/png", data=PNG.data + b"\0" * MOST_OCTETS)
    assert fault_of(large) == media.TOO_LARGE


async def test_pictures_go_with_their_text_and_with_their_sender(db: Database) -> None:
    async with open_desk(db, people=1) as desk:
        person = desk.world.subscribers[0]
        sender = desk.world.addresses[desk.world.points[person, "sms"]]
        await store(db, URL.format(1), sender=sender, to=desk.world.numbers[0])
        other = await store(db, URL.format(2))
        await desk.settle()
        async with db.transaction() as tx:
            await erase(tx, person, source="test")
        assert [row.incoming_id for row in await rows(db)] == [other]
        async with db.transaction() as tx:
            await tx.execute(text("DELETE FROM conversation_entries"))
            await tx.execute(delete(IncomingRow).where(IncomingRow.id == other))
        assert await rows(db) == []


async def picture_in(desk: Desk) -> tuple[UUID, str]:
    """A text of one picture and no words reaches the first team; its id, and where the desk hands the picture over."""
    sender = desk.world.addresses[desk.world.points[desk.world.subscribers[0], "sms"]]
    incoming = await store(desk.db, URL.format(1), sender=sender, to=desk.world.numbers[0])
    await desk.settle()
    async with desk.db.transaction(read_only=True) as tx:
        talk = await tx.scalar(text("SELECT id FROM conversations"))
    return incoming, f"/desk/conversations/{UUID(str(talk))}"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_desk_says_that_one_came_and_hands_it_over_as_a_file(db: Database) -> None:
    async with open_desk(db) as desk:
        await desk.officer(EMAIL, Role.OFFICER, desk.world.teams[0])
        incoming, talk = await picture_in(desk)
        link = f"{talk}/pictures/{incoming}/1"
        async with desk.signed_in(EMAIL) as client:
            page = await (await client.get(talk)).text()
            assert "A picture came with it, and is being fetched." in page
            assert (await client.get(link)).status == 404
            await worker_of(db, WithMedia()).fetch_pictures()
            page = await (await client.get(talk)).text()
            assert f'<a href="{link}" download>Download the picture (1 kB)</a>' in page
            assert "<img" not in page
            async with client.get(link) as response:
                assert (response.status, await response.read()) == (200, PNG.data)
                assert response.headers["Content-Type"] == "image/png"
                assert response.headers["Content-Disposition"] == 'attachment; filename="picture-1.png"'
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
                assert response.headers["Cache-Control"] == "no-store"
            for wrong in (f"{link}2", f"{talk}/pictures/{incoming}/x", f"{talk}/pictures/x/1", f"{link}٢"):
                assert (await client.get(wrong)).status == 404, wrong
        async with db.transaction(read_only=True) as tx:
            seen = select(func.count()).where(AuditEvent.action == "saw_picture")
            assert await tx.scalar(seen) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_not_kept_says_why(db: Database) -> None:
    async with open_desk(db) as desk:
        await desk.officer(EMAIL, Role.OFFICER, desk.world.teams[0])
        _, talk = await picture_in(desk)
        channel = WithMedia()
        channel.answers[URL.format(1)] = [Media(content_type="text/html", data=b"<script>")]
        await worker_of(db, channel).fetch_pictures()
        async with desk.signed_in(EMAIL) as client:
            page = await (await client.get(talk)).text()
        assert f"A picture came with it, and is not kept: {media.STRANGE}." in page


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_picture_whose_address_does_not_open_is_refused(db: Database) -> None:
    await store(db, URL.format(1))
    async with db.transaction() as tx:
        await tx.execute(update(IncomingMedia).values(url_sealed=b"\0" * 40))
    channel = WithMedia()
    await worker_of(db, channel).fetch_pictures()
    assert [row.state for row in await rows(db)] == [MediaState.REFUSED]
    assert channel.asked == []
