"""Obeys what is a command and not a message: STOP, STOP and an area, START, HELP, OK or a code.

Called by `handle`. None means that it was no command after all (nobody waits for that OK), and the message
goes into a queue like any other.
"""

from dataclasses import dataclass

from channels.base import Medium
from notifier.broadcast import leaving, welcome
from notifier.broadcast.leaving import Start
from notifier.db import Tx
from notifier.inbox import thread
from notifier.inbox.acknowledge import say_help
from notifier.inbox.read import Received
from notifier.inbox.sender import Sender
from notifier.inbox.triage import plain_words
from notifier.models import IncomingKind


@dataclass(frozen=True, kw_only=True)
class Obeyed:
    """The command, and what came of it for the record."""

    kind: IncomingKind
    reason: str


async def obey(tx: Tx, received: Received, sender: Sender, *, public_url: str) -> Obeyed | None:
    """Do what was asked. Each act is safe to run twice."""
    match received.triage.kind:
        case IncomingKind.STOP:
            return await _stop(tx, received, sender, public_url)
        case IncomingKind.START:
            return await _start(tx, received, sender, public_url)
        case IncomingKind.HELP:
            return await _help(tx, received, sender)
        case IncomingKind.CONFIRM:
            return await _confirm(tx, received, sender, public_url)
        case _:
            return await _stop_area(tx, received, sender, public_url)


async def _stop(tx: Tx, received: Received, sender: Sender, public_url: str) -> Obeyed | None:
    """Honoured for whoever it seems to come from: a forged stop does less harm than one that is ignored."""
    if received.is_doubtful:
        return None
    if not sender.can_reply:
        return Obeyed(kind=IncomingKind.STOP, reason="nothing is ever sent to that sender")
    done = await leaving.stop(
        tx, sender.contact_point, source=_source(received), public_url=public_url, actor="subscriber"
    )
    return Obeyed(kind=IncomingKind.STOP, reason="stopped" if done.was_on else "it had been stopped before")


async def _stop_area(tx: Tx, received: Received, sender: Sender, public_url: str) -> Obeyed | None:
    asked = received.triage.stop_area
    if not asked or received.is_doubtful:
        return None
    named = [code for code, name in sender.areas.items() if " ".join(plain_words(name)) == asked]
    if len(named) != 1:
        return None
    source = _source(received)
    if not await leaving.stop_area(tx, sender.contact_point, named[0], source=source, public_url=public_url):
        return None
    return Obeyed(kind=IncomingKind.STOP, reason="stopped for one area")


async def _start(tx: Tx, received: Received, sender: Sender, public_url: str) -> Obeyed | None:
    if received.is_doubtful or not sender.can_reply or sender.medium not in tx.carriers:
        return None
    came = await leaving.start(tx, sender.contact_point, source=_source(received), public_url=public_url)
    if came is Start.UNKNOWN:
        return None
    return Obeyed(kind=IncomingKind.START, reason=f"start: {came}")


async def _help(tx: Tx, received: Received, sender: Sender) -> Obeyed | None:
    """HELP itself may be a cry for help: it is answered, and goes to a team as well."""
    await say_help(tx, sender, received)
    if received.triage.urgent:
        return None
    return Obeyed(kind=IncomingKind.HELP, reason="told whom to call")


async def _confirm(tx: Tx, received: Received, sender: Sender, public_url: str) -> Obeyed | None:
    """A handset may say OK for itself; a mail only where it answers what we sent to that address."""
    if received.medium is Medium.EMAIL:
        found = await thread.find(
            tx,
            sender=sender.contact_point,
            recipients=received.recipients,
            mail=received.mail,
            is_doubtful=received.is_doubtful,
        )
        if found is None or not found.verified:
            return None
    text = received.text
    came = await welcome.confirm_by_reply(tx, sender.contact_point, text, public_url=public_url)
    if not isinstance(came, welcome.Confirmed):
        return None
    return Obeyed(kind=IncomingKind.CONFIRM, reason="confirmed by reply")


def _source(received: Received) -> str:
    return "mail" if received.medium is Medium.EMAIL else "text"
