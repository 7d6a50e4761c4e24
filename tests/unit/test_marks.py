"""How mail is marked: the same for all of a message, nobody's own, and in the form that mail programs read."""

import re
from uuid import UUID

import pytest

from channels.base import Content, Medium
from channels.mime import compile_mail
from notifier.delivery import marks
from notifier.models import NoticeKind

MESSAGE = UUID("01979c3e-0000-7000-8000-00a1b2c3d4e5")
DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)+")


def found(**changes: str) -> dict[str, str]:
    words = {
        "team_name": "Castle & Dock SNT",
        "team_slug": "castle-dock-snt",
        "domain": "link.example",
    } | changes
    return dict(marks.of_message(MESSAGE, "alert", **words))  # fmt: skip


def test_mail_to_many_says_whose_list_it_is_and_how_it_ends() -> None:
    made = found()
    assert made["List-Id"] == "Castle & Dock SNT <castle-dock-snt.link.example>"
    assert made["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert made["Feedback-ID"] == "00a1b2c3d4e5:castle-dock-snt:alert:link-example"
    assert made["Precedence"] == "bulk"
    assert "Auto-Submitted" not in made
    assert marks.one_click("https://link.example/u/x") == {"List-Unsubscribe": "<https://link.example/u/x>"}


def test_a_list_keeps_its_id_whatever_is_sent_and_whatever_it_is_called() -> None:
    other = dict(marks.of_message(UUID(int=5), "news", team_name="New name", team_slug="castle-dock-snt", domain="link.example"))  # fmt: skip
    ids = {made["List-Id"].rpartition(" ")[2] for made in (found(), other)}
    assert ids == {"<castle-dock-snt.link.example>"}
    assert DOT_ATOM.fullmatch(ids.pop().strip("<>"))


@pytest.mark.parametrize("domain", ["link.example", "a.uk", "x.y", "a-very-long-name-of-a-domain.example"])
def test_the_sender_in_a_feedback_id_has_the_length_gmail_wants(domain: str) -> None:
    parts = found(domain=domain)["Feedback-ID"].split(":")
    assert len(parts) == 4
    assert all(parts)
    assert 5 <= len(parts[3]) <= 15


@pytest.mark.parametrize("name", ["Tîm <y> Coed", "a\tb", "SNT: “East”", "x" * 200])
def test_a_teams_name_makes_no_header_of_its_own(name: str) -> None:
    headers = marks.of_message(MESSAGE, "news", team_name=name, team_slug="s", domain="link.example")
    compiled = compile_mail(Content(medium=Medium.EMAIL, language="en", text="x", headers=headers))
    assert b"<s.link.example>" in b"".join(piece for piece in compiled.pieces if isinstance(piece, bytes))


def test_a_digest_is_one_list_for_all_and_tells_nobody_apart() -> None:
    made = dict(marks.of_digest("Neighbourhood Link", domain="link.example"))
    assert made["List-Id"] == "Neighbourhood Link <digest.link.example>"
    assert made["Feedback-ID"] == "digest:digest:digest:link-example"


@pytest.mark.parametrize(
    ("kind", "marked"),
    [
        (NoticeKind.ACKNOWLEDGEMENT, {"Auto-Submitted": "auto-replied"}),
        (NoticeKind.HELP, {"Auto-Submitted": "auto-replied"}),
        (NoticeKind.WELCOME, {"Auto-Submitted": "auto-generated"}),
        (NoticeKind.ANSWER, {}),
    ],
)
def test_a_robot_says_that_it_is_one_and_an_officer_does_not(
    kind: NoticeKind, marked: dict[str, str]
) -> None:
    assert marks.to_one(kind, {}) == marked


def test_an_answer_stands_in_its_thread() -> None:
    made = marks.to_one(NoticeKind.ANSWER, {"in_reply_to": "<b@x.example>", "references": "<a@x.example> <b@x.example>"})  # fmt: skip
    assert made == {"In-Reply-To": "<b@x.example>", "References": "<a@x.example> <b@x.example>"}
