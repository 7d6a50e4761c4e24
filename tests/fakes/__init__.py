"""Stand-ins for the providers: real protocols, no real delivery, and a record of what was accepted."""

from tests.fakes.smtp import AcceptedMail, FakeSmtp
from tests.fakes.twilio import AcceptedText, FakeTwilio
from tests.fakes.x import AcceptedPost, FakeX

__all__ = ["AcceptedMail", "AcceptedPost", "AcceptedText", "FakeSmtp", "FakeTwilio", "FakeX"]
