"""Runs the ledger's own statements on PostgreSQL past SQLAlchemy's result layer; on SQLite through it.

A `Shape` is a SQLAlchemy Core statement with named values, compiled once. On PostgreSQL its text goes to
the driver beneath the open transaction, which keeps it prepared: a batch of rows then costs a few
microseconds a row instead of tens. The rule a statement states still stands in one place, in Core.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import asyncpg
from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    Executable,
    String,
    any_,
    bindparam,
    cast,
)
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from notifier.db import Lone, Tx
from notifier.kept import LOST

POSTGRESQL = "postgresql"
_DIALECT = dialect()  # type: ignore[no-untyped-call]


class Named(asyncpg.Record):  # type: ignore[misc]  # asyncpg ships no types
    """A row of the driver's whose columns are also its attributes, as SQLAlchemy's are."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Shape:
    """A statement, made by `build(dialect)` and compiled when it is first wanted. One for the process.

    Values are given by the names of its bind parameters. On PostgreSQL arrays go in as lists.
    """

    def __init__(self, build: Callable[[str], Executable]) -> None:
        self._build = build
        self._statements: dict[str, Executable] = {}
        self._text = ""
        self._names: Sequence[str] = ()
        self._fixed: dict[str, Any] = {}

    async def rows(self, tx: Tx | Lone, **values: Any) -> Sequence[Any]:
        """The rows it returns, readable by position and by name."""
        if isinstance(tx, Tx) and tx.dialect != POSTGRESQL:
            return (await tx.execute(self._statement(tx.dialect), values)).all()
        if not self._text:
            self._compile()
        given = self._fixed | values
        raw = await tx.raw()
        try:
            found: Sequence[Any] = await raw.fetch(
                self._text, *[given[name] for name in self._names], record_class=Named
            )
        except LOST:
            await tx.connection.invalidate()  # SQLAlchemy has not seen that it broke
            raise
        return found

    def text(self) -> str:
        """What PostgreSQL is sent: for EXPLAIN."""
        if not self._text:
            self._compile()
        return self._text

    def _statement(self, of: str) -> Executable:
        if of not in self._statements:
            self._statements[of] = self._build(of)
        return self._statements[of]

    def _compile(self) -> None:
        compiled: Any = self._statement(POSTGRESQL).compile(  # type: ignore[attr-defined]
            dialect=_DIALECT, compile_kwargs={"render_postcompile": True}
        )
        self._names, self._fixed = list(compiled.positiontup), dict(compiled.params)
        self._text = str(compiled)


def given(name: str, kind: Any) -> BindParameter[Any]:
    """A value of that type, to be given by this name."""
    return bindparam(name, None, type_=kind, required=False)


def listed(name: str, kind: Any) -> ColumnElement[Any]:
    """An array of that kind, given by this name as `list_of`: the driver looks at each item of a list of Python's."""
    return cast(given(name, String), ARRAY(kind))


def list_of(values: Iterable[int | str]) -> str:
    """PostgreSQL's spelling of an array (8.15.6). An empty text is no value. Pure."""
    return "{" + ",".join([_spelled(each) for each in values]) + "}"


def _spelled(value: int | str) -> str:
    if type(value) is int:
        return str(value)
    said = str(value)
    if "\\" in said or '"' in said:
        said = said.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{said}"' if said else "NULL"


def is_one_of(column: Any, name: str, of: str, kind: Any = BigInteger) -> ColumnElement[bool]:
    """`column` is one of the ids given as `name`: an array on PostgreSQL, a list elsewhere."""
    if of == POSTGRESQL:
        held: ColumnElement[bool] = column == any_(given(name, ARRAY(kind)))
        return held
    found: ColumnElement[bool] = column.in_(bindparam(name, expanding=True, required=False))
    return found
