"""Who is behind a link: reads the tokens of manage and unsubscribe pages. Called by web and by notices."""

from dataclasses import dataclass

from notifier.broadcast.notices import notice
from notifier.db import Tx
from notifier.delivery import tokens
from notifier.models import NoticeKind
from subscribers import contact_points
from subscribers.contact_points import Contact
from subscribers.signing import Use


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a manage link opens. is_fresh: asked for within the hour, so it may show everything held."""

    contact: Contact
    is_fresh: bool


def manage_url(tx: Tx, contact: Contact, public_url: str) -> str:
    """The preferences page of a contact point."""
    return tokens.manage_url(tx.keys, public_url, contact.id, contact.link_version)


async def read_manage(tx: Tx, token: str) -> Access | None:
    """What a token of /manage/ opens, or None: not ours, changed, run out, or of a person since erased."""
    fresh = tokens.read_fresh_token(tx.keys, token, tx.now)
    named = fresh or tokens.read_link_token(tx.keys, Use.MANAGE, token)
    if named is None:
        return None
    contact = await contact_points.get(tx, named[0])
    if contact is None or contact.subscriber is None or contact.link_version != named[1]:
        return None
    return Access(contact=contact, is_fresh=fresh is not None)


async def read_unsubscribe(tx: Tx, token: str) -> Contact | None:
    """The contact point of a token of /unsubscribe/. It is good for ever, and as often as it is used."""
    named = tokens.read_link_token(tx.keys, Use.UNSUBSCRIBE, token)
    contact = await contact_points.get(tx, named[0]) if named else None
    return contact if contact and named and contact.link_version == named[1] else None


async def say_already(tx: Tx, contact: Contact, public_url: str) -> None:
    """Tell somebody who is here already where their preferences are; at most once a day."""
    if contact.subscriber is None:  # a team's own address
        return
    await notice(
        tx,
        contact.id,
        kind=NoticeKind.ALREADY,
        template="already",
        variables={"manage_url": manage_url(tx, contact, public_url)},
        language=contact.language,
        dedupe_key=f"already:{contact.id}:{tx.now:%Y-%m-%d}",
    )
