"""Joins sign-up rows and the notices that go with them; called by web, API, inbound and import.

Notices planned here, in `leaving` and in `preferences`, with the variables their templates get
(`medium` is `email` or `sms`, the third is `push`; lists may be empty; urls are whole):

| template         | kind     | media       | variables                                                    |
|------------------|----------|-------------|--------------------------------------------------------------|
| `confirm_email`  | CONFIRM  | email       | confirm_url, area_names: [str]                               |
| `confirm_sms`    | CONFIRM  | sms         | code: six digits (or reply OK), area_names: [str]            |
| `already`        | ALREADY  | email, sms  | manage_url                                                   |
| `welcome`        | WELCOME  | all three   | area_names: [str], team_names: [str], manage_url             |
| `fresh_link`     | LINK     | all three   | fresh_url, good_for_minutes: int                             |
| `stopped`        | RECEIPT  | email, sms  | medium, still_on: [medium], manage_url                       |
| `stopped_area`   | RECEIPT  | email, sms  | area_name, still_areas: [str], manage_url                    |
| `start_question` | CONFIRM  | sms, email  | area_names: [str] (reply OK; by email nothing is asked)      |

`welcome` also says that a person is back after `start_question` or after undoing a stop.
"""

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import func, or_, select

from notifier.broadcast.links import manage_url, say_already
from notifier.broadcast.notices import notice
from notifier.db import Tx
from notifier.errors import Invalid
from notifier.models import Notice, NoticeKind, Team, TeamArea
from subscribers import contact_points, sign_ups, subscriptions
from subscribers.consent import (
    LONGEST_WINDOW,
    WORDING,
    Choices,
    SignUpState,
    is_pumped,
    may_ask,
    merge,
)
from subscribers.contact_points import Contact
from subscribers.models import Area, Frequency, LeastPriority
from subscribers.sign_ups import Wish
from subscribers.signing import random_token
from subscribers.topics import topic_slugs

MOST_WAITING = 10
YES = frozenset({"ok", "okay", "yes", "y", "iawn", "ie", "ydw"})  # English and Welsh


