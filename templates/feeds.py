"""What stands in the feeds of an area besides the messages themselves, and how the page offers them.

Pure. Called by `notifier.web.public.feeds`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A feed as the page offers it. ending: of its address. type: its media type."""

    ending: str
    type: str
    title: str
    hint: str


OFFERS = (
    Offer(ending="atom", type="application/atom+xml", title="Messages", hint="for feed readers (Atom)"),
    Offer(
        ending="json", type="application/feed+json", title="Messages as JSON", hint="for programs (JSON Feed)"
    ),
    Offer(ending="ics", type="text/calendar", title="Dates", hint="for your calendar (iCalendar)"),
    Offer(ending="cap", type="application/atom+xml", title="Alerts", hint="for warning systems (CAP 1.2)"),
)

# Of an alert, by language; English where there is none.
EVENT: Mapping[str, str] = {"en": "Neighbourhood police alert", "cy": "Rhybudd heddlu’r gymdogaeth"}
WITHDRAWN = "This alert has been withdrawn."
DEMONSTRATION = "This is a demonstration. The place and what is said to have happened there are made up."
NOT_READ = "Not read all the time. In an emergency call 999."

# Of a calendar.
ANSWER_BY = "Have your say by now: {title}"
REPLY_BY = "Reply by now: {title}"
TOLD_BY = "We tell you what was decided: {title}"
DECIDES = "{maker} decides."
READ_MORE = "Read more: {url}"


def event(language: str) -> str:
    """What kind of thing an alert is about, in a language."""
    return EVENT.get(language, EVENT["en"])
