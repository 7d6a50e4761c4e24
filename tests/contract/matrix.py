"""What each of our channels can do, as a table for channels/README.md: read from the code, never written by hand.

`python -m tests.contract.matrix` writes it anew; `test_matrix.py` fails while the README says something else.
"""

from pathlib import Path

from channels.base import CanBePolled, CanLookUp, Capabilities, Channel, Idempotency, Medium, TakesHooks
from channels.registry import find, installed

README = Path(__file__).parents[2] / "channels" / "README.md"
BEGIN, END = "<!-- abilities: written by python -m tests.contract.matrix -->", "<!-- end of abilities -->"

HEAD = (
    "channel",
    "carries",
    "answers come",
    "receipts come",
    "longest text",
    "a second try of one delivery",
    "in doubt: can be asked",
    "rows a slot",
    "deadline, s",
)
SECOND_TRY = {
    Idempotency.KEY: "is known by its key",
    Idempotency.CLIENT_ID: "is the first again, by an id of ours",
    Idempotency.CONTENT: "is refused for its words",
    Idempotency.NONE: "arrives twice",
}


def table() -> str:
    """Markdown, one line a channel, in the order of their names."""
    ours = sorted(name for name, place in installed().items() if place.startswith("channels."))
    rows = [HEAD, ["---"] * len(HEAD), *(_row(find(name)) for name in ours)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def written(readme: str) -> str:
    """The README with the table of today between its two marks."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


def _row(kind: type[Channel]) -> list[str]:
    can = kind.capabilities
    return [
        f"`{kind.name}`",
        "all" if can.media == frozenset(Medium) else ", ".join(sorted(can.media)),
        _way(kind, can, claimed=can.replies, otherwise="by the mail listener"),
        _way(kind, can, claimed=can.receipts, otherwise="as bounces, by the mail listener"),
        "as the medium" if can.max_text is None else str(can.max_text),
        SECOND_TRY[can.idempotency],
        "yes" if issubclass(kind, CanLookUp) else "no",
        str(can.slot_rows),
        f"{can.timeout_seconds:g}",
    ]


def _way(kind: type[Channel], can: Capabilities, *, claimed: bool, otherwise: str) -> str:
    ways = [word for word, way in (("hook", TakesHooks), ("poll", CanBePolled)) if issubclass(kind, way)]
    if claimed and ways:
        return " and ".join(ways)
    return otherwise if can.media == frozenset({Medium.EMAIL}) else "by the demo's page" if claimed else "–"


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
