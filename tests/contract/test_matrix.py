"""The table of abilities in channels/README.md is what the code says."""

from tests.contract.matrix import README, written


def test_the_readme_says_what_each_channel_can_do() -> None:
    readme = README.read_text(encoding="utf-8")
    assert written(readme) == readme, "run: python -m tests.contract.matrix"
