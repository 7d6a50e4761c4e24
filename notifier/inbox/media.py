"""Pictures that came with a text: wanted with the text itself, fetched from the provider later, kept sealed.

Where to find them is stored in the transaction that stores the text, so none is forgotten; the worker's `pictures`
fetches each by its channel alone. What is kept is the original, and only of kinds that browsers show as pictures; how
an officer gets it is told in `pictures`. Goes when its text goes.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import insert, literal, select, tuple_, update

from channels.base import Media, MediaRefused
from notifier.db import Tx
from notifier.models import IncomingMedia, IncomingRow, MediaState
from subscribers.signing import CannotOpen

URL, BYTES = "incoming_media.url", "incoming_media.media"
MOST_PICTURES = 10  # of one text
MOST_OCTETS = 10_000_000
MOST_TRIES = 8
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=2)
LEASE = timedelta(minutes=5)  # longer than any fetch may take
# Kind → how such a file begins, and what its name ends in. No kind that can hold a script.
KINDS = {
    "image/jpeg": (b"\xff\xd8\xff", "jpg"),
    "image/png": (b"\x89PNG\r\n\x1a\n", "png"),
    "image/gif": (b"GIF8", "gif"),
    "image/webp": (b"RIFF", "webp"),
}
TOO_LARGE = "it is larger than 10 MB"
STRANGE = "it is not a picture of a kind we keep"
GONE = "its channel is not open here, or cannot fetch"
TIRED = "it could not be fetched: {}"


class Wanted(NamedTuple):
    """A picture to fetch, and the channel that can. tries: this one counted."""

    incoming: UUID
    number: int
    channel: str
    url: str
    tries: int


async def want(tx: Tx, incoming: UUID, urls: Sequence[str]) -> None:
    """Note where the pictures of a text are, in the transaction that stores it."""
    rows = [
        {
            "incoming_id": incoming,
            "number": number,
            "url_sealed": tx.keys.seal(URL, f"{incoming}/{number}", url),
            "state": MediaState.WANTED,
            "due_at": tx.now,
        }
        for number, url in enumerate(dict.fromkeys(urls), start=1)
    ][:MOST_PICTURES]
    if rows:
        await tx.execute(insert(IncomingMedia), rows)


async def take(tx: Tx, *, limit: int = 10) -> list[Wanted]:
    """Pictures whose time has come, each this process's for a while. Its tries are counted as they begin."""
    row = IncomingMedia
    due = (
        select(row.incoming_id, row.number)
        .where(row.state == literal(MediaState.WANTED.value, literal_execute=True), row.due_at <= tx.now)
        .order_by(row.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    keys = [tuple(each) for each in await tx.execute(due)]
    if not keys:
        return []
    these = tuple_(row.incoming_id, row.number).in_(keys)
    await tx.execute(update(row).where(these).values(due_at=tx.now + LEASE, tries=row.tries + 1))
    rows = await tx.execute(
        select(row.incoming_id, row.number, row.url_sealed, row.tries, IncomingRow.channel)
        .join(IncomingRow, IncomingRow.id == row.incoming_id)
        .where(these)
        .order_by(row.incoming_id, row.number)
    )
    found = []
    for each in rows.all():
        place = f"{each.incoming_id}/{each.number}"
        try:
            url = tx.keys.open_text(URL, place, each.url_sealed)
        except (CannotOpen, UnicodeError):
            url = ""
        found.append(Wanted(each.incoming_id, each.number, each.channel, url, each.tries))
    return found


async def settle(tx: Tx, wanted: Wanted, found: Media | MediaRefused, *, factor: float = 1.0) -> MediaState:
    """Keep what was fetched, or try again later, or give up with the reason. Safe to run twice: one is kept once."""
    if isinstance(found, Media):
        fault = fault_of(found)
        if not fault:
            return await _keep(tx, wanted, found)
        found = MediaRefused(reason=fault)
    if found.again and wanted.tries < MOST_TRIES:
        wait = max(FIRST_WAIT * 2.0 ** (wanted.tries - 1), timedelta(seconds=found.after_seconds))
        due = tx.now + min(wait, LONGEST_WAIT) * factor
        await _write(tx, wanted, due_at=due, reason=found.reason[:200])
        return MediaState.WANTED
    reason = TIRED.format(found.reason) if found.again else found.reason
    await _write(tx, wanted, state=MediaState.REFUSED, reason=reason[:200], fetched_at=tx.now)
    return MediaState.REFUSED


def fault_of(media: Media) -> str:
    """Why a picture is not kept, or nothing: what it says it is must be what its first octets say. Pure."""
    if len(media.data) > MOST_OCTETS:
        return TOO_LARGE
    mark, _ = KINDS.get(media.content_type, (None, ""))
    is_one = mark is not None and media.data.startswith(mark)
    if not is_one or (media.content_type == "image/webp" and media.data[8:12] != b"WEBP"):
        return STRANGE
    return ""


async def _keep(tx: Tx, wanted: Wanted, found: Media) -> MediaState:
    place = f"{wanted.incoming}/{wanted.number}"
    await _write(
        tx,
        wanted,
        state=MediaState.KEPT,
        content_type=found.content_type,
        octets=len(found.data),
        media_sealed=tx.keys.seal(BYTES, place, found.data),
        fetched_at=tx.now,
        reason=None,
    )
    return MediaState.KEPT


async def _write(tx: Tx, wanted: Wanted, **values: object) -> None:
    row = IncomingMedia
    await tx.execute(
        update(row)
        .where(
            row.incoming_id == wanted.incoming,
            row.number == wanted.number,
            row.state == MediaState.WANTED,
        )
        .values(**values)
    )