@dataclass(frozen=True, kw_only=True)
class SignUpForm:
    """What somebody asks for. email and phone in their normal spelling; topics empty: all of them.

    source: web, api, text or desk.
    """

    area_codes: tuple[str, ...]
    email: str | None = None
    phone: str | None = None
    postcode: str | None = None
    topics: tuple[str, ...] = ()
    language: str = "en"
    least_priority: LeastPriority = LeastPriority.EVERYTHING
    frequency: Frequency = Frequency.AT_ONCE
    name: str | None = None
    wording: str = WORDING
    source: str = "web"


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """The address is its owner's. next_phone: the phone of the same form, waiting for its code.

    phone_left: that phone could not be asked just now.
    """

    contact_point: UUID
    subscriber: UUID
    medium: str
    area_names: tuple[str, ...]
    manage_url: str
    next_phone: UUID | None = None
    phone_left: bool = False


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The link is good and has not been used. then_texts: a phone of the same form would be asked next."""

    medium: str
    area_names: tuple[str, ...]
    then_texts: bool = False


@dataclass(frozen=True)
class Expired:
    """The link was not followed within 48 hours."""


@dataclass(frozen=True)
class NoSuch:
    """No sign-up goes by that link or code."""


# --- Signing up ---------------------------------------------------------------------------------


async def sign_up(tx: Tx, form: SignUpForm, *, public_url: str) -> None:
    """Ask the address's owner to confirm. Says nothing, so that nobody learns who is signed up.

    With both addresses the email is asked first, and the phone once it is confirmed (a text costs
    money: no script shall make us send them). Raises Invalid where neither is given, or where an area
    is not served or a topic is none.
    """
    choices = await _choices(tx, form)
    if form.email:
        await ask(
            tx,
            "email",
            form.email,
            replace(choices, phone=form.phone),
            wording=form.wording,
            source=form.source,
            public_url=public_url,
        )
    elif form.phone:
        await ask(
            tx,
            "sms",
            form.phone,
            choices,
            wording=form.wording,
            source=form.source,
            public_url=public_url,
        )
    else:
        raise Invalid({"email": "Give an email address or a mobile number"})


async def ask(
    tx: Tx, medium: str, address: str, choices: Choices, *, wording: str, source: str, public_url: str
) -> UUID:
    """Keep one wish and ask that address to confirm it, within the limits of `consent.ASK_LIMITS`.

    The contact point's row is held meanwhile, so that many forms at once still send one request.
    Returns the contact point.
    """
    contact = await contact_points.ensure(tx, medium, address)
    if contact.is_active:
        if contact.subscriber != choices.subscriber:
            await say_already(tx, contact, public_url)
        return contact.id
    is_asked = await _may_ask(tx, contact)
    if not is_asked and len(await sign_ups.waiting(tx, contact.id)) >= MOST_WAITING:
        return contact.id
    token = random_token()
    code = f"{secrets.randbelow(10**6):06}" if medium == "sms" and is_asked else None
    await sign_ups.begin(tx, contact.id, choices, token=token, code=code, wording=wording, source=source)
    if is_asked:
        places = list((await subscriptions.known_areas(tx, choices.area_codes)).values())
        secret = {"code": code} if medium == "sms" else {"confirm_url": f"{public_url}/confirm/{token}"}
        await notice(
            tx,
            contact.id,
            kind=NoticeKind.CONFIRM,
            template=f"confirm_{medium}",
            variables={**secret, "area_names": places},
            language=choices.language,
        )
    return contact.id


async def ask_to_restart(tx: Tx, contact: Contact, *, source: str) -> None:
    """Ask whoever texted START from a number that had stopped: START alone may be forged, OK may not."""
    if contact.subscriber is None or not await _may_ask(tx, contact):
        return
    choices = Choices(language=contact.language, subscriber=contact.subscriber)
    await sign_ups.begin(
        tx, contact.id, choices, token=random_token(), code=None, wording=WORDING, source=source
    )
    places = await subscriptions.areas_of(tx, contact.subscriber)
    await notice(
        tx,
        contact.id,
        kind=NoticeKind.CONFIRM,
        template="start_question",
        variables={"area_names": list(places.values())},
        language=contact.language,
    )


async def _choices(tx: Tx, form: SignUpForm) -> Choices:
    served = await subscriptions.known_areas(tx, form.area_codes)
    known = await topic_slugs(tx)
    faults = {}
    if not form.area_codes or set(form.area_codes) - served.keys():
        faults["area_codes"] = "Choose an area that our teams work in"
    if set(form.topics) - set(known):
        faults["topics"] = "Choose topics from the list"
    if faults:
        raise Invalid(faults)
    return Choices(
        area_codes=form.area_codes,
        topics=form.topics or tuple(known),
        language=form.language,
        least_priority=form.least_priority,
        frequency=form.frequency,
        name=form.name,
        postcode=form.postcode,
    )


async def _may_ask(tx: Tx, contact: Contact) -> bool:
    if contact.medium == "sms" and contact.subscriber is None:
        sent, used = await sign_ups.codes_of_late(tx)
        if is_pumped(sent=sent, used=used):
            return False
    asked = await tx.execute(
        select(Notice.created_at).where(
            Notice.contact_point_id == contact.id,
            Notice.kind == NoticeKind.CONFIRM,
            Notice.created_at > tx.now - LONGEST_WINDOW,
        )
    )
    return may_ask(contact.medium, list(asked.scalars()), tx.now)


# --- Confirming ---------------------------------------------------------------------------------


async def see_link(tx: Tx, token: str, *, public_url: str) -> Waiting | Confirmed | Expired | NoSuch:
    """What a confirm link would do. Changes nothing: scanners of mail follow links too."""
    wish = await sign_ups.by_token(tx, token)
    if wish is None:
        return NoSuch()
    match wish.state:
        case SignUpState.EXPIRED:
            return Expired()
        case SignUpState.CONFIRMED:
            return await _confirmed(tx, wish, public_url)
        case SignUpState.WAITING:
            places = await subscriptions.known_areas(tx, wish.choices.area_codes)
            contact = await contact_points.get(tx, wish.contact_point)
            return Waiting(
                medium=contact.medium if contact else "",
                area_names=tuple(places.values()),
                then_texts=bool(wish.choices.phone) and "sms" in tx.carriers,
            )


async def confirm_link(
    tx: Tx, token: str, *, public_url: str, may_text: bool = True
) -> Confirmed | Expired | NoSuch:
    """Follow a confirm link. Safe to repeat: the second time says the same and does nothing.

    may_text: whether the phone of the same form may be asked, which costs a text.
    """
    found = await sign_ups.by_token(tx, token)
    if found is None:
        return NoSuch()
    await contact_points.hold(tx, found.contact_point)
    wish = await sign_ups.by_token(tx, token)  # as it is now that nobody else works on it
    if wish is None:
        return NoSuch()
    if wish.state is SignUpState.EXPIRED:
        return Expired()
    if wish.state is SignUpState.CONFIRMED:
        return await _confirmed(tx, wish, public_url)
    return await _confirm(tx, wish, actor="link", public_url=public_url, may_text=may_text)


async def confirm_code(tx: Tx, phone: str | UUID, code: str, *, public_url: str) -> Confirmed | NoSuch:
    """Take the six digits sent to a phone (its number, or its contact point). Five wrong ones end the code.

    Wrong, used up, expired and never sent are one answer, so that nobody learns who is signed up.
    The tries are spent in this transaction: commit it whatever the answer.
    """
    known = await contact_points.find(tx, "sms", phone) if isinstance(phone, str) else None
    contact_point = known.id if known else phone
    contact = await contact_points.hold(tx, contact_point) if isinstance(contact_point, UUID) else None
    if contact is None:
        return NoSuch()
    wish = await sign_ups.match_code(tx, await sign_ups.waiting(tx, contact.id), _digits(code))
    return await _confirm(tx, wish, actor="code", public_url=public_url) if wish else NoSuch()


async def confirm_by_reply(tx: Tx, contact_point: UUID, text: str, *, public_url: str) -> Confirmed | NoSuch:
    """Take OK, YES or the code, texted from the handset itself. NoSuch where nothing waits for an answer."""
    contact = await contact_points.hold(tx, contact_point)
    wishes = await sign_ups.waiting(tx, contact_point) if contact else []
    if not wishes:
        return NoSuch()
    said = re.sub(r"[^\w\s]", "", text).strip().casefold()
    digits = _digits(text)
    wish = wishes[0] if said in YES else None
    if wish is None and len(digits) == 6 and digits == said.replace(" ", ""):
        wish = await sign_ups.match_code(tx, wishes, digits)
    return await _confirm(tx, wish, actor="reply", public_url=public_url) if wish else NoSuch()


async def _confirm(
    tx: Tx, wish: Wish, *, actor: str, public_url: str, may_text: bool = True
) -> Confirmed | NoSuch:
    """The contact point's row is held by the caller."""
    contact = await contact_points.get(tx, wish.contact_point)
    others = [other for other in await sign_ups.waiting(tx, wish.contact_point) if other.id != wish.id]
    choices = merge(wish.choices, [other.choices for other in others])
    if contact is None:
        return NoSuch()
    subscriber = await subscriptions.confirm(
        tx, contact, choices, wording=wish.wording, source=wish.source, actor=actor
    )
    if subscriber is None:
        return NoSuch()
    await sign_ups.mark_confirmed(tx, [wish, *others])
    confirmed = await _confirmed(tx, wish, public_url)
    if isinstance(confirmed, Confirmed):
        await say_welcome(tx, confirmed, dedupe_key=f"welcome:{wish.id}")
    if not wish.choices.phone or "sms" not in tx.carriers:
        return confirmed
    if not may_text:
        return replace(confirmed, phone_left=True) if isinstance(confirmed, Confirmed) else confirmed
    await ask(
        tx,
        "sms",
        wish.choices.phone,
        Choices(language=choices.language, subscriber=subscriber),
        wording=wish.wording,
        source=wish.source,
        public_url=public_url,
    )
    return await _confirmed(tx, wish, public_url)


