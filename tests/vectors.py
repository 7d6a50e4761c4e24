"""Larger collections of published data that tests also check when they are at hand.

`NOTIFIER_TEST_DATA` names their folder. Tests join them to cases of their own, so that without
the folder the same rules are checked on fewer cases.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER_VARIABLE = "NOTIFIER_TEST_DATA"


def paths(*patterns: str) -> list[Path]:
    """The files at hand that match, in the order of their names; none without the folder."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return sorted(path for pattern in patterns for path in Path(folder).glob(pattern)) if folder else []


def cases(pattern: str) -> list[dict[str, Any]]:
    """The lines of JSON files at hand."""
    lines = (line for path in paths(pattern) for line in path.read_text(encoding="utf-8").splitlines())
    return [json.loads(line) for line in lines]


@dataclass
class Score:
    """How many cases came out right, and which did not."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, is_right: bool, about: object) -> None:
        if is_right:
            self.right += 1
        else:
            self.wrong.append(str(about)[:300])

    def __str__(self) -> str:
        total = self.right + len(self.wrong)
        share = 100 * self.right / total if total else 0
        return f"{self.right} of {total} right ({share:.1f} %)"

    def check(self, what: str, *, allowed: Iterable[str] = ()) -> None:
        """Print the share and fail on any case that is neither right nor a written exception."""
        print(f"{what}: {self}")  # noqa: T201 -- shown by `pytest -s`
        unexplained = [about for about in self.wrong if not any(known in about for known in allowed)]
        assert self.right, f"{what}: nothing was checked"
        assert not unexplained, f"{what}: {self}; first wrong: {unexplained[:3]}"
