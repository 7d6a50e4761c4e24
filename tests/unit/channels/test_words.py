"""Words as JSON, for the channels that keep them."""

from channels.base import Content, Medium
from channels.words import compile_words, read_words


def test_channels_that_keep_words_keep_where_a_notification_leads() -> None:
    content = Content(
        medium=Medium.PUSH,
        language="en",
        text="x",
        link="https://a.example",
        actions=(("Stop", "https://b.example"),),
    )
    words = read_words(compile_words(content).fill({}))
    assert (words.link, words.actions) == ("https://a.example", [["Stop", "https://b.example"]])
