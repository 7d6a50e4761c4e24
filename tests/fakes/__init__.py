"""Stand-ins for the providers: real protocols, no real delivery, and a record of what was accepted."""

from tests.fakes.bluesky import FakeBluesky
from tests.fakes.facebook import FakeFacebook
from tests.fakes.mastodon import FakeMastodon
from tests.fakes.smtp import AcceptedMail, FakeSmtp
from tests.fakes.twilio import AcceptedText, FakeTwilio
from tests.fakes.x import AcceptedPost, FakeX

__all__ = [
    "AcceptedMail",
    "AcceptedPost",
    "AcceptedText",
    "FakeBluesky",
    "FakeFacebook",
    "FakeMastodon",
    "FakeSmtp",
    "FakeTwilio",
    "FakeX",
]
