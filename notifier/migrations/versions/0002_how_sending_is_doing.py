"""How sending itself is doing: workers, breakers, spending, alarms; what the ledger's proof and audiences need.

Revision 0002, after 0001. Only adds: a process of the release before goes on beside it. Columns come
and go by plain ALTER TABLE, for a copy of a table (batch mode) would break SQLite's foreign keys.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS: tuple[tuple[str, str, sa.types.TypeEngine[Any], str | None], ...] = (
    ("attempts", "became", sa.String(12), None),
    ("deliveries", "rescues", sa.SmallInteger(), "0"),
    ("delivery_events", "number", sa.Integer(), None),
    ("delivery_events", "state", sa.String(12), None),
    ("messages", "corrects_id", sa.Uuid(), None),
    ("messages", "doubles_id", sa.Uuid(), None),
    ("messages", "canary", sa.String(8), None),
    ("messages", "canary_seen", sa.String(25), ""),
    ("messages", "paused_reason", sa.Text(), None),
    ("messages", "override_reason", sa.Text(), None),
    ("messages", "planned_to", sa.Uuid(), None),
    ("subscribers", "postcode_hash", sa.LargeBinary(32), None),
    ("subscribers", "cell_east", sa.Integer(), None),
    ("subscribers", "cell_north", sa.Integer(), None),
    ("subscribers", "quiet_from", sa.SmallInteger(), None),
    ("subscribers", "quiet_until", sa.SmallInteger(), None),
    ("subscribers", "weekly_limit", sa.SmallInteger(), None),
)
QUEUE = (
    "CASE state WHEN 'pending' THEN 1 WHEN 'leased' THEN 1 "
    "WHEN 'started' THEN 1 WHEN 'in_doubt' THEN 2 ELSE 0 END"
)
WAITS, WAITS_FOR_DIGEST = "queue = 1 AND digest IS NULL", "queue = 1 AND digest IS NOT NULL"
WAITED, WAITED_FOR_DIGEST = "state = 'pending' AND digest IS NULL", "state = 'pending' AND digest IS NOT NULL"
# Percent of a page that new rows may fill: the versions of a row that is claimed, started and settled fit beside it,
# and in an index the second entry that a settled one gets. Else each page of it is first searched for room, then split.
FILLED = {
    "TABLE deliveries": 45,
    "TABLE attempts": 60,
    "INDEX pk_deliveries": 48,
    "INDEX uq_deliveries_message_contact_point": 48,
    "INDEX ix_deliveries_contact_point_id": 48,
}


def make_index(
    name: str,
    table: str,
    columns: Sequence[str],
    *,
    where: str = "",
    unique: bool = False,
    include: Sequence[str] = (),
) -> None:
    """An index, partial on both databases where a predicate is given; on PostgreSQL with columns kept beside."""
    more: dict[str, Any] = {}
    if where:
        more = {"postgresql_where": sa.text(where), "sqlite_where": sa.text(where)}
    if include:
        more["postgresql_include"] = list(include)
    op.create_index(name, table, list(columns), unique=unique, **more)


def fill(to: str) -> None:
    """How full PostgreSQL makes the pages it writes from now on."""
    if op.get_bind().dialect.name == "postgresql":
        for pages, percent in FILLED.items():
            op.execute(f"ALTER {pages} {to.format(percent)}")


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    make_index("uq_alarms_open", "alarms", ["kind", "key"], where="cleared_at IS NULL", unique=True)

    op.create_table(
        "breakers",
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("domain", sa.String(length=64), nullable=False),
        sa.Column("shown_domain", sa.String(length=120), server_default="", nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("recent", sa.String(length=20), server_default="", nullable=False),
        sa.Column("wait_seconds", sa.Double(), server_default="0", nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(length=200), server_default="", nullable=False),
        sa.Column("code", sa.String(length=40), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("channel", "domain", name=op.f("pk_breakers")),
    )
    op.create_table(
        "runs",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.String(length=200), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_runs")),
    )
    op.create_table(
        "spending",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("team", sa.String(length=36), nullable=False),
        sa.Column("parts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("pence", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("day", "channel", "team", name=op.f("pk_spending")),
    )
    op.create_table(
        "workers",
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("lanes", sa.String(length=60), nullable=False),
        sa.Column("version", sa.String(length=20), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_workers")),
    )
    for table, name, kind, default in COLUMNS:
        op.add_column(table, sa.Column(name, kind, server_default=default, nullable=default is None))
    # SQLite cannot add a stored column; PostgreSQL cannot index any other. To their readers they are the same.
    stored = True if op.get_bind().dialect.name == "postgresql" else None
    queue = sa.Computed(QUEUE, persisted=stored)
    op.add_column("deliveries", sa.Column("queue", sa.SmallInteger(), queue, nullable=True))
    fill("SET (fillfactor = {})")
    for name in (
        "ix_deliveries_pending",
        "ix_deliveries_leased",
        "ix_deliveries_in_doubt",
        "ix_deliveries_digest",
        "ix_deliveries_digest_notice_id",
        "uq_deliveries_notice_id",
    ):
        op.drop_index(name, "deliveries")
    make_index("ix_deliveries_due", "deliveries", ["message_id", "lane", "due_at", "id"], where=WAITS)
    make_index("ix_deliveries_in_doubt", "deliveries", ["due_at"], where="queue = 2")
    make_index(
        "ix_deliveries_digest",
        "deliveries",
        ["digest", "message_id", "contact_point_id"],
        where=WAITS_FOR_DIGEST,
    )
    make_index(
        "ix_deliveries_digest_notice_id",
        "deliveries",
        ["digest_notice_id"],
        where="digest_notice_id IS NOT NULL",
    )
    make_index(
        "uq_deliveries_notice_id", "deliveries", ["notice_id"], where="notice_id IS NOT NULL", unique=True
    )
    make_index("ix_subscribers_cell", "subscribers", ["cell_east", "cell_north"])
    make_index("ix_subscribers_postcode_hash", "subscribers", ["postcode_hash"])
    make_index("ix_subscribers_place", "subscribers", ["id"], include=["cell_east", "cell_north", "language"])
    op.drop_index("ix_contact_points_subscriber_id", "contact_points")
    make_index(
        "ix_contact_points_reach",
        "contact_points",
        ["subscriber_id"],
        include=["id", "medium", "state", "verified_at", "stopped_at"],
    )
    op.drop_index("ix_subscriptions_area_topic", "subscriptions")
    make_index(
        "ix_subscriptions_area_topic",
        "subscriptions",
        ["area_code", "topic_slug", "subscriber_id"],
        include=["least_priority", "frequency", "started_at", "ended_at"],
    )
    make_index(
        "ix_subscriptions_reach",
        "subscriptions",
        ["subscriber_id", "frequency"],
        include=["area_code", "topic_slug", "least_priority", "started_at", "ended_at"],
    )


def downgrade() -> None:
    op.drop_index("ix_subscriptions_reach", "subscriptions")
    op.drop_index("ix_subscriptions_area_topic", "subscriptions")
    make_index("ix_subscriptions_area_topic", "subscriptions", ["area_code", "topic_slug", "subscriber_id"])
    op.drop_index("ix_contact_points_reach", "contact_points")
    make_index("ix_contact_points_subscriber_id", "contact_points", ["subscriber_id"])
    op.drop_index("ix_subscribers_place", "subscribers")
    op.drop_index("ix_subscribers_postcode_hash", "subscribers")
    op.drop_index("ix_subscribers_cell", "subscribers")
    for name in (
        "ix_deliveries_due",
        "ix_deliveries_in_doubt",
        "ix_deliveries_digest",
        "ix_deliveries_digest_notice_id",
        "uq_deliveries_notice_id",
    ):
        op.drop_index(name, "deliveries")
    op.drop_column("deliveries", "queue")
    fill("RESET (fillfactor)")
    for table, name, _, _ in reversed(COLUMNS):
        op.drop_column(table, name)
    make_index("ix_deliveries_pending", "deliveries", ["lane", "due_at", "id"], where=WAITED)
    make_index("ix_deliveries_leased", "deliveries", ["lease_until"], where="lease_until IS NOT NULL")
    make_index("ix_deliveries_in_doubt", "deliveries", ["due_at"], where="state = 'in_doubt'")
    make_index("ix_deliveries_digest", "deliveries", ["digest", "contact_point_id"], where=WAITED_FOR_DIGEST)
    make_index("ix_deliveries_digest_notice_id", "deliveries", ["digest_notice_id"])
    make_index("uq_deliveries_notice_id", "deliveries", ["notice_id"], unique=True)
    for table in ("workers", "spending", "runs", "breakers", "alarms"):
        op.drop_table(table)
