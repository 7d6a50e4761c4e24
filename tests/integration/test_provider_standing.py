"""What the refusal of a text, or a receipt about it, says of the number itself: on both databases."""

from urllib.parse import quote, urlencode

from sqlalchemy import exists, select

from channels import twilio_codes, twilio_hooks
from channels.base import HookRequest, Receipt
from notifier.db import Database
from notifier.delivery import receipts
from notifier.delivery.tokens import attempt_token
from notifier.models import Delivery
from subscribers.models import ContactPoint, Suppression
from tests.integration.test_receipts import TAKEN, settles, started

# Twilio's code → the number's state, and whether it is on the list that outlives people and imports.
OF_BOTH = {
    "21610": ("stopped", True),
    "21614": ("bounced", False),
    "21611": ("active", False),
    "30002": ("active", False),
    "21612": ("active", False),
}
OF_RECEIPTS = {
    "30005": ("bounced", False),
    "30003": ("active", False),
    "30007": ("active", False),
    "": ("active", False),
}


async def standings(db: Database) -> dict[int, tuple[str, bool]]:
    """Of each delivery's number: its state, and is it on the list?"""
    listed = exists().where(
        Suppression.medium == ContactPoint.medium, Suppression.address_hash == ContactPoint.address_hash
    )
    query = select(Delivery.id, ContactPoint.state, listed.label("listed")).join(
        ContactPoint, ContactPoint.id == Delivery.contact_point_id
    )
    async with db.transaction(read_only=True) as tx:
        return {row.id: (str(row.state), bool(row.listed)) for row in await tx.execute(query)}


async def test_a_refused_text_decides_whether_the_number_is_written_to_again(db: Database) -> None:
    rows = await started(db, len(OF_BOTH))
    for start, code in zip(rows, OF_BOTH, strict=True):
        async with db.transaction() as tx:
            await settles(tx, start, twilio_codes.outcome(int(code), 400, wait_seconds=1))
    found = await standings(db)
    assert {code: found[start.id] for start, code in zip(rows, OF_BOTH, strict=True)} == OF_BOTH


async def test_a_receipt_decides_it_as_the_refusal_would_have(db: Database) -> None:
    wanted = OF_BOTH | OF_RECEIPTS
    rows = await started(db, len(wanted))
    for start, code in zip(rows, wanted, strict=True):
        async with db.transaction() as tx:
            await settles(tx, start, TAKEN)
            token = attempt_token(tx.keys, start.id, start.number)
        fields = {"MessageSid": f"SM{start.id:032x}", "MessageStatus": "undelivered", "ErrorCode": code}
        url = f"https://link.example/hooks/sms_twilio?attempt={quote(token)}"
        call = HookRequest(url=url, headers={}, body=urlencode(fields).encode())
        (receipt,) = twilio_hooks.events_of(call)
        assert isinstance(receipt, Receipt)
        for _ in range(2):  # a provider says things twice
            async with db.transaction() as tx:
                await receipts.record(tx, start.channel, receipt)
    found = await standings(db)
    assert {code: found[start.id] for start, code in zip(rows, wanted, strict=True)} == wanted
