"""The pages anybody may open: postcode box, sign-up, preferences, unsubscribe, areas, their feeds and notifications."""

from aiohttp import web

from notifier.web.public import about, area_page, confirm, feeds, home, manage, push, sign_up, unsubscribe

PARTS = (home, sign_up, confirm, manage, unsubscribe, feeds, area_page, push, about)
ROUTES: list[web.RouteDef] = [route for part in PARTS for route in part.ROUTES]
