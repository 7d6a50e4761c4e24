"""The work of `teams account`: which channel posts on an account, and whose account it is. Called by `people`."""

from uuid import UUID

from channels.base import Medium
from channels.errors import BadAddress, ChannelError
from notifier.cli.edge import environment_or_exit, fail
from notifier.db import Tx
from notifier.errors import NotFound
from notifier.runtime import Service, open_service
from notifier.staff import teams


async def give(team: str, account: str, channel: str | None) -> None:
    """Post on an account, in its normal spelling, from now on. channel: none where it should be found."""
    try:
        async with open_service(environment_or_exit()) as service:
            carrier = _poster(service, account, channel)
            async with service.db.transaction() as tx:
                await teams.add_address(tx, await _team(tx, team), Medium.SOCIAL, account, channel=carrier)
    except ChannelError as error:
        fail(f"{error}.", code=2)


async def take(team: str, account: str) -> None:
    """Post there no more. What waits to be posted still goes out."""
    async with open_service(environment_or_exit(), sends=False) as service, service.db.transaction() as tx:
        if not await teams.take_account(tx, await _team(tx, team), account):
            raise NotFound(f"{team} has no such account.")


def _poster(service: Service, account: str, channel: str | None) -> str | None:
    """The channel to keep with an account: none where the first that carries posts is meant, whichever that is."""
    carriers = [each.channel for each in service.db.carriers.all_of(Medium.SOCIAL)]
    if channel and channel not in carriers:
        fail(f"{channel} is not among the open channels that post: {', '.join(carriers) or 'none'}.", code=2)
    why = "No channel that posts is open here"
    for name in [channel] if channel else carriers:
        try:
            service.channels[name].normalise(account, Medium.SOCIAL)
        except BadAddress as error:
            why = str(error)
        else:
            return None if name == carriers[0] and not channel else name
    return fail(f"{why}.", code=2)


async def _team(tx: Tx, name: str) -> UUID:
    found = await teams.find(tx, name)
    if found is None:
        raise NotFound(f"There is no team {name!r}.")
    return found
