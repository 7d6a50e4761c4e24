"""How a mail to many says that one can leave it."""

from channels.list_headers import ONE_CLICK, Leaving, read
from tests.vectors import Score, cases

CASES = (
    ("", "", Leaving()),
    ("write to us", "", Leaving()),
    ("https://link.example/u", ONE_CLICK, Leaving()),
    ("<https://link.example/u>", "", Leaving(uris=("https://link.example/u",))),
    ("<https://link.example/u>", ONE_CLICK, Leaving(uris=("https://link.example/u",), one_click=True)),
    ("<http://link.example/u>", ONE_CLICK, Leaving(uris=("http://link.example/u",))),
    ("<https://link.example/u>", "yes", Leaving(uris=("https://link.example/u",))),
    (
        "(by mail) <mailto:off@link.example?subject=stop>,\r\n <https://link.example/u?a=1,2>",
        f" {ONE_CLICK}\r\n",
        Leaving(
            uris=("mailto:off@link.example?subject=stop", "https://link.example/u?a=1,2"), one_click=True
        ),
    ),
    ("<https://link.exam\r\n ple/u>", "", Leaving(uris=("https://link.example/u",))),
    ("<https://a.example>, or <https://b.example>", "", Leaving(uris=("https://a.example",))),
    ("<https://a.example", "", Leaving()),
    ("<<https://a.example>>", "", Leaving()),
)


def test_a_flood_of_brackets_is_read_in_a_moment() -> None:
    assert len(read("<a:b>," * 500_000).uris) < 2_000


def test_published_headers_and_ours() -> None:
    score = Score()
    for header, post, found in CASES:
        score.add(read(header, post) == found, header)
    for case in cases("unsubscribe/*.jsonl"):
        given, wanted = case["input"], case["expected"]
        found = read(given["List-Unsubscribe"] or "", given["List-Unsubscribe-Post"] or "")
        score.add((list(found.uris), found.one_click) == (wanted["uris"], wanted["one_click"]), case["id"])
    score.check("List-Unsubscribe headers")
