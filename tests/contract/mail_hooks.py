"""What the benches of mail providers share: genuine calls of each kind, and what cannot befall them."""

from collections.abc import Sequence

from channels.base import HookRequest
from tests.contract.bench import Case
from tests.fakes.mail_provider import FakeMailProvider, Fate
from tests.fakes.smtp import AcceptedMail

IMPOSSIBLE = {
    Case.OPTED_OUT: "said by a call after it was taken",
    Case.LOOK_UP: "no server says what it took",
    Case.WEB: "mail goes by SMTP",
}
FATES = (Fate.DELIVERED, Fate.BOUNCED_HARD, Fate.LEFT)


def calls_of(provider: FakeMailProvider, url: str, to: str) -> Sequence[HookRequest]:
    """One call of some kinds, and one that brings a mail."""
    ours = (
        b"From: notices@link.example\r\nTo: %b\r\nMessage-ID: <d.x@link.example>\r\n\r\nhello\r\n"
        % to.encode()
    )
    told = [
        provider.call_of(fate, AcceptedMail(sender="notices@link.example", to=to, raw=ours)) for fate in FATES
    ]
    theirs = b"From: sam@resident.example\r\nMessage-ID: <1@resident.example>\r\n\r\nI will come.\r\n"
    told.append(
        provider.call_with(AcceptedMail(sender="sam@resident.example", to="desk@link.example", raw=theirs))
    )
    return [HookRequest(url=url, headers=call.headers, body=call.body) for call in told]
