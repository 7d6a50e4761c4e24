"""Small rules of the inbox without rows: tokens in addresses, when an answer may go, signatures, event ids."""

import hmac
from datetime import UTC, datetime, timedelta

import pytest

from channels.base import Medium
from channels.bounce_reasons import Failure
from channels.delivery_fields import Bounce
from channels.mailread import Mail
from notifier import config
from notifier.delivery.tokens import bounce_address, delivery_token, reply_address
from notifier.errors import Invalid
from notifier.inbox.answer import MOST_PARTS, Answerable, check_text, headers_for, why_not
from notifier.inbox.bounces import ends_address
from notifier.inbox.receive import mail_event
from notifier.inbox.thread import is_marked_reply, message_id_in, token_in
from notifier.inbox.view import masked
from notifier.web.hooks import is_signed
from subscribers.models import ContactPointState
from subscribers.signing import Keys

KEYS = Keys(["a secret that only the tests know"])
ADDRESS = reply_address(KEYS, 1234567, "replies.example")
NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)


# --- Threading --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [ADDRESS, ADDRESS.upper(), f"<{ADDRESS}>", f" {ADDRESS} ", ADDRESS.replace("replies", "elsewhere")],
)
def test_a_reply_address_survives_what_servers_do_to_it(written: str) -> None:
    assert token_in(KEYS, ["desk@replies.example", written]) == 1234567


def test_the_local_part_fits_64_octets() -> None:
    assert len(reply_address(KEYS, 2**63 - 1, "x.example").partition("@")[0]) <= 64


def test_a_changed_reply_address_names_nothing() -> None:
    local, _, domain = ADDRESS.partition("@")
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    changed = [
        f"{local[:at]}{letters[(letters.index(local[at]) + 1) % 32]}{local[at + 1 :]}@{domain}"
        for at in range(len("reply+"), len(local))
    ]
    changed += [f"{local[:-cut]}@{domain}" for cut in range(1, len(local))]
    changed += [f"{local}a@{domain}", ADDRESS.replace("reply+", "bounce+"), ADDRESS.replace("+", ""), ""]
    assert [each for each in changed if token_in(KEYS, [each]) is not None] == []


def test_a_bounce_address_is_no_reply_address_and_the_first_good_one_counts() -> None:
    assert token_in(KEYS, [bounce_address(KEYS, 1, "replies.example")]) is None
    other = reply_address(KEYS, 99, "replies.example")
    assert token_in(KEYS, [other, ADDRESS]) == 99


def test_our_message_id_names_its_delivery_and_no_other_id_does() -> None:
    ours = f"<d.{delivery_token(KEYS, 77)}@replies.example>"
    assert message_id_in(KEYS, ["<x@y.example>", ours.upper().replace("<D.", "<d.")]) == 77
    assert message_id_in(KEYS, [ours.replace("<d.", "<e."), "<d.aaaa@replies.example>", ""]) is None


@pytest.mark.parametrize(
    ("subject", "is_reply"), [("Re: x", True), ("AW: Re[2]: x", True), ("Reading room", False), ("", False)]
)
def test_a_reply_is_marked_in_its_subject(subject: str, is_reply: bool) -> None:
    assert is_marked_reply(subject) is is_reply


# --- Storing ----------------------------------------------------------------------------------


def test_the_envelope_is_written_above_the_mail_and_nothing_below_is_touched() -> None:
    raw = b"From: Sam <SAM@mail.example>\r\n\r\n.hello\r\n"
    event = mail_event(raw, mail_from="", recipients=["a@b.example\r\nX: y"])
    assert event.raw == b"Return-Path: <>\r\nDelivered-To: a@b.exampleX: y\r\n" + raw
    assert event.sender == "sam@mail.example"
    assert mail_event(raw).raw == raw


def test_the_id_of_a_mail_is_its_message_id_and_body() -> None:
    one = b"Received: here\r\nMessage-ID:\r\n <m1@x.example>\r\n\r\nbody"
    assert mail_event(one).event_id == mail_event(one.replace(b"here", b"there")).event_id
    assert mail_event(one).event_id != mail_event(one.replace(b"body", b"other")).event_id
    assert mail_event(one).event_id != mail_event(one.replace(b"m1@", b"m2@")).event_id
    bare = b"Received: here\r\n\r\nbody"
    assert mail_event(bare).event_id != mail_event(bare.replace(b"here", b"there")).event_id


# --- Bounces ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "permanent", "ends"),
    [
        (Failure.GONE, True, True),
        (Failure.GONE, False, False),
        (Failure.FULL, True, False),
        (Failure.REFUSED, True, False),
    ],
)
def test_only_an_address_that_is_none_is_ended_by_one_bounce(
    failure: Failure, *, permanent: bool, ends: bool
) -> None:
    bounce = Bounce(recipient="a@b.example", status="5.0.0", permanent=permanent, failure=failure)
    assert ends_address(bounce) is ends


