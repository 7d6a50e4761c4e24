"""What is put off while the database cannot keep up, so that alerts and what residents wait for get through. Pure.

Shed are calls of the API that only bulk needs: lists, and drafting or approving anything but an alert. Pages, hooks,
sign-ups and answers are never shed. It ends by itself a few seconds after the last long wait (`notifier.waits`). Before it comes to that, officers and
alerts already go past those who wait, by connections of their own.
"""

from aiohttp import web

from notifier.waits import Waits

BUSY_SECONDS = 0.25
PATIENCE_SECONDS = 2.0
RETRY_AFTER_SECONDS = "10"
SENTENCE = "The database cannot keep up, so lists and everything but alerts wait. Nothing was done: send this again in a moment."


def is_busy(waits: Waits) -> bool:
    """Did somebody have to wait for a connection within the last few seconds, or does still?"""
    return waits.longest_seconds > BUSY_SECONDS


def is_crowded(waits: Waits) -> bool:
    """Did somebody wait too long for one?"""
    return waits.longest_seconds > PATIENCE_SECONDS


def too_much() -> web.HTTPTooManyRequests:
    """429, to be raised."""
    return web.HTTPTooManyRequests(text=SENTENCE, headers={"Retry-After": RETRY_AFTER_SECONDS})
