"""The pages anybody may open: postcode box, sign-up, preferences, unsubscribe, areas."""

from aiohttp import web

from notifier.web.public import about, area_page, confirm, home, manage, sign_up, unsubscribe

PARTS = (home, sign_up, confirm, manage, unsubscribe, area_page, about)
ROUTES: list[web.RouteDef] = [route for part in PARTS for route in part.ROUTES]
