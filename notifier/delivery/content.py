"""The words of a delivery, ready to send: loaded once (`wording`), compiled once for a message, language and channel.

Preview and sending both go through `words_of_message` and `templates.render`, so that what an
officer saw is what leaves. Values that differ from person to person are filled in at the last moment.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import repeat
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from channels.base import Content, Doubt, Hole, Medium, Outgoing, Prepared, hole
from channels.registry import Channels
from notifier.config import Settings
from notifier.db import Tx
from notifier.delivery import marks
from notifier.delivery.claim import Claimed
from notifier.delivery.limit import at_most
from notifier.delivery.numbers import (
    Want,
    leased,
)
from notifier.delivery.tokens import Names, attempt_token, links_of, names_of
from notifier.delivery.wording import Words, content_of, words_of_message, words_of_notice
from notifier.models import Lane, NoticeKind
from subscribers.signing import Keys
from templates.render import LINKS

KEPT = 256  # compiled messages kept in the process
LONGEST_SECONDS = 1.0  # that compiling one may take
UNWRITABLE = "its words cannot be made"
UNANSWERABLE = "it asks for replies, and its sender takes none"
URGENT, SMS = Lane.URGENT, Medium.SMS.value  # asked for each copy


Key = tuple[Any, ...]


class Row(Protocol):
    """What of a claimed or started row its words depend on."""

    @property
    def id(self) -> int: ...
    @property
    def message_id(self) -> UUID | None: ...
    @property
    def notice_id(self) -> UUID | None: ...
    @property
    def language(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def medium(self) -> str: ...
    @property
    def contact_point_id(self) -> UUID: ...
    @property
    def link_version(self) -> int: ...


class TeamRow(Row, Protocol):
    """The same, and whose message it is."""

    @property
    def team_id(self) -> UUID | None: ...


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Compiled words, the words they came from, and what one copy costs: personal values are of one length.

    is_mail, sender: its medium, and the number it comes from where it is a text and none is leased.
    goes_stale: the channel is told until when it is of use.
    has_links: some of its holes are personal links. names_attempt: its channel tells the attempt's token to somebody.
    to_many: it is marked as such; else headers says how its mail is marked.
    """

    prepared: Prepared
    words: Words
    parts: int
    pence: float
    is_mail: bool
    sender: str
    goes_stale: bool
    has_links: bool
    names_attempt: bool
    to_many: bool
    headers: Mapping[str, str]


class Personal(NamedTuple):
    """What differs from copy to copy: the delivery's names, and the recipient's links by the names of their holes.

    sender: the number leased to this person and team, where the team has a choice. at: when it was claimed, by the
    database's clock. doubt: of one that may have arrived, where its channel wants to know.
    """

    names: Names
    links: Mapping[str, str]
    sender: str = ""
    at: datetime | None = None
    doubt: Doubt | None = None


class Contents:
    """Compiled words of the messages in flight. One for a worker; safe to lose at any time."""

    def __init__(self, settings: Settings, channels: Channels, keys: Keys) -> None:
        self._settings, self._channels, self._keys = settings, channels, keys
        self._public_url = settings.public_url
        self._ready: OrderedDict[Key, Ready] = OrderedDict()

    async def load(self, tx: Tx, rows: Sequence[Row]) -> dict[Key, Words | str]:
        """The words of what is not compiled yet; in their place the reason where they cannot be made.

        Raises only what the database raises: one row's words never hold up the others.
        """
        found: dict[Key, Words | str] = {}
        for row in rows:
            key = key_of(row)
            if key in self._ready or key in found:
                continue
            try:
                found[key] = await self._words(tx, row)
            except (SQLAlchemyError, OSError):
                raise
            except Exception as error:
                found[key] = f"{UNWRITABLE}: {type(error).__name__}"
        return found

    def compiled(self, rows: Sequence[Row], words: Mapping[Key, Words | str]) -> dict[int, Ready | str]:
        """By delivery, the compiled words, or the reason why there are none."""
        made: dict[Key, Ready | str] = {}
        found: dict[int, Ready | str] = {}
        for row in rows:
            key = key_of(row)
            if key not in made:
                made[key] = self._kept(key) or self._compile(key, row, words[key])
            found[row.id] = made[key]
        return found

    async def numbers(
        self, tx: Tx, rows: Sequence[TeamRow], words: Mapping[Key, Words | str]
    ) -> Mapping[int, str]:
        """By delivery, the number leased to its person and team. Only texts pay for it, where there is a choice.

        words: as `load` gave them.
        """
        wants = []
        for row in rows:
            if row.medium != SMS or row.team_id is None:
                continue
            key = key_of(row)
            known = self._ready[key].words if key in self._ready else words[key]
            if isinstance(known, Words) and len(known.senders.addresses) > 1:
                wants.append(Want(row.id, row.contact_point_id, row.team_id, row.channel, known.senders))
        return await leased(tx, wants)

    def personal(
        self, rows: Sequence[Row], numbers: Mapping[int, str] | None = None, *, at: datetime | None = None
    ) -> list[Personal]:
        """What differs from copy to copy, of each row: made for many at once. numbers: as `numbers` gave them."""
        names = names_of(self._keys, [row.id for row in rows], self._settings.mail_domain)
        senders = [numbers.get(row.id, "") for row in rows] if numbers else repeat("")
        return [Personal(*each, at) for each in zip(names, self._links(rows), senders, strict=False)]

    def outgoing(self, delivery: Claimed, ready: Ready, personal: Personal | None = None) -> Outgoing:
        """One recipient's copy. Raises what a template or channel raises on words it cannot carry."""
        to_many = ready.to_many
        names, links, sender, at, doubt = personal or self.personal([delivery])[0]
        if not (to_many or ready.has_links):
            links = {}
        attempt = attempt_token(self._keys, delivery.id, delivery.number) if ready.names_attempt else ""
        urgent = delivery.lane is URGENT
        if not ready.is_mail:
            return Outgoing(
                attempt=attempt,
                delivery=names.delivery,
                to=delivery.address,
                prepared=ready.prepared,
                values=links,
                sender=sender or ready.sender,
                urgent=urgent,
                good_for_seconds=_seconds_left(delivery.expires_at, at) if ready.goes_stale else None,
                doubt=doubt,
            )
        return Outgoing(
            attempt=attempt,
            delivery=names.delivery,
            to=delivery.address,
            prepared=ready.prepared,
            values=links,
            reply_to=names.reply,
            return_path=names.bounce,
            headers=marks.one_click(links["unsubscribe_url"]) if to_many else ready.headers,
            urgent=urgent,
            doubt=doubt,
        )

    def _links(self, rows: Sequence[Row]) -> list[dict[str, str]]:
        """What differs from person to person, by the name of its hole."""
        owners = [(row.contact_point_id, row.link_version) for row in rows]
        return links_of(self._keys, self._public_url, owners)

    async def _words(self, tx: Tx, row: Row) -> Words:
        if row.message_id is not None:
            return await words_of_message(
                tx, row.message_id, row.language, Medium(row.medium), self._settings, channel=row.channel
            )
        return await words_of_notice(tx, row.notice_id, Medium(row.medium), row.channel, self._settings)

    def _kept(self, key: Key) -> Ready | None:
        if key in self._ready:
            self._ready.move_to_end(key)
        return self._ready.get(key)

    def _compile(self, key: Key, row: Row, words: Words | str) -> Ready | str:
        if isinstance(words, str):
            return words
        is_text = row.medium == SMS
        if is_text and words.asks and not words.senders.can_reply:
            return UNANSWERABLE
        try:
            with at_most(LONGEST_SECONDS):
                channel = self._channels[row.channel]
                content = content_of(words, Medium(row.medium), channel)
                estimate = channel.estimate(_with_values(content, self._links([row])[0]))
                prepared = channel.prepare(content)
        except Exception as error:
            return f"{UNWRITABLE}: {type(error).__name__}"
        ready = Ready(
            prepared=prepared,
            words=words,
            parts=estimate.parts,
            pence=estimate.cost_pence,
            is_mail=row.medium == Medium.EMAIL,
            sender=words.senders.first if is_text else "",
            goes_stale=is_text or row.medium == Medium.PUSH,
            has_links=any(isinstance(piece, Hole) and piece.name in LINKS for piece in prepared.pieces),
            names_attempt=channel.capabilities.names_attempt,
            to_many=words.notice_kind in (None, NoticeKind.DIGEST),
            headers=marks.to_one(words.notice_kind, words.variables),
        )
        if row.message_id is not None:
            self._ready[key] = ready
            while len(self._ready) > KEPT:
                self._ready.popitem(last=False)
        return ready


def _with_values(content: Content, values: Mapping[str, str]) -> Content:
    """The text as one recipient gets it, to see how long it is."""
    text = content.text
    for name, value in values.items():
        text = text.replace(hole(name), value)
    return replace(content, text=text)


def _seconds_left(until: datetime, at: datetime | None) -> float | None:
    """At least one, for what started may arrive."""
    return max((until - at).total_seconds(), 1.0) if at else None


def key_of(row: Row) -> Key:
    """What has the same words."""
    return (row.message_id, row.notice_id, row.language, row.channel, row.medium)
