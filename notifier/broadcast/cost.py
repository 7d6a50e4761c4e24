"""How many copies a message makes, by medium and language: what its cost is reckoned from. Pure."""

from collections.abc import Mapping

from subscribers.reach import Reach
from templates.languages import ENGLISH


def copies(reach: Reach) -> Mapping[tuple[str, str], int]:
    """(medium, language of the words they will read) → how many get it at once. reach: counted by its languages."""
    made = dict(reach.reading)
    for medium, number in reach.at_once.items():
        others = sum(read for (by, _), read in reach.reading.items() if by == medium)
        made[medium, ENGLISH] = number - others
    return {key: number for key, number in made.items() if number}
