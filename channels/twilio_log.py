"""Twilio's list of texts, sent and received: what `sms_twilio` reads to resolve a doubt and to find what it missed.

The SDK is not used here: it drops the zone of a date. Twilio lists the newest first and compares whole days.
Source: Twilio's "Messages resource" and "Media subresource" pages.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import encode_basic_auth

from channels.http import Session, json_of

PAGE_SIZE, MOST_PAGES = 200, 100
MOST_PICTURES = 10  # that Twilio lets a text have
_PICTURE = re.compile(r"ME[0-9a-fA-F]{32}")


class NotListed(Exception):
    """Twilio answered, but not with a list."""


@dataclass(frozen=True, kw_only=True)
class ListedText:
    """One text as Twilio lists it. at: when it was made, in whole seconds. pictures: how many came with it."""

    sid: str
    sender: str
    to: str
    body: str
    status: str
    direction: str
    at: datetime
    pictures: int


class TextLog:
    """The texts of one account, over the channel's own session."""

    def __init__(self, session: Session, account_sid: str, token: str) -> None:
        self._session, self._account = session, f"/2010-04-01/Accounts/{account_sid}"
        self.headers = {"Authorization": encode_basic_auth(account_sid, token)}

    async def texts(
        self,
        *,
        to: str,
        sender: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[ListedText]:
        """Texts to a number, newest first, page after page. since, until: none of an earlier or later day (UTC).

        NotListed, and what a Session raises, where Twilio could not be asked.
        """
        query = {"To": to, "PageSize": str(PAGE_SIZE)}
        if sender:
            query["From"] = sender
        if since:
            query["DateSent>"] = since.astimezone(UTC).date().isoformat()
        if until:
            query["DateSent<"] = until.astimezone(UTC).date().isoformat()
        path: str | None = f"{self._account}/Messages.json?{urlencode(query, quote_via=quote)}"
        for _ in range(MOST_PAGES):
            page = await self._page(path)
            for row in _rows(page, "messages"):
                yield _text(row)
            path = page.get("next_page_uri")
            if not path:
                return

    async def pictures(self, sid: str) -> tuple[str, ...]:
        """The addresses of what came with a text, as Twilio's hook spells them."""
        page = await self._page(f"{self._account}/Messages/{sid}/Media.json?PageSize={MOST_PICTURES}")
        found = [str(row.get("sid")) for row in _rows(page, "media_list")]
        path = f"https://api.twilio.com{self._account}/Messages/{sid}/Media"
        return tuple(f"{path}/{each}" for each in found[:MOST_PICTURES] if _PICTURE.fullmatch(each))

    async def _page(self, path: object) -> Mapping[str, Any]:
        if not isinstance(path, str) or not path.startswith(f"{self._account}/Messages"):
            raise NotListed("a page of something else")
        async with self._session.request("GET", path, headers=self.headers) as answer:
            if answer.status != 200:
                raise NotListed(f"status {answer.status}")
            try:
                page = await json_of(answer)
            except ValueError as error:
                raise NotListed("no JSON") from error
        if not isinstance(page, dict):
            raise NotListed("no list")
        return page


def _rows(page: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = page.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise NotListed("no list")
    return rows


def _text(row: Mapping[str, Any]) -> ListedText:
    try:
        return ListedText(
            sid=row["sid"],
            sender=row["from"] or "",
            to=row["to"] or "",
            body=row["body"] or "",
            status=row["status"],
            direction=row["direction"],
            at=parsedate_to_datetime(row["date_created"]).astimezone(UTC),
            pictures=int(row.get("num_media") or 0),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotListed("a text that cannot be read") from error
