"""The one place where the two databases are told apart in a statement."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite

from subscribers.models import Transaction


def insert_for(tx: Transaction, table: Any) -> Any:
    """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`, for tx's database.

    An INSERT … SELECT … ON CONFLICT needs a WHERE in its SELECT, or SQLite cannot parse it.
    """
    return postgresql.insert(table) if tx.dialect == "postgresql" else sqlite.insert(table)
