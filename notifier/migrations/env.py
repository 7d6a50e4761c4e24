"""Alembic's own entry: runs the migrations over the service's engine."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from notifier import models
from notifier.engine import engine_for


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=models.Delivery.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    engine = engine_for(context.config.attributes["url"], pool_size=1)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
            await connection.commit()
    finally:
        await engine.dispose()


asyncio.run(main())