async def _confirmed(tx: Tx, wish: Wish, public_url: str) -> Confirmed | NoSuch:
    contact = await contact_points.get(tx, wish.contact_point)
    if contact is None or contact.subscriber is None:
        return NoSuch()
    places = await subscriptions.areas_of(tx, contact.subscriber)
    phone = await contact_points.find(tx, "sms", wish.choices.phone) if wish.choices.phone else None
    is_waiting = phone is not None and bool(await sign_ups.waiting(tx, phone.id))
    return Confirmed(
        contact_point=contact.id,
        subscriber=contact.subscriber,
        medium=contact.medium,
        area_names=tuple(places.values()),
        manage_url=manage_url(tx, contact, public_url),
        next_phone=phone.id if phone and is_waiting else None,
    )


async def say_welcome(tx: Tx, confirmed: Confirmed, *, dedupe_key: str) -> None:
    """Tell a person what they will get, from whom, and where to change it."""
    contact = await contact_points.get(tx, confirmed.contact_point)
    if contact is None:
        return
    codes = await subscriptions.areas_of(tx, confirmed.subscriber)
    await notice(
        tx,
        contact.id,
        kind=NoticeKind.WELCOME,
        template="welcome",
        variables={
            "area_names": list(confirmed.area_names),
            "team_names": await team_names(tx, codes),
            "manage_url": confirmed.manage_url,
        },
        language=contact.language,
        dedupe_key=dedupe_key,
    )


async def team_names(tx: Tx, area_codes: Collection[str]) -> list[str]:
    """Names of the teams that cover these areas now, or the area they lie in."""
    parents = select(Area.parent_code).where(Area.code.in_(list(area_codes)))
    rows = await tx.execute(
        select(Team.name)
        .join(TeamArea, TeamArea.team_id == Team.id)
        .where(or_(TeamArea.area_code.in_(list(area_codes)), TeamArea.area_code.in_(parents)))
        .where(or_(TeamArea.until.is_(None), TeamArea.until > tx.now))
        .group_by(Team.id, Team.name)
        .order_by(func.min(TeamArea.id))
    )
    return list(rows.scalars())


def _digits(text: str) -> str:
    return "".join(sign for sign in text if sign in "0123456789")
