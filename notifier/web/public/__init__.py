"""The pages anybody may open: postcode box, sign-up, preferences, unsubscribe, areas."""

from aiohttp import web

ROUTES: list[web.RouteDef] = []
