"""Posts of Facebook pages, through the Graph API.

Facebook refuses a post with the words of the last one, but promises no more: what is in doubt is looked for among
the page's posts, and tried again if it is not there. What people write under a post is not read: answering there
is the page's own business, and it asks Facebook for further rights.
"""

import hmac
import json
from collections.abc import Collection, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Self

import aiohttp
from yarl import URL

from channels import http_links
from channels.addresses import Network
from channels.base import (
    Accepted,
    Capabilities,
    Idempotency,
    Medium,
    Outcome,
    Outgoing,
    Refusal,
    Refused,
    Throttled,
    Unknown,
    Variable,
)
from channels.errors import NotConfigured
from channels.http import TROUBLE, Session, json_of, not_asked
from channels.posts import (
    CLOCKS_APART,
    DUPLICATE,
    UNREADABLE,
    Account,
    Away,
    Posts,
    Size,
    comparable,
    not_found,
    read_accounts,
)

API_URL = "https://graph.facebook.com/v23.0"
MOST_CHARACTERS = 63_206
LOOK_BACK_POSTS = 25

# Facebook's error → what it means for us (developers.facebook.com/docs/graph-api/guides/error-handling). 200 to 299
# are rights the page's token lacks; others below 500 are refusals of the words.
TOO_FAST = frozenset({4, 17, 32, 341, 613})
MAY_HAVE_POSTED = frozenset(
    {1, 2}
)  # unknown error, service down: the post has been seen to stand all the same
REFUSALS = {
    3: Refusal.NOT_ALLOWED,  # the app lacks the ability
    10: Refusal.NOT_ALLOWED,  # the app lacks the right
    102: Refusal.NOT_ALLOWED,  # session
    190: Refusal.NOT_ALLOWED,  # token
    368: Refusal.NOT_ALLOWED,  # blocked for a while
    803: Refusal.NOT_ALLOWED,  # no such page
}
SAME_WORDS = 506
_RIGHTS = range(200, 300)
WAIT_SECONDS = 900.0  # of a limit that is counted over the last hour


class SocialFacebook(Posts):
    """Posts as the pages whose tokens it has, of one app."""

    name = "social_facebook"
    network = Network.FACEBOOK
    capabilities = Capabilities(
        media=frozenset({Medium.SOCIAL}),
        replies=False,
        receipts=False,
        html=False,
        max_text=MOST_CHARACTERS,
        idempotency=Idempotency.CONTENT,
        slot_rows=1,
        timeout_seconds=20,
    )
    variables = (
        Variable(
            name="NOTIFIER_FACEBOOK_PAGES",
            meaning="Pages with their access tokens: 104857600000000=TOKEN",
            secret=True,
            required=True,
        ),
        Variable(
            name="NOTIFIER_FACEBOOK_APP_SECRET",
            meaning="Secret of the app the tokens belong to; signs each call",
            secret=True,
            required=True,
        ),
        Variable(
            name="NOTIFIER_FACEBOOK_API_URL",
            meaning="Where the Graph API is, with its version",
            default=API_URL,
        ),
    )

    def __init__(
        self,
        pages: Mapping[str, str],
        app_secret: str,
        *,
        api_url: str = API_URL,
        timeout_seconds: float = 20,
    ) -> None:
        super().__init__(pages)
        self._app_secret = app_secret
        self._session = Session(api_url, total_seconds=timeout_seconds, connect_seconds=timeout_seconds / 2)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        for name in ("NOTIFIER_FACEBOOK_PAGES", "NOTIFIER_FACEBOOK_APP_SECRET"):
            if not env.get(name, "").strip():
                raise NotConfigured(cls.name, name)
        return cls(
            read_accounts(cls.name, "NOTIFIER_FACEBOOK_PAGES", env["NOTIFIER_FACEBOOK_PAGES"], cls.network),
            env["NOTIFIER_FACEBOOK_APP_SECRET"].strip(),
            api_url=env.get("NOTIFIER_FACEBOOK_API_URL") or API_URL,
        )

    async def close(self) -> None:
        await self._session.close()

    def size(self, text: str) -> Size:
        return Size(length=len(text), limit=MOST_CHARACTERS)

    async def post(self, account: Account, words: str, message: Outgoing) -> Outcome:
        """The last link of the words is shown as a card below them."""
        fields = {"message": words, "appsecret_proof": self._proof(account)}
        links = http_links.links(words)
        if links:
            fields["link"] = links[-1]
        async with self._session.request(
            "POST", f"https://server/{account.name}/feed", data=fields, headers=_signed(account)
        ) as response:
            found = await json_of(response)
            if response.status == 200:
                return Accepted(provider_id=str(found["id"]))
            return self._refused(response, found["error"])

    async def look_up(
        self, message: Outgoing, *, since: datetime | None = None, claimed: Collection[str] = ()
    ) -> Outcome:
        """The page's latest posts, compared without links."""
        words, account = self.words_of(message), self.account_of(message)
        if isinstance(words, Refused):
            return words
        if isinstance(account, Refused):
            return account
        query = {
            "fields": "id,message,created_time",
            "limit": str(LOOK_BACK_POSTS),
            "appsecret_proof": self._proof(account),
        }
        url = URL(f"https://server/{account.name}/posts").with_query(query)
        try:
            async with self._session.request("GET", url, headers=_signed(account)) as response:
                if response.status != 200:
                    raise Away(f"status {response.status}")
                latest = [
                    (
                        str(post["id"]),
                        datetime.fromisoformat(str(post["created_time"])),
                        comparable(str(post.get("message", ""))),
                    )
                    for post in (await json_of(response))["data"]
                ]
        except (Away, *TROUBLE, *UNREADABLE) as error:
            return not_asked(error)
        wanted = comparable(words)
        earliest = since - CLOCKS_APART if since else None
        for name, at, text in latest:
            if text == wanted and (earliest is None or at >= earliest) and name not in claimed:
                return Accepted(provider_id=name)
        return not_found(self.network)

    # --- Helpers --------------------------------------------------------------------------

    def _proof(self, account: Account) -> str:
        """That whoever has the token also has the app's secret."""
        return hmac.new(self._app_secret.encode(), account.secret.encode(), sha256).hexdigest()

    def _refused(self, response: aiohttp.ClientResponse, error: Mapping[str, Any]) -> Outcome:
        code = int(error["code"])
        if code in TOO_FAST:
            after = _until_regained(response.headers.get("X-Business-Use-Case-Usage", ""))
            return Throttled(after_seconds=after, code=str(code), where=self.whose)
        if code in MAY_HAVE_POSTED or error.get("is_transient") is True:
            return Unknown(reason=f"Facebook failed with error {code}")
        if code == SAME_WORDS:
            return self.refused(Refusal.CONTENT, "a recent post has the same words", DUPLICATE)
        why = REFUSALS.get(code, Refusal.NOT_ALLOWED if code in _RIGHTS else Refusal.CONTENT)
        return self.refused(why, f"Facebook error {code}", str(code))


def _signed(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.secret}"}


def _until_regained(usage: str) -> float:
    """Seconds, from the minutes in which Facebook expects to let us on; a quarter of an hour where it says nothing."""
    try:
        told = json.loads(usage or "{}")
        minutes = [float(each["estimated_time_to_regain_access"]) for rows in told.values() for each in rows]
    except UNREADABLE:
        return WAIT_SECONDS
    return max(minutes, default=0.0) * 60 or WAIT_SECONDS
