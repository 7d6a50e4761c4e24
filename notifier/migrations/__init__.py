"""Brings a database to the newest schema: called by `notifier migrate`, the demo and the tests.

Alembic lives here alone, and its 0.9 s of import is paid only by those who migrate. Migrations
expand first and contract a release later, so that old and new processes run side by side.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config

HERE = Path(__file__).parent


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate up. Starts an event loop of its own: call it outside one (or in a thread)."""
    command.upgrade(_config(url), revision)


def downgrade(url: str, revision: str = "base") -> None:
    """Migrate down, for tests and for going back."""
    command.downgrade(_config(url), revision)


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["url"] = url
    return config
