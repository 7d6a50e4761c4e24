"""The desk: where officers write, approve, watch, read and answer. Every page but the sign-in is in TABLE."""

from notifier.web.desk import compose, conversation, deliveries, home, preview, progress, queue, sign_in
from notifier.web.desk.access import guarded

TABLE = (
    *home.TABLE,
    *compose.TABLE,
    *preview.TABLE,
    *progress.TABLE,
    *queue.TABLE,
    *conversation.TABLE,
    *deliveries.TABLE,
)
ROUTES = [*sign_in.ROUTES, *(guarded(route) for route in TABLE)]
