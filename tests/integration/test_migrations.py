"""Migrations on both databases: they end at the models' schema, go back, and come again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from notifier import migrations
from tests.processes import outside_the_loop
from tests.servers import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


def test_the_schema_is_what_the_models_say_there_and_back(empty_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["url"] = empty_url

    def there_and_back() -> None:
        migrations.upgrade(empty_url)
        command.check(config)  # raises where a model and the tables differ
        migrations.downgrade(empty_url)
        migrations.upgrade(empty_url)
        migrations.upgrade(empty_url)

    outside_the_loop(there_and_back)
