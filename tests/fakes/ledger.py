"""What a stand-in accepted: the oracle of every end-to-end check, in the process and, if asked, in a file.

A row is written before the provider answers, as the real one would have it even if the answer is lost.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Ledger(Generic[T]):
    """Accepted things in order; `file` receives one JSON line for each."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._rows: list[T] = []
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)

    def add(self, row: T, as_json: Mapping[str, Any]) -> None:
        self._rows.append(row)
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(as_json, ensure_ascii=False) + "\n")

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[T]:
        return iter(self._rows)

    def __getitem__(self, number: int) -> T:
        return self._rows[number]
