"""What a message will look like on each medium and in each language, and what one copy costs.

Goes through the very functions that sending goes through, so that the preview is what is sent. Called
by the desk and the API before approval.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import select

from channels.base import Content, Estimate, Medium, hole
from channels.registry import Channels
from notifier.config import Settings
from notifier.db import Tx
from notifier.delivery.accounts import accounts_of, network_of
from notifier.delivery.rehearse import awkward_people, rehearse
from notifier.delivery.wording import Words, words_of_message
from notifier.errors import Invalid
from notifier.models import Message, MessageText
from subscribers.signing import Keys

NO_REPLIES = "it asks for replies, and comes from a name that takes none"
NAMES = {
    Medium.EMAIL: "As an email",
    Medium.SMS: "As a text message",
    Medium.PUSH: "As a notification",
    Medium.SOCIAL: "As a post",
}


@dataclass(frozen=True, kw_only=True)
class Preview:
    """One medium in one language. content: with the personal links of nobody, as long as real ones.

    problem: why the channel cannot carry these words, or nothing. channel: the one whose rules it was made by.
    posts: on how many accounts it will appear, where it is a post.
    """

    medium: Medium
    language: str
    content: Content
    estimate: Estimate
    sender: str
    problem: str
    channel: str = ""
    posts: int = 0

    @property
    def network(self) -> str:
        """Where a post appears, in words; nothing where its channel does not say."""
        return network_of(self.channel) if self.medium is Medium.SOCIAL else ""


async def previews(tx: Tx, message: UUID, channels: Channels, settings: Settings) -> list[Preview]:
    """Every copy there will be of a message, English first. Media that no open channel carries are left out.

    Of the channels only what is pure is asked: `prepare` and `estimate`.
    """
    of = (await tx.execute(select(Message.criteria, Message.team_id).where(Message.id == message))).one()
    languages = (
        await tx.execute(select(MessageText.language).where(MessageText.message_id == message))
    ).scalars()
    ordered = sorted(languages, key=lambda language: (language != "en", language))
    found = []
    for language in ordered:
        for medium in _media(of.criteria["media"], language):
            if tx.carriers.get(medium) in channels:
                words = await words_of_message(tx, message, language, medium, settings)
                if medium is Medium.SOCIAL:
                    found += await _posts(tx, of.team_id, words, channels, settings)
                    continue
                every = [tx.carriers[medium], *(each.channel for each in tx.carriers.all_of(medium))]
                carriers = [each for each in dict.fromkeys(every) if each in channels]
                found.append(preview(words, medium, channels, carriers, tx.keys, settings))
    return found


async def require_sendable(tx: Tx, message: UUID, channels: Channels, settings: Settings) -> None:
    """Raise Invalid for the text that a chosen channel cannot carry, before anybody approves it."""
    faults: dict[str, str] = {}
    for each in await previews(tx, message, channels, settings):
        if each.problem:
            field = "body" if each.language == "en" else f"body_{each.language}"
            faults.setdefault(
                field, f"{NAMES[each.medium]}: {each.problem}. Change it, or leave that way out."
            )
    if faults:
        raise Invalid(faults)


def preview(
    words: Words,
    medium: Medium,
    channels: Channels,
    carriers: Sequence[str],
    keys: Keys,
    settings: Settings,
) -> Preview:
    """One copy, with what it costs, and whether its channels can carry it, whoever it is for. Sends nothing.

    carriers: every channel it may go by; the first says what it costs.
    """
    people = awkward_people(keys, settings.public_url)
    tried = [rehearse(words, medium, channels[each], people) for each in carriers]
    rehearsed = next((each for each in tried if each.problem), tried[0])
    shown = _filled(rehearsed.content, people[0])
    return Preview(
        medium=medium,
        language=words.language,
        content=shown,
        estimate=channels[carriers[0]].estimate(shown),
        sender=words.senders.first if medium is Medium.SMS else shown.sender_name,
        problem=rehearsed.problem or (NO_REPLIES if _is_unanswerable(words, medium) else ""),
        channel=carriers[0],
    )


async def _posts(tx: Tx, team: UUID, words: Words, channels: Channels, settings: Settings) -> list[Preview]:
    """What each network will show: lengths differ. A team without an account sees the first one's."""
    numbers = Counter(each.channel for each in await accounts_of(tx, team))
    names = [each.channel for each in tx.carriers.all_of(Medium.SOCIAL) if each.channel in numbers]
    return [
        replace(preview(words, Medium.SOCIAL, channels, [name], tx.keys, settings), posts=numbers[name])
        for name in names or [tx.carriers[Medium.SOCIAL]]
        if name in channels
    ]


def _is_unanswerable(words: Words, medium: Medium) -> bool:
    return medium is Medium.SMS and words.asks and not words.senders.can_reply


def _media(chosen: Sequence[str], language: str) -> list[Medium]:
    """In the order they are shown; a post appears once, in English."""
    order = (Medium.EMAIL, Medium.SMS, Medium.PUSH, Medium.SOCIAL)
    return [m for m in order if m in chosen and (m is not Medium.SOCIAL or language == "en")]


def _filled(content: Content, values: Mapping[str, str]) -> Content:
    text, rich = content.text, content.html
    for name, link in values.items():
        text, rich = text.replace(hole(name), link), rich.replace(hole(name), link)
    return replace(content, text=text, html=rich)
