"""What channels need of the service: number leases, cursors of polls, pictures, accounts' channels, standing.

Revision 0003, after 0002. Only adds: a process of the release before goes on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

RECEIPT_SAYS = ("permanent", "opted_out")


def upgrade() -> None:
    op.add_column("contact_points", sa.Column("bounced_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("contact_points", sa.Column("probed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_contact_points_bounced_at",
        "contact_points",
        ["bounced_at"],
        unique=False,
        postgresql_where=sa.text("bounced_at IS NOT NULL"),
        sqlite_where=sa.text("bounced_at IS NOT NULL"),
    )
    op.add_column("team_contact_points", sa.Column("channel", sa.String(length=40), nullable=True))
    op.add_column("incoming", sa.Column("in_reply_to", sa.String(length=200), nullable=True))
    for name in RECEIPT_SAYS:
        op.add_column(
            "receipts", sa.Column(name, sa.Boolean(), server_default=sa.text("false"), nullable=False)
        )
    op.create_table(
        "polls",
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("cursor", sa.Text(), server_default="", nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("reason", sa.String(length=200), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("channel", name=op.f("pk_polls")),
    )
    op.create_table(
        "number_leases",
        sa.Column("contact_point_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_point_id"],
            ["contact_points.id"],
            name=op.f("fk_number_leases_contact_point_id_contact_points"),
        ),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_number_leases_team_id_teams")),
        sa.PrimaryKeyConstraint("contact_point_id", "team_id", "channel", name=op.f("pk_number_leases")),
    )
    op.create_table(
        "incoming_media",
        sa.Column("incoming_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("url_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content_type", sa.String(length=100), nullable=True),
        sa.Column("octets", sa.Integer(), nullable=True),
        sa.Column("media_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["incoming_id"],
            ["incoming.id"],
            name=op.f("fk_incoming_media_incoming_id_incoming"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("incoming_id", "number", name=op.f("pk_incoming_media")),
    )
    op.create_index(
        "ix_incoming_media_wanted",
        "incoming_media",
        ["due_at"],
        postgresql_where=sa.text("state = 'wanted'"),
        sqlite_where=sa.text("state = 'wanted'"),
    )


def downgrade() -> None:
    op.drop_table("incoming_media")
    op.drop_table("number_leases")
    op.drop_table("polls")
    for name in RECEIPT_SAYS:
        op.drop_column("receipts", name)
    op.drop_column("incoming", "in_reply_to")
    op.drop_column("team_contact_points", "channel")
    op.drop_index("ix_contact_points_bounced_at", "contact_points")
    op.drop_column("contact_points", "probed_at")
    op.drop_column("contact_points", "bounced_at")
