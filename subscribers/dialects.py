"""The one place where the two databases are told apart in a statement."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Select, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from subscribers.models import Transaction

WORTH_ANALYZING = 1_000  # rows


def insert_for(tx: Transaction, table: Any) -> Any:
    """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`, for tx's database.

    An INSERT … SELECT … ON CONFLICT needs a WHERE in its SELECT, or SQLite cannot parse it.
    """
    return postgresql.insert(table) if tx.dialect == "postgresql" else sqlite.insert(table)


async def analyze(tx: Transaction, *tables: str, written: int) -> None:
    """Tell the planner what tables hold now, if many rows were written: or it goes on as if they were empty.

    Autovacuum would come for it within minutes, and an audience be counted by looking each person up until then.
    Inside the transaction that wrote them it sees those rows. `tables` are names of ours.
    """
    if written < WORTH_ANALYZING:
        return
    if tx.dialect == "sqlite":
        await tx.execute(text("PRAGMA analysis_limit = 1000"))  # so many rows of each index, not all
    for table in tables:
        await tx.execute(text(f"ANALYZE {table}"))


def with_least(tx: Transaction, rows: Select[Any], key: Any, column: Any) -> Select[Any]:
    """One row for each key, with the column's least value under its name. rows: a SELECT of the key.

    PostgreSQL reads it off an index over both, a third cheaper than by the aggregate.
    """
    if tx.dialect == "postgresql":
        return rows.add_columns(column).ext(postgresql.distinct_on(key)).order_by(key, column)
    return rows.add_columns(func.min(column).label(column.name)).group_by(key)


async def read_widely(tx: Transaction, *, in_groups: bool = False) -> None:
    """For the rest of the transaction: statements walk indexes in order, side by side, whatever their number.

    Left to itself the planner hashes millions of rows, which it thinks fewer, and compiles the statement first.
    in_groups: at the end it puts them into few groups, which it may hash.
    """
    if tx.dialect == "postgresql":
        await tx.execute(_WIDELY, {"hashes": "on" if in_groups else "off"})


_WIDELY = text(
    "SELECT set_config('jit', 'off', true), set_config('enable_hashjoin', 'off', true),"
    " set_config('enable_hashagg', :hashes, true), set_config('work_mem', '64MB', true)"
)


async def write_widely(tx: Transaction, *, in_step: bool = False, may_be_lost: bool = False) -> None:
    """For the rest of the transaction: a statement writes thousands of rows, each looked up in other tables.

    The service's connections plan every statement anew, foreign keys' own look-ups too: twice the cost of the rest.
    in_step: what is written is read from the same stretch of several tables, nearly all of it. The planner takes
    the bounds of each table for a chance of their own, expects a fiftieth of the rows, and would look each one up.
    may_be_lost: the commit need not wait for the disk, since a later one makes good what a crash took as a whole.
    Whoever acts on these rows commits that first, and with it all that was committed before.
    """
    if tx.dialect != "postgresql":
        return
    settings = ["set_config('plan_cache_mode', 'auto', true)"]
    if in_step:
        settings.append("set_config('enable_nestloop', 'off', true)")
    if may_be_lost:
        settings.append("set_config('synchronous_commit', 'off', true)")
    await tx.execute(text(f"SELECT {', '.join(settings)}"))


async def middle_of(tx: Transaction, table: str, column: str) -> UUID | None:
    """About the middle of a column's values, by PostgreSQL's own statistics; None where it has none."""
    if tx.dialect != "postgresql":
        return None
    found: UUID | None = await tx.scalar(_MIDDLE, {"table": table, "column": column})
    return found


async def about(tx: Transaction, table: Any) -> int:
    """About how many rows a table has: PostgreSQL's own statistics, 0 where it has none; SQLite counts them."""
    if tx.dialect == "postgresql":
        known = await tx.scalar(_ABOUT, {"table": table.__tablename__})
        return max(int(known or 0), 0)
    return int(await tx.scalar(select(func.count()).select_from(table)))


_ABOUT = text("SELECT reltuples FROM pg_class WHERE oid = CAST(:table AS regclass)")


_MIDDLE = text(
    "SELECT bounds[(array_length(bounds, 1) + 1) / 2] FROM ("
    " SELECT CAST(CAST(histogram_bounds AS text) AS uuid[]) AS bounds FROM pg_stats"
    " WHERE schemaname = current_schema() AND tablename = :table AND attname = :column) AS known"
)


class low_bits(FunctionElement[int]):  # noqa: N801 - reads as a function
    """The last 32 bits of a UUID column, as a number: by chance, in the ids we make."""

    type = BigInteger()
    inherit_cache = True
    name = "low_bits"


@compiles(low_bits, "postgresql")
def _low_bits_of_uuid(element: Any, compiler: Any, **more: Any) -> str:
    octets = f"uuid_send({compiler.process(element.clauses, **more)})"  # a third of the cost of its text
    each = (f"(CAST(get_byte({octets}, {12 + place}) AS bigint) << {24 - 8 * place})" for place in range(4))
    return f"({' | '.join(each)})"


@compiles(low_bits, "sqlite")
def _low_bits_of_text(element: Any, compiler: Any, **more: Any) -> str:
    column = compiler.process(element.clauses, **more)
    digits = (
        f"((instr('0123456789abcdef', substr({column}, {25 + place}, 1)) - 1) << {28 - 4 * place})"
        for place in range(8)
    )
    return f"({' + '.join(digits)})"
