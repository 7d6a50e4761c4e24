"""What a provider told us, each kind into its own place. Called by the edges that take it in: the hooks, the poller."""

from typing import assert_never

from channels.base import Event, Incoming, Medium, OptedOut, Receipt
from notifier.db import Tx
from notifier.delivery import receipts
from notifier.inbox import opted_out, receive


async def keep(tx: Tx, channel: str, event: Event) -> None:
    """Keep one event, inside the transaction its edge commits before it says yes. Safe to run twice by its id."""
    match event:
        case Incoming(medium=Medium.EMAIL):  # whichever door it came in by, and however often
            recipients = [event.recipient] if event.recipient else []
            await receive.store(tx, receive.MAIL, receive.mail_event(event.raw, recipients=recipients))
        case Incoming():
            await receive.store(tx, channel, event)
        case Receipt():
            await receipts.record(tx, channel, event)
        case OptedOut():
            await opted_out.keep(tx, channel, event)
        case _:
            assert_never(event)
