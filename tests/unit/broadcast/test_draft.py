"""What a draft is refused for, by its words alone."""

from datetime import UTC, datetime

import pytest

from notifier.broadcast.draft import Draft, check
from notifier.errors import Invalid

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def with_title(title: str) -> Draft:
    return Draft(kind="news", texts={"en": (title, "Words.")}, areas=("E05999001",), media=("email",))


@pytest.mark.parametrize("sign", ["\r\n", "\n", "\x00", "\t", "\x85", "\u2028", "\u2029"])
def test_a_title_is_one_line_however_the_line_is_broken(sign: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(with_title(f"Title{sign}Bcc: x@evil.example"), now=NOW, carriers={"email": "outbox"})
    assert refused.value.fields == {"title": "Remove line breaks from the title."}


@pytest.mark.parametrize("title", ["Café ŵ ŷ", "عنوان", "x < y & {1}", "A’s “quote”"])
def test_a_title_may_hold_what_people_write(title: str) -> None:
    check(with_title(title), now=NOW, carriers={"email": "outbox"})
