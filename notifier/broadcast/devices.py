"""Notifications on a device: turned on and off from an area's page, with no address given and nothing else known.

The subscription that a browser makes is the address. Nobody but that browser knows its keys, so whoever brings them
has it before them: turning on is the confirmation itself, and no question is sent first. Called by the public pages.
"""

from dataclasses import dataclass

from channels.base import Medium
from notifier.broadcast import leaving, preferences, welcome
from notifier.broadcast.links import manage_url
from notifier.broadcast.preferences import Change
from notifier.broadcast.welcome import Confirmed
from notifier.db import Tx
from notifier.errors import Invalid
from subscribers import contact_points, evidence, subscriptions
from subscribers.consent import PUSH_WORDING, Choices, ConsentAction
from subscribers.contact_points import Contact
from subscribers.evidence import Evidence
from subscribers.models import Frequency, LeastPriority
from subscribers.topics import topic_slugs

SOURCE, ACTOR = "page", "browser"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a device gets: the areas it follows, and where that is changed; neither where nothing is on."""

    areas: tuple[str, ...] = ()
    manage_url: str = ""


async def standing(tx: Tx, address: str, *, public_url: str) -> Standing:
    """Of a device by its subscription, as we spell it."""
    contact = await contact_points.find(tx, Medium.PUSH, address)
    return await _standing(tx, contact, public_url)


async def turn_on(tx: Tx, address: str, area: str, *, language: str, public_url: str) -> Standing:
    """Tell this device of an area: alerts and what the team works on, as soon as they go out. Safe to repeat.

    A device that follows other areas keeps them, its language and its choices. Raises Invalid where no team of ours
    works in the area.
    """
    if not await subscriptions.known_areas(tx, [area]):
        raise Invalid({"area": "Choose an area that our teams work in"})
    contact = await contact_points.ensure(tx, Medium.PUSH, address)
    held = await preferences.read_preferences(tx, contact.id) if contact.is_active else None
    if held is not None:
        change = Change(area_codes=(*held.areas, area) if area not in held.areas else None)
        await preferences.change_preferences(tx, contact.id, change, source=SOURCE, actor=ACTOR)
        return await standing(tx, address, public_url=public_url)
    choices = Choices(
        area_codes=(area,),
        topics=tuple(await topic_slugs(tx)),
        language=language,
        least_priority=LeastPriority.PRIORITY,
        frequency=Frequency.AT_ONCE,
    )
    subscriber = await subscriptions.confirm(
        tx, contact, choices, wording=PUSH_WORDING, source=SOURCE, actor=ACTOR
    )
    now_on = await contact_points.get(tx, contact.id)
    if subscriber is None or now_on is None:
        raise LookupError("a person vanished inside their own transaction")
    places = await subscriptions.areas_of(tx, subscriber)
    confirmed = Confirmed(
        contact_point=contact.id,
        subscriber=subscriber,
        medium=Medium.PUSH,
        area_names=tuple(places.values()),
        manage_url=manage_url(tx, now_on, public_url),
    )
    await welcome.say_welcome(tx, confirmed, dedupe_key=f"welcome:{contact.id}:{tx.now:%Y-%m-%d}")
    return await _standing(tx, now_on, public_url)


async def turn_off(tx: Tx, address: str, area: str, *, public_url: str) -> Standing:
    """Tell this device no more of an area; with its last one it ends altogether. Safe to repeat."""
    contact = await contact_points.find(tx, Medium.PUSH, address)
    if contact is None:
        return Standing()
    followed = (await _standing(tx, contact, public_url)).areas
    if [each for each in followed if each != area]:
        await leaving.stop_area(tx, contact.id, area, source=SOURCE, public_url=public_url)
    else:
        await leaving.stop(tx, contact.id, source=SOURCE, public_url=public_url)
    return await standing(tx, address, public_url=public_url)


async def renew(tx: Tx, old: str, new: str, *, public_url: str) -> Standing:
    """The browser made a new subscription in place of an old one: the same person goes on with it. Safe to repeat.

    Nothing comes of it where the old one is not on: whoever stopped stays stopped.
    """
    before = await contact_points.find(tx, Medium.PUSH, old)
    if before is None or before.subscriber is None or not before.is_active or old == new:
        return await standing(tx, new, public_url=public_url)
    contact = await contact_points.ensure(tx, Medium.PUSH, new)
    if contact.subscriber is None:
        await contact_points.activate(tx, contact, before.subscriber)
        await evidence.record(
            tx,
            _event(tx, before, ConsentAction.WITHDRAWN, "replaced"),
            _event(tx, contact, ConsentAction.GIVEN, "replaced"),
        )
    return await standing(tx, new, public_url=public_url)


def _event(tx: Tx, contact: Contact, action: ConsentAction, source: str) -> Evidence:
    return Evidence(
        contact_point=contact.id, action=action, source=source, actor=ACTOR, at=tx.now, wording=PUSH_WORDING
    )


async def _standing(tx: Tx, contact: Contact | None, public_url: str) -> Standing:
    if contact is None or contact.subscriber is None or not contact.is_active:
        return Standing()
    areas = await subscriptions.areas_of(tx, contact.subscriber)
    return Standing(areas=tuple(areas), manage_url=manage_url(tx, contact, public_url))
