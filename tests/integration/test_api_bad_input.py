"""What the API answers to bodies, fields, ids and parameters that are not in order: never 500, all faults at once."""

from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from typing import Any

import pytest

from notifier.db import Database
from notifier.web.api.operation import PREFIX
from tests.integration.api_calls import DRAFT, call, token
from tests.integration.desk import Client, Desk, open_desk
from tests.world import ward

NOBODY = "0199a0b0-0000-7000-8000-000000000000"  # an id that was never given


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    async with open_desk(db) as opened:
        yield opened


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    async with desk.browser() as browser:
        yield browser


NOT_JSON = {
    "cut off": b'{"kind": "ne',
    "a list": b"[]",
    "null": b"null",
    "a text": b'"str"',
    "doubled member": b'{"kind": "news", "kind": "alert"}',
    "NaN": b'{"kind": NaN}',
    "too large a number": b'{"kind": 1e999}',
    "half a character": b'{"title": "\\ud800"}',
    "NUL": b'{"title": "a\\u0000b"}',
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 50_000,
    "rubbish after": b"{} x",
    "comment": b'{/* hello */ "kind": "news"}',
    "not UTF-8": b'{"title": "\xff\xfe"}',
    "empty": b"",
    "endless number": b'{"a": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("name", NOT_JSON)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_body_that_is_no_json_object_is_400(desk: Desk, client: Client, name: str) -> None:
    headers = await token(desk) | {"Content-Type": "application/json"}
    async with client.post(f"{PREFIX}/messages", data=NOT_JSON[name], headers=headers) as response:
        assert response.status == 400, await response.text()
        assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("kind", ["text/xml", "multipart/form-data; boundary=x", "text/plain"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_another_kind_of_body_is_415(desk: Desk, client: Client, kind: str) -> None:
    headers = await token(desk) | {"Content-Type": kind}
    async with client.post(f"{PREFIX}/messages", data=b"{}", headers=headers) as response:
        assert response.status == 415
    packed = await token(desk) | {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with client.post(f"{PREFIX}/messages", data=b"\x1f\x8b", headers=packed) as response:
        assert response.status in (400, 415)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_body_beyond_a_mebibyte_is_413(desk: Desk, client: Client) -> None:
    headers = await token(desk) | {"Content-Type": "application/json"}
    body = b'{"body": "' + b"a" * 1_100_000 + b'"}'
    async with client.post(f"{PREFIX}/messages", data=BytesIO(body), headers=headers) as response:
        assert response.status == 413


FAULTS: Mapping[str, tuple[dict[str, Any], str]] = {
    "unknown member": ({"is_admin": True}, "/is_admin"),
    "an id of theirs": ({"id": NOBODY}, "/id"),
    "a state of theirs": ({"state": "sent"}, "/state"),
    "null title": ({"title": None}, "/title"),
    "a list as title": ({"title": []}, "/title"),
    "long title": ({"title": "A" * 300}, "/title"),
    "line break in title": ({"title": "Title\r\nBcc: x"}, "/title"),
    "invisible title": ({"title": "\u200b \u00a0"}, "/title"),
    "long body": ({"body": "a" * 100_000}, "/body"),
    "template in body": ({"body": "{{ config.items() }}"}, "/body"),
    "one area as text": ({"areas": "A"}, "/areas"),
    "no area": ({"areas": []}, "/areas"),
    "ten thousand areas": ({"areas": [ward(0)] * 10_000}, "/areas"),
    "the same area twice": ({"areas": [ward(0), ward(0)]}, "/areas"),
    "numbers as areas": ({"areas": [1]}, "/areas/0"),
    "an unknown area": ({"areas": ["E05000000"]}, "/areas"),
    "an unknown medium": ({"media": ["fax"]}, "/media/0"),
    "an unknown topic": ({"topics": ["999999"]}, "/topics"),
    "an unknown kind": ({"kind": "spam"}, "/kind"),
    "tomorrow": ({"send_at": "tomorrow"}, "/send_at"),
    "a day that is none": ({"send_at": "2027-02-30T10:00:00Z"}, "/send_at"),
    "no offset": ({"send_at": "2027-02-20T10:00:00"}, "/send_at"),
    "the past": ({"send_at": "2020-02-20T10:00:00Z"}, "/send_at"),
    "a number as time": ({"send_at": 2**63}, "/send_at"),
    "true as text": ({"title": True}, "/title"),
    "unknown translation": ({"translations": {"xx": {"title": "a", "body": "b"}}}, "/translations"),
    "empty translation": ({"translations": {"cy": {"title": "a", "body": " "}}}, "/translations/cy/body"),
    "no such consultation": ({"consultation_id": NOBODY}, "/consultation_id"),
    "consultation without an end": ({"kind": "consultation"}, "/reply_by"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_field_that_needs_mending_is_named(desk: Desk, client: Client, name: str) -> None:
    change, pointer = FAULTS[name]
    status, found = await call(client, "POST", "/messages", await token(desk), {**DRAFT, **change})
    assert status == 422, found
    assert pointer in [error["pointer"] for error in found["errors"]]
    assert all(error["detail"] for error in found["errors"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_fault_is_told_at_once(desk: Desk, client: Client) -> None:
    body = {"kind": "spam", "title": 1, "body": None, "areas": "A", "media": ["fax"], "lane": 0}
    _, found = await call(client, "POST", "/messages", await token(desk), body)
    named = {error["pointer"] for error in found["errors"]}
    assert named == {"/kind", "/title", "/body", "/areas", "/media/0", "/lane"}


@pytest.mark.parametrize("id_", ["0", "-1", "..%2fx", "%00", "A" * 300, "a%0ab", "{id}", NOBODY, "É", "1e9"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_ids_that_are_none_are_404(desk: Desk, client: Client, id_: str) -> None:
    headers = await token(desk)
    for path in ("/messages/{}", "/deliveries/{}", "/conversations/{}"):
        async with client.get(PREFIX + path.format(id_), headers=headers) as response:
            assert response.status == 404, (path, id_)


@pytest.mark.parametrize(
    "asked",
    [
        "cursor=garbage", "cursor=" + "a" * 90, "page=1000000", "sort=password", "sort=%3BDROP", "limit=0",
        "limit=1000000000", "limit=-1", "limit=1e3", "limit=", "limit=1&limit=2", "fields=*",
        "include=subscribers", "filter[a][b][c]=1", "q=" + "%25" * 1000, "limit=" + "9" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_a_list_is_not_asked_for_is_400(desk: Desk, client: Client, asked: str) -> None:
    headers = await token(desk)
    for path in ("/messages", "/conversations", "/consultations"):
        async with client.get(f"{PREFIX}{path}?{asked}", headers=headers) as response:
            assert response.status == 400, (path, asked)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_wrong_methods_and_paths_are_problems_too(desk: Desk, client: Client) -> None:
    headers = await token(desk)
    for method, path, status in (("PUT", "/teams", 405), ("DELETE", "/messages", 405), ("GET", "/fax", 404)):
        async with client.request(method, PREFIX + path, headers=headers) as response:
            assert response.status == status
            assert response.content_type == "application/problem+json"
