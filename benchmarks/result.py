"""What a benchmark finds: one figure with its target, as a line of the table and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure. at_least, at_most: its target; neither: it is only reported."""

    name: str
    value: float
    unit: str = "×"
    at_least: float | None = None
    at_most: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.at_least is not None:
            return self.value >= self.at_least
        if self.at_most is not None:
            return self.value <= self.at_most
        return None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"met": self.met}


def table(figures: Sequence[Figure]) -> str:
    """The figures in columns, with what they were reckoned from below each."""
    lines = []
    for figure in figures:
        bound = (
            f"≥ {figure.at_least:g}"
            if figure.at_least is not None
            else f"≤ {figure.at_most:g}"
            if figure.at_most is not None
            else "reported"
        )
        verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
        lines.append(f"{figure.name:<58} {figure.value:>12,.2f} {figure.unit:<8} {bound:<10} {verdict}")
        if figure.detail:
            words = ", ".join(f"{name} {_short(value)}" for name, value in figure.detail.items())
            lines.append(f"    {words}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    return (
        f"{value:,.1f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )
