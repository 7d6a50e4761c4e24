"""Posts on X, through tweepy over our own session.

X refuses a post with the words of a recent one, which makes a second try safe: what is in doubt is looked for on
the account's timeline, and tried again if it is not there.
"""

import html
import logging
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

import tweepy
from tweepy.asynchronous import AsyncClient

from channels import estimates, weighted
from channels.base import (
    Accepted,
    Capabilities,
    Content,
    Estimate,
    Failed,
    Idempotency,
    Medium,
    Outcome,
    Outgoing,
    Prepared,
    Refusal,
    Refused,
    Unknown,
    Variable,
    cut,
    filled,
)
from channels.errors import NotConfigured
from channels.http import TROUBLE, Session, not_asked, outcome_of
from channels.one_medium import OneMedium

# Their debug lines hold the words and the signature of every call.
for _noisy in ("tweepy", "oauthlib"):
    logging.getLogger(_noisy).setLevel(logging.INFO)

API_URL = "https://api.twitter.com"
DUPLICATE = "duplicate"
LOOK_BACK_POSTS = 20
CLOCKS_APART = timedelta(minutes=1)

# X's status → what it means for us. A 403 is read word by word: see `_refused`.
REFUSALS = {
    400: Refusal.CONTENT,
    401: Refusal.NOT_ALLOWED,
    402: Refusal.NOT_ALLOWED,  # no credit left
    404: Refusal.NOT_ALLOWED,
}
_BLOCKED_WORDS = re.compile(
    r"suspend|locked|not permitted|not allowed|access level|permission", re.IGNORECASE
)
_LINK = re.compile(r"https?://\S+|\b(?:[\w-]+\.)+[a-z]{2,}(?:/\S*)?", re.IGNORECASE)
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True, kw_only=True)
class _Post:
    """One post of the timeline; its words without links."""

    id: str
    text: str
    at: datetime | None


