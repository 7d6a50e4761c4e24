"""The compose form, filled in and sent as an officer does, and the buttons of a message."""

import re
from typing import Any

from tests.integration.desk import MESSAGE, Client, hidden_in, token_in
from tests.world import ward


async def send_form(
    client: Client, *, path: str = "/desk/messages/new", **changes: Any
) -> tuple[int, str, str]:
    """Fill in the form and send it: status, path reached, page. A list gives a field several times."""
    page = await (await client.get(path)).text()
    values: dict[str, Any] = {"team": hidden_in(page, "team"), **MESSAGE, "areas": ward(0), **changes}
    if 'name="form_key"' in page:
        values.setdefault("form_key", hidden_in(page, "form_key"))
    pairs = [("form_token", token_in(page))]
    for name, value in values.items():
        pairs += [(name, each) for each in value] if isinstance(value, list) else [(name, value)]
    response = await client.post(path, data=[pair for pair in pairs if pair[1] is not None])
    return response.status, response.url.path, await response.text()


async def drafted(client: Client, **changes: Any) -> str:
    """The path of a new draft: `/desk/messages/<id>`."""
    status, path, page = await send_form(client, **changes)
    assert path.endswith("/preview"), (status, re.findall(r'href="#\w*">([^<]*)', page))
    return path.removesuffix("/preview")


async def approve(client: Client, path: str) -> tuple[int, str, str]:
    page = await (await client.get(f"{path}/preview")).text()
    data = {"form_token": token_in(page), "seen": hidden_in(page, "seen")}
    response = await client.post(f"{path}/approve", data=data)
    return response.status, response.url.path, await response.text()


async def press(client: Client, path: str, button: str) -> int:
    page = await (await client.get("/desk")).text()
    async with client.post(f"{path}/{button}", data={"form_token": token_in(page)}) as response:
        return response.status


def errors_in(page: str) -> list[str]:
    """The sentences of the error summary."""
    return re.findall(r'<li><a href="#[\w]*">([^<]*)</a></li>', page)
