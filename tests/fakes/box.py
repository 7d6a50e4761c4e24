"""Shows what the stand-ins took on the demo's page: each new copy becomes a file of the outbox channel's folder."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr
from functools import singledispatch
from pathlib import Path
from secrets import token_hex
from typing import Any

from channels import addresses
from channels.base import Medium
from channels.email_smtp import delivery_of
from channels.outbox import Kept, write_one
from channels.words import Words
from tests.fakes import bluesky, mastodon, mmg, x
from tests.fakes.ledger import Ledger
from tests.fakes.push import AcceptedPush
from tests.fakes.smtp import AcceptedMail
from tests.fakes.twilio import AcceptedText

EVERY_SECONDS = 0.2
_SHOWN_HEADERS = (
    "Message-ID",
    "Date",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Auto-Submitted",
    "Feedback-ID",
)


async def keep_showing(folder: Path, ledgers: Iterable[Ledger[Any]]) -> None:
    """Until cancelled: every row the ledgers gain is kept in the folder, in its order."""
    seen = {number: (ledger, 0) for number, ledger in enumerate(ledgers)}
    while True:
        for number, (ledger, done) in seen.items():
            rows = [ledger[at] for at in range(done, len(ledger))]
            await asyncio.to_thread(_write, folder, rows)
            seen[number] = (ledger, done + len(rows))
        await asyncio.sleep(EVERY_SECONDS)


def _write(folder: Path, rows: Iterable[object]) -> None:
    for row in rows:
        write_one(folder, kept(row))


@singledispatch
def kept(row: object) -> Kept:
    """A stand-in's row as the demo shows it."""
    raise TypeError(f"nothing shows a {type(row).__name__}")


@kept.register
def _(row: AcceptedMail) -> Kept:
    mail: EmailMessage = message_from_bytes(row.raw, policy=policy.default)
    name, _ = parseaddr(str(mail["From"]))
    headers = {header: str(mail[header]) for header in _SHOWN_HEADERS if mail[header]}
    return Kept(
        attempt=token_hex(12),
        delivery=delivery_of(str(mail["Message-ID"])) or "",
        medium=Medium.EMAIL,
        to=row.to,
        at=datetime.now(UTC),
        language=str(mail["Content-Language"] or "en"),
        words=Words(subject=str(mail["Subject"]), text=row.text(), html=row.text("html"), sender_name=name),
        reply_to=parseaddr(str(mail["Reply-To"] or ""))[1],
        return_path=row.sender,
        headers=headers,
    )


@kept.register
def _(row: AcceptedText) -> Kept:
    return Kept(
        attempt=row.sid,
        delivery="",
        medium=Medium.SMS,
        to=row.to,
        at=row.at,
        language="en",
        words=Words(text=row.body),
        sender=row.sender,
    )


@kept.register
def _(row: mmg.AcceptedText) -> Kept:
    return Kept(
        attempt=f"mmg-{token_hex(8)}",
        delivery=row.reference,
        medium=Medium.SMS,
        to=row.to,
        at=datetime.now(UTC),
        language="en",
        words=Words(text=row.body),
        sender=addresses.incoming_number(f"+{row.sender}" if row.sender.isdigit() else row.sender),
    )


@kept.register
def _(row: x.AcceptedPost) -> Kept:
    return _post("X", row.text)


@kept.register
def _(row: mastodon.AcceptedPost) -> Kept:
    return _post("Mastodon", row.text, row.account)


@kept.register
def _(row: bluesky.AcceptedPost) -> Kept:
    return _post("Bluesky", row.text)


def _post(network: str, text: str, account: str = "") -> Kept:
    return Kept(
        attempt=f"{network.lower()}-{token_hex(8)}",
        delivery="",
        medium=Medium.SOCIAL,
        to=account or network,
        at=datetime.now(UTC),
        language="en",
        words=Words(text=text, sender_name=network),
    )


@kept.register
def _(row: AcceptedPush) -> Kept:
    words = row.words
    return Kept(
        attempt=f"push-{token_hex(8)}",
        delivery=row.topic,
        medium=Medium.PUSH,
        to=row.to,
        at=datetime.now(UTC),
        language=words["lang"],
        words=Words(
            text=words["body"],
            sender_name=words["title"],
            link=words["url"],
            actions=[[each["title"], each["url"]] for each in words["actions"]],
        ),
        urgent=row.urgency == "high",
    )
