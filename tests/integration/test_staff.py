"""Officers sign in and out; teams and tokens are what their rows say."""

from datetime import timedelta
from uuid import UUID

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from notifier.db import Database
from notifier.errors import Conflict
from notifier.models import AuditEvent, Officer, Role, Session, Team, TeamArea, TeamContactPoint, TeamKind
from notifier.staff import api_tokens, officers, passwords, sessions, sign_in, teams
from notifier.staff.api_tokens import Scope
from notifier.staff.roles import Grant
from notifier.staff.teams import Saved, TeamPlan
from subscribers import contact_points
from tests.world import BOROUGH, World, make_people, make_places, ward

EMAIL, PASSWORD = "j.rai@force.example", "copper kettle lane"


@pytest.fixture(autouse=True)
def cheap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost little, but where the cost is what is tried."""
    if "nobody" not in request.node.name:
        monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
async def world(db: Database) -> World:
    async with db.transaction() as tx:
        return await make_places(tx)


@pytest.fixture
async def officer(db: Database, world: World) -> UUID:
    password_hash = await passwords.hashed(PASSWORD)
    async with db.transaction() as tx:
        return await officers.add(
            tx,
            email=EMAIL,
            name="Sgt J. Rai",
            password_hash=password_hash,
            role=Role.SERGEANT,
            team=world.teams[0],
            actor="command",
        )


async def _sign_in(db: Database, email: str = EMAIL, password: str = PASSWORD) -> str | None:
    async with db.transaction() as tx:
        attempt = await sign_in.begin(tx, email)
    is_right = await passwords.is_right(attempt.password_hash, password)
    async with db.transaction() as tx:
        return await sign_in.finish(tx, attempt, is_right=is_right)


async def test_the_right_password_opens_a_session_with_its_roles(
    db: Database, world: World, officer: UUID
) -> None:
    token = await _sign_in(db)
    assert token is not None
    async with db.transaction(read_only=True) as tx:
        signed_in = await sessions.read(tx, token)
    assert signed_in == sessions.SignedIn(
        officer=officer,
        name="Sgt J. Rai",
        grants=(Grant(role=Role.SERGEANT, team=world.teams[0]),),
        needs_touch=False,
    )
    assert await _sign_in(db) != token


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (EMAIL, "copper kettle lame"),
        (EMAIL, ""),
        (EMAIL, "x" * 100_000),
        ("nobody@force.example", PASSWORD),
        ("", PASSWORD),
    ],
)
async def test_all_else_gets_one_answer(db: Database, officer: UUID, email: str, password: str) -> None:
    assert await _sign_in(db, email, password) is None


async def test_the_hash_of_nobody_fits_nothing() -> None:
    assert not await passwords.is_right("", "")
    assert not await passwords.is_right("", "nobody's password, longer than any that is taken" * 5)
    assert not await passwords.is_right("not a hash", PASSWORD)


async def test_a_disabled_officer_is_out_at_once(db: Database, officer: UUID) -> None:
    token = await _sign_in(db)
    assert token is not None
    async with db.transaction() as tx:
        await officers.disable(tx, officer, actor="command")
        assert await sessions.read(tx, token) is None
    assert await _sign_in(db) is None


async def test_guessing_is_slowed_for_known_and_unknown_alike(db: Database, officer: UUID) -> None:
    for email in (EMAIL, "nobody@force.example"):
        async with db.transaction() as tx:
            tries = [(await sign_in.begin(tx, email)).may_pass for _ in range(7)]
        assert tries == [True] * 5 + [False] * 2
    assert await _sign_in(db) is None  # even with the right password, for a second
    async with db.transaction() as tx:
        await tx.execute(update(AuditEvent).values(at=tx.now - timedelta(seconds=2)))
    assert await _sign_in(db) is not None
    async with db.transaction() as tx:  # a success ends the count
        assert [(await sign_in.begin(tx, EMAIL)).may_pass for _ in range(5)] == [True] * 5


@pytest.mark.parametrize(
    ("column", "ago", "is_open"),
    [
        ("seen_at", timedelta(minutes=29), True),
        ("seen_at", timedelta(minutes=30), False),
        ("expires_at", timedelta(seconds=1), False),
    ],
)
async def test_a_session_ends_when_idle_and_in_any_case_after_its_time(
    db: Database, officer: UUID, column: str, ago: timedelta, is_open: bool
) -> None:
    token = await _sign_in(db)
    assert token is not None
    async with db.transaction() as tx:
        assert (await tx.scalar(select(Session.expires_at))) - tx.now <= timedelta(hours=12)
        await tx.execute(update(Session).values({column: tx.now - ago}))
        signed_in = await sessions.read(tx, token)
        assert (signed_in is not None) is is_open
        if signed_in:
            assert signed_in.needs_touch
            await sessions.touch(tx, token)
        assert await sessions.drop_old(tx) == (0 if is_open else 1)
        again = await sessions.read(tx, token)
    assert (again is not None and not again.needs_touch) is is_open


async def test_a_changed_token_is_nobody_s_and_signing_out_ends_it(db: Database, officer: UUID) -> None:
    first, second = await _sign_in(db), await _sign_in(db)
    assert first is not None
    assert second is not None
    changed = ("a" if first[0] != "a" else "b") + first[1:]
    async with db.transaction() as tx:
        assert await sessions.read(tx, changed) is None
        await sessions.end(tx, first)
        assert await sessions.read(tx, first) is None
        assert await sessions.read(tx, second) is not None
        await sessions.end_all(tx, officer)
        assert await sessions.read(tx, second) is None


async def test_an_email_is_one_officer_s_and_is_kept_sealed(db: Database, officer: UUID) -> None:
    async with db.transaction() as tx:
        known = await officers.find(tx, EMAIL)
        assert known is not None
        assert (known.id, known.email, known.is_disabled) == (officer, EMAIL, False)
        with pytest.raises(Conflict):
            await officers.add(
                tx,
                email=EMAIL,
                name="Another",
                password_hash="",
                role=Role.OFFICER,
                team=None,
                actor="command",
            )
        row = (await tx.execute(select(Officer.__table__))).one()
    assert EMAIL.encode() not in b"".join(value for value in row if isinstance(value, bytes))
    assert PASSWORD not in row.password_hash


@pytest.mark.parametrize("password", ["short", "x" * 201])
async def test_a_password_is_neither_short_nor_endless(password: str) -> None:
    with pytest.raises(ValueError, match="A password"):
        await passwords.hashed(password)


async def test_an_api_token_is_its_team_s_until_it_ends(db: Database, world: World) -> None:
    async with db.transaction() as tx:
        token = await api_tokens.make(tx, world.teams[0], frozenset({Scope.READ}), actor="command")
        short = await api_tokens.make(
            tx, world.teams[1], frozenset(Scope), actor="command", good_for=timedelta(hours=1)
        )
        caller, other = await api_tokens.read(tx, token), await api_tokens.read(tx, short)
        assert caller is not None
        assert other is not None
        assert (caller.team, caller.scopes) == (world.teams[0], frozenset({Scope.READ}))
        assert other.scopes == {Scope.READ, Scope.WRITE}
        assert await api_tokens.read(tx, token[:-1] + ("a" if token[-1] != "a" else "b")) is None
        tx.now += timedelta(hours=2)
        assert await api_tokens.read(tx, short) is None
        assert await api_tokens.read(tx, token) is not None


async def test_saving_a_team_twice_changes_nothing_and_a_change_is_followed(
    db: Database, world: World
) -> None:
    plan = TeamPlan(
        name="Riverside team",
        area_codes=(ward(0), ward(1)),
        addresses=(("email", "riverside@force.example"), ("sms", "+447700900881")),
    )
    async with db.transaction() as tx:
        team, first = await teams.save(tx, plan)
        again, second = await teams.save(tx, plan)
        moved = TeamPlan(
            name="Riverside Team",
            area_codes=(ward(1), ward(2)),
            addresses=(("sms", "+447700900882"),),
        )
        _, third = await teams.save(tx, moved)
        _, fourth = await teams.save(tx, moved)
        covered = (
            await tx.execute(
                select(TeamArea.area_code).where(TeamArea.team_id == team, TeamArea.until.is_(None))
            )
        ).scalars()
        assert set(covered) == {ward(1), ward(2)}
        linked = select(TeamContactPoint.contact_point_id).where(TeamContactPoint.team_id == team)
        [number] = (await tx.execute(linked)).scalars()
        assert await contact_points.addresses(tx, [number]) == {number: "+447700900882"}
    assert team == again
    assert [first, second, third, fourth] == [Saved.NEW, Saved.UNCHANGED, Saved.CHANGED, Saved.UNCHANGED]


@pytest.mark.parametrize(
    ("codes", "kind"),
    [((), TeamKind.CENTRAL), ((BOROUGH,), TeamKind.BOROUGH), ((ward(0), BOROUGH), TeamKind.SNT)],
)
async def test_a_team_s_kind_follows_from_its_areas(
    db: Database, world: World, codes: tuple[str, ...], kind: TeamKind
) -> None:
    async with db.transaction() as tx:
        team, _ = await teams.save(tx, TeamPlan(name="New team", area_codes=codes))
        assert await tx.scalar(select(Team.kind).where(Team.id == team)) == kind


async def test_a_resident_s_number_never_becomes_a_team_s(db: Database, world: World) -> None:
    async with db.transaction() as tx:
        await make_people(tx, world, 1)
        with pytest.raises(Conflict):
            await teams.add_address(tx, world.teams[0], "sms", "+447700900000")
