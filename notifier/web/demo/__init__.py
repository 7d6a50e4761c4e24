"""The demonstration: what to try, and an outbox that shows each message as its reader sees it.

Answers 404 unless the setting `demo` is on: the outbox holds addresses and words in clear.
"""

from notifier.web.demo import landing, outbox

ROUTES = [*landing.ROUTES, *outbox.ROUTES]