# --- Answering --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "stopped", "wrote", "can_reply", "carried", "refused"),
    [
        ("active", None, 0, True, True, ""),
        ("unconfirmed", None, 0, True, True, ""),
        ("stopped", 1, 0, True, True, "asked us to stop"),
        ("stopped", 0, 1, True, True, ""),
        ("stopped", 1, None, True, True, "asked us to stop"),
        ("bounced", 1, 0, True, True, "comes back"),
        ("active", None, 0, False, True, "cannot take an answer"),
        ("active", None, 0, True, False, "No channel carries texts"),
    ],
)
def test_when_a_person_can_be_answered(
    state: str, stopped: int | None, wrote: int | None, can_reply: bool, carried: bool, refused: str
) -> None:
    def at(hours: int | None) -> datetime | None:
        return None if hours is None else NOW + timedelta(hours=hours)

    who = Answerable(
        medium=Medium.SMS,
        state=ContactPointState(state),
        can_reply=can_reply,
        stopped_at=at(stopped),
        wrote_at=at(wrote),
    )
    found = why_not(who, ["sms"] if carried else ["email"])
    assert refused in found
    assert bool(refused) == bool(found)


def test_an_answer_by_text_says_how_many_parts_it_would_be() -> None:
    assert check_text(" One\r\ntwo \x07", Medium.SMS, team_name="Abbey team") == "One\ntwo"
    assert check_text("👨‍👩‍👧", Medium.SMS) == "👨‍👩‍👧"
    with pytest.raises(Invalid, match=rf"That would be \d+ texts. Shorten it to {MOST_PARTS}"):
        check_text("x" * 1000, Medium.SMS)
    assert len(check_text("x" * 1000, Medium.EMAIL)) == 1000


def test_an_answer_stands_under_the_mail_it_answers() -> None:
    mail = Mail(subject="Noise", message_id="<b@x.example>", references=("<a@x.example>", "<é@x.example>"))
    assert headers_for(mail, "") == {
        "subject": "Re: Noise",
        "in_reply_to": "<b@x.example>",
        "references": "<a@x.example> <b@x.example>",
    }
    assert headers_for(Mail(message_id="<" + "x" * 2000 + ">"), "Patrols") == {"subject": "Re: Patrols"}
    assert headers_for(Mail(subject="RE: Noise"), "") == {"subject": "RE: Noise"}


@pytest.mark.parametrize(
    ("address", "medium", "shown"),
    [
        ("sam@mail.example", Medium.EMAIL, "s…@mail.example"),
        ("+447700900123", Medium.SMS, "…123"),
        ("60606", Medium.SMS, "60606"),
    ],
)
def test_an_officer_sees_enough_of_an_address_and_no_more(address: str, medium: Medium, shown: str) -> None:
    assert masked(address, medium) == shown


# --- The signed hook --------------------------------------------------------------------------

SETTINGS = config.build({"NOTIFIER_HOOK_KEYS": "the newest key, the-older-key"}).settings
OLD_KEY = b"the-older-key"


def signed(body: bytes, *, at: int = 1_000_000, key: bytes = OLD_KEY) -> str:
    return f"t={at},v1={hmac.digest(key, f'{at}.'.encode() + body, 'sha256').hex()}"


def test_any_key_of_the_ring_signs() -> None:
    assert is_signed([signed(b"mail")], b"mail", SETTINGS, now=1_000_299)
    assert is_signed(
        [signed(b"mail").upper().replace("T=", "t=").replace("V1=", "v1=")], b"mail", SETTINGS, now=1_000_000
    )
    assert is_signed(
        [f"{signed(b'mail', key=b'new')},v1={signed(b'mail').split('v1=')[1]}"],
        b"mail",
        SETTINGS,
        now=1_000_000,
    )


@pytest.mark.parametrize(
    ("headers", "now"),
    [
        ([], 1_000_000),
        ([""], 1_000_000),
        ([signed(b"mail")], 1_000_301),
        ([signed(b"mail")], 999_699),
        ([signed(b"mail ")], 1_000_000),
        ([signed(b"mail", key=b"another key")], 1_000_000),
        ([signed(b"mail").replace("t=1", "t=2")], 1_000_000),
        ([signed(b"mail"), signed(b"mail")], 1_000_000),
        ([signed(b"mail") + ",t=1000000"], 1_000_000),
        (["t=é,v1=é"], 1_000_000),
        (["t=1000000"], 1_000_000),
        (["t=²,v1=00"], 1_000_000),
        (["t=" + "9" * 5_000 + ",v1=00"], 1_000_000),
    ],
)
def test_anything_else_is_unsigned(headers: list[str], now: int) -> None:
    assert not is_signed(headers, b"mail", SETTINGS, now=now)


def test_without_keys_nothing_is_signed() -> None:
    none = config.build({}).settings
    assert not is_signed([signed(b"mail", key=b"")], b"mail", none, now=1_000_000)