class _Session:
    """What tweepy asks of its session: `request`, sent where we say and with our deadline."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @asynccontextmanager
    async def request(self, method: str, url: Any, **options: Any) -> AsyncIterator[Any]:
        async with self._session.request(method, url, **options) as response:
            yield response


class SocialX(OneMedium):
    """Posts as the one account whose keys it has."""

    name = "social_x"
    medium, called = Medium.SOCIAL, "posts"
    capabilities = Capabilities(
        media=frozenset({Medium.SOCIAL}),
        replies=False,
        receipts=False,
        html=False,
        max_text=weighted.MAX_LENGTH,
        idempotency=Idempotency.CONTENT,
        slot_rows=1,
        timeout_seconds=15,
    )
    variables = (
        Variable(name="NOTIFIER_X_CONSUMER_KEY", meaning="X app key", secret=True, required=True),
        Variable(name="NOTIFIER_X_CONSUMER_SECRET", meaning="X app secret", secret=True, required=True),
        Variable(name="NOTIFIER_X_ACCESS_TOKEN", meaning="X account token", secret=True, required=True),
        Variable(name="NOTIFIER_X_ACCESS_TOKEN_SECRET", meaning="Its secret", secret=True, required=True),
        Variable(
            name="NOTIFIER_X_API_URL",
            meaning="Where X's interface is, for a drill against a stand-in",
            default=API_URL,
        ),
    )

    def __init__(
        self,
        consumer_key: str,
        consumer_secret: str,
        access_token: str,
        access_token_secret: str,
        *,
        api_url: str = API_URL,
        timeout_seconds: float = 15,
    ) -> None:
        self._session = Session(api_url, total_seconds=timeout_seconds, connect_seconds=timeout_seconds / 2)
        self._client = AsyncClient(
            consumer_key=consumer_key,
            consumer_secret=consumer_secret,
            access_token=access_token,
            access_token_secret=access_token_secret,
            wait_on_rate_limit=False,
        )
        self._client.session = _Session(self._session)
        self._account_id = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        needed = [variable.name for variable in cls.variables if variable.required]
        for name in needed:
            if not env.get(name):
                raise NotConfigured(cls.name, name)
        return cls(*(env[name] for name in needed), api_url=env.get("NOTIFIER_X_API_URL") or API_URL)

    async def close(self) -> None:
        await self._session.close()

    def estimate(self, content: Content) -> Estimate:
        return estimates.estimate(content)

    def prepare(self, content: Content) -> Prepared:
        self.require_fit(content)
        return Prepared(medium=content.medium, language=content.language, pieces=cut(content.text))

    async def send(self, message: Outgoing) -> Outcome:
        """A duplicate is Refused: here nobody knows whose the earlier post is. `look_up` finds out."""
        copy = filled(message)
        if isinstance(copy, Refused):
            return copy
        words = copy.decode()
        if not weighted.measure(words).fits:
            return Refused(why=Refusal.CONTENT, reason="too long for a post")
        try:
            made = await self._client.create_tweet(text=words, user_auth=True)
            return Accepted(provider_id=str(made.data["id"]))
        except tweepy.HTTPException as error:
            refused = _refused(error)
            return await self._with_its_id(refused, copy) if refused.code == DUPLICATE else refused
        except TROUBLE as trouble:
            return outcome_of(trouble)
        except (tweepy.TweepyException, *_UNREADABLE):
            return Unknown(reason="an answer that cannot be read")

    async def look_up(
        self, message: Outgoing, *, since: datetime | None = None, claimed: Collection[str] = ()
    ) -> Outcome:
        """The account's latest posts, compared without their links, which X rewrites."""
        copy = filled(message)
        if isinstance(copy, Refused):
            return copy
        try:
            latest = await self._timeline()
        except (tweepy.TweepyException, *TROUBLE, *_UNREADABLE) as error:
            return not_asked(error)
        words = _comparable(copy.decode())
        earliest = since - CLOCKS_APART if since else None
        for post in latest:
            is_later = earliest is None or post.at is None or post.at >= earliest
            if post.text == words and is_later and post.id not in claimed:
                return Accepted(provider_id=post.id)
        return Failed(reason="it is not on the timeline")

    async def _timeline(self) -> list[_Post]:
        """The newest first. Raises what tweepy and the session raise."""
        if not self._account_id:
            self._account_id = str((await self._client.get_me(user_auth=True)).data.id)
        latest = await self._client.get_users_tweets(
            self._account_id, max_results=LOOK_BACK_POSTS, tweet_fields=["created_at"], user_auth=True
        )
        return [
            _Post(id=str(post.id), text=_comparable(post.text), at=post.created_at)
            for post in latest.data or ()
        ]

    async def _with_its_id(self, refused: Refused, copy: bytes) -> Refused:
        """A refused duplicate, with the id of the post that has the words already, if it can be read."""
        try:
            latest = await self._timeline()
        except (tweepy.TweepyException, *TROUBLE, *_UNREADABLE):
            return refused
        words = _comparable(copy.decode())
        found = next((post.id for post in latest if post.text == words), "")
        return replace(refused, provider_id=found)


def _refused(error: tweepy.HTTPException) -> Refused:
    """A 4xx that tweepy could read."""
    status = int(error.response.status)
    words = " ".join(str(message) for message in error.api_messages)
    if status == 403:
        if DUPLICATE in words.lower():
            return Refused(why=Refusal.CONTENT, reason="a recent post has the same words", code=DUPLICATE)
        why = Refusal.NOT_ALLOWED if _BLOCKED_WORDS.search(words) else Refusal.CONTENT
        return Refused(why=why, reason="X refused the post", code="403")
    why = REFUSALS.get(status, Refusal.CONTENT)
    return Refused(why=why, reason=f"X answered {status}", code=str(status))


def _comparable(text: str) -> str:
    return " ".join(_LINK.sub("", html.unescape(text)).split())
