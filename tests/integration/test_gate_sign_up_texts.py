"""Texts that strangers cause by signing up: so many an hour, few for one visitor, none while nobody can count."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from sqlalchemy import select

from channels.registry import Channels
from notifier import config
from notifier.db import Database
from notifier.delivery.counters import Counters, LocalCounters, RedisCounters
from notifier.models import Team
from notifier.runtime import Service
from notifier.staff import api_tokens
from notifier.staff.api_tokens import Scope
from notifier.web.app import make_app
from notifier.web.public import sign_up
from notifier.web.text_limit import SENTENCE, visitor_of
from tests.integration.api_calls import call
from tests.integration.pages import ALDER, PUBLIC_URL, Browser, notices, path_of, seed, wish
from tests.processes import free_port

VISITOR = {"X-Forwarded-For": "198.51.100.7"}


@pytest.fixture
async def seeded(db: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(sign_up, "FASTEST_PERSON_SECONDS", 0.0)
    await seed(db)
    return db


def served(db: Database, counters: Counters, most: int = 3) -> TestClient[Any, Any]:
    settings = {
        "NOTIFIER_BASE_URL": PUBLIC_URL,
        "NOTIFIER_MAIL_DOMAIN": "reply.link.example",
        "NOTIFIER_SIGN_UP_TEXTS_AN_HOUR": str(most),
    }
    service = Service(environment=config.build(settings), db=db, channels=Channels([]), counters=counters)
    return TestClient(TestServer(make_app(service)))


def text_to(number: int) -> list[tuple[str, str]]:
    return wish(channel="sms", email=None, phone=f"07700 900{number:03}")


async def test_when_the_hour_s_texts_are_used_up_the_form_says_so_and_keeps_what_was_typed(
    seeded: Database,
) -> None:
    async with served(seeded, LocalCounters()) as client:
        browser = Browser(client)
        for number in range(3):
            response, _ = await browser.send("/sign-up", text_to(number))
            assert response.status == 303
        response, page = await browser.send("/sign-up", text_to(7))
        assert response.status == 503
        assert SENTENCE in page
        assert 'value="07700 900007"' in page
        response, _ = await browser.send("/sign-up", wish())
        assert response.status == 303  # an email costs nothing
    assert len(await notices(seeded, "confirm_sms")) == 3


async def test_neither_a_restart_nor_an_emptied_redis_begins_the_hour_anew(seeded: Database) -> None:
    for counters, status in ((LocalCounters(), 303), (LocalCounters(), 303), (LocalCounters(), 503)):
        async with served(seeded, counters, most=2) as client:
            number = len(await notices(seeded, "confirm_sms"))
            response, _ = await Browser(client).send("/sign-up", text_to(number))
            assert response.status == status


async def test_one_visitor_gets_a_small_share(seeded: Database) -> None:
    async with served(seeded, LocalCounters(), most=40) as client:
        browser = Browser(client)
        came = [
            (await browser.send("/sign-up", text_to(number), headers=VISITOR))[0].status
            for number in range(4)
        ]
        other, _ = await browser.send(
            "/sign-up", text_to(9), headers={"X-Forwarded-For": "203.0.113.9, 198.51.100.8"}
        )
    assert (came, other.status) == ([303, 303, 503, 503], 303)


async def test_while_the_shared_counters_are_lost_no_text_is_sent(seeded: Database) -> None:
    away = RedisCounters(f"redis://127.0.0.1:{free_port()}/0")
    async with served(seeded, away) as client:
        browser = Browser(client)
        response, page = await browser.send("/sign-up", text_to(0), headers=VISITOR)
        assert (response.status, SENTENCE in page) == (503, True)
        response, _ = await browser.send("/sign-up", wish(channel=["email", "sms"], phone="07700 900001"))
        assert response.status == 303
        link = path_of((await notices(seeded, "confirm_email"))[-1]["confirm_url"])
        response, page = await browser.send(link, {})
        assert response.status == 200
        assert "We cannot send texts just now, so your number is not signed up" in page
    await away.close()
    assert await notices(seeded, "confirm_sms") == []


@pytest.mark.parametrize(
    ("peer", "forwarded", "visitor"),
    [
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # no proxy of ours, and not believed
        ("10.0.0.2", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "", ""),
        ("10.0.0.2", "nonsense", ""),
        ("2a00:1450:4009::200e", "", "2a00:1450:4009::/64"),
    ],
)
def test_where_a_visitor_comes_from(peer: str, forwarded: str, visitor: str) -> None:
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded} if forwarded else {})
    assert visitor_of(request.clone(remote=peer)) == visitor


async def test_the_api_refuses_too_and_still_takes_an_email_address(seeded: Database) -> None:
    async with seeded.transaction() as tx:
        team = await tx.scalar(select(Team.id))
        made = await api_tokens.make(tx, team, frozenset(Scope), actor="command")
    headers = {"Authorization": f"Bearer {made}"}
    async with served(seeded, LocalCounters(), most=1) as client:
        answers = [
            await call(client, "POST", "/subscribers", headers, {**whom, "areas": [ALDER]})
            for whom in (
                {"phone": "07700 900001"},
                {"phone": "07700 900002"},
                {"email": "sam@mail.example"},
            )
        ]
    assert [status for status, _ in answers] == [202, 503, 202]
    assert answers[1][1]["detail"] == SENTENCE
    assert len(await notices(seeded, "confirm_sms")) == 1
