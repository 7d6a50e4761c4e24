"""Which calls of the API are shed while the database cannot keep up, and that their description says so."""

from notifier.web.api import OPERATIONS
from notifier.web.api.openapi import document


def test_the_description_names_429_where_a_call_may_be_shed_and_only_there() -> None:
    paths = document(OPERATIONS, title="Link", server="http://127.0.0.1")["paths"]
    may_be_shed = {
        f"{method} {path.removeprefix('/api/v1')}"
        for path, methods in paths.items()
        for method, operation in methods.items()
        if "429" in operation["responses"]
    }
    assert may_be_shed == {
        "get /teams",
        "get /messages",
        "post /messages",
        "post /messages/{id}/approve",
        "post /messages/{id}/correct",
        "post /messages/{id}/resume",
        "get /conversations",
        "get /consultations",
    }
