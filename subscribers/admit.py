"""Writes the people of an import: set by set, in the caller's one transaction. Never revives, never tells.

Safe to run twice: a person who is here already is left exactly as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, select, update

from subscribers.consent import ConsentAction
from subscribers.contact_points import ADDRESS
from subscribers.dialects import insert_for
from subscribers.evidence import Evidence, record
from subscribers.grid import cell_of
from subscribers.homes import values_of
from subscribers.imports import Candidate, RowError
from subscribers.models import (
    Area,
    ConsentEvent,
    ContactPoint,
    ContactPointState,
    DataKey,
    Frequency,
    LeastPriority,
    Postcode,
    Subscriber,
    SubscriberState,
    Subscription,
    Suppression,
    SuppressionScope,
    Transaction,
    new_id,
)
from subscribers.subscriptions import NAME, Wanted, start
from subscribers.topics import topic_slugs

FILLED = tuple(each.__tablename__ for each in (Subscriber, ContactPoint, Subscription, ConsentEvent))
ASKED_TO_STOP = "Asked us not to write to this address. They are not added again; they can sign up themselves"


@dataclass(kw_only=True)
class Admitted:
    """How many were added, how many were here already, and which rows cannot be."""

    added: int = 0
    known: int = 0
    errors: list[RowError] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Held:
    """What the rows say of one address."""

    id: UUID | None = None
    subscriber: UUID | None = None
    state: ContactPointState | None = None
    suppressed: frozenset[tuple[str, str]] = frozenset()

    @property
    def is_live(self) -> bool:
        return self.state is ContactPointState.ACTIVE and self.subscriber is not None


Key = tuple[str, bytes]


async def one_at_a_time(tx: Transaction) -> None:
    """Hold the door: two imports at once take turns, so that the second finds what the first wrote."""
    await tx.execute(select(DataKey.id).with_for_update())


async def admit(tx: Transaction, candidates: Sequence[Candidate]) -> Admitted:
    """Add those who can be added, at once active with the consent they gave; report the others.

    They get all topics of the ward of their postcode, each message at once.
    """
    places = await _places(tx, {candidate.postcode for candidate in candidates})
    keys = {candidate.line: _keys(tx, candidate) for candidate in candidates}
    held = await _held(tx, [key for each in keys.values() for key in each])
    admitted, going = Admitted(), []
    for candidate in candidates:
        place = places.get(candidate.postcode, "We know no such postcode")
        errors = [] if isinstance(place, _Ward) else [_error(candidate, "postcode", place)]
        addresses = [held.get(key, _Held()) for key in keys[candidate.line]]
        if any(each.is_live for each in addresses):
            admitted.known += not errors
        else:
            ward = place if isinstance(place, _Ward) else _Ward("", None)
            errors += _refusals(candidate, addresses, keys[candidate.line], ward.code)
            going += [] if errors else [(candidate, ward)]
        admitted.errors += errors
    await _write(tx, going, keys)
    admitted.added = len(going)
    return admitted


# --- Deciding -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ward:
    """cell: the postcode's square of the grid."""

    code: str
    cell: tuple[int, int] | None


async def _places(tx: Transaction, postcodes: Iterable[str]) -> dict[str, _Ward | str]:
    """postcode → its ward, or the sentence why there is none."""
    rows = await tx.execute(
        select(
            Postcode.postcode,
            Postcode.ward_code,
            Postcode.easting,
            Postcode.northing,
            Postcode.terminated,
            Postcode.gone_in,
            Area.served,
        )
        .outerjoin(Area, Area.code == Postcode.ward_code)
        .where(Postcode.postcode.in_(list(postcodes)))
    )
    return {row.postcode: _place(row) for row in rows}


def _place(row: Any) -> _Ward | str:
    if row.terminated or row.gone_in:
        return "This postcode is no longer used"
    if row.ward_code is None:
        return "We do not know the ward of this postcode"
    if not row.served:
        return "Our teams do not work at this postcode"
    return _Ward(row.ward_code, None if row.easting is None else cell_of(row.easting, row.northing))


def _refusals(
    candidate: Candidate, addresses: Sequence[_Held], keys: Sequence[Key], ward: str
) -> list[RowError]:
    errors = []
    for (medium, _), held in zip(keys, addresses, strict=True):
        column = "phone" if medium == "sms" else medium
        if sentence := _refusal(held, ward):
            errors.append(_error(candidate, column, sentence))
    return errors


def _refusal(held: _Held, ward: str) -> str:
    whole = {scope for scope, _ in held.suppressed} & {SuppressionScope.ALL, SuppressionScope.MEDIUM}
    if whole or (SuppressionScope.AREA, ward) in held.suppressed:
        return ASKED_TO_STOP
    match held.state:
        case ContactPointState.STOPPED:
            return ASKED_TO_STOP
        case ContactPointState.BOUNCED:
            return "Messages to this address came back"
        case ContactPointState.ACTIVE:
            return "This address is a team's own"
        case ContactPointState.UNCONFIRMED | None:
            return ""


def _error(candidate: Candidate, column: str, sentence: str) -> RowError:
    return RowError(line=candidate.line, column=column, sentence=sentence)


# --- Reading and writing ------------------------------------------------------------------------


def _keys(tx: Transaction, candidate: Candidate) -> list[Key]:
    return [(medium, tx.keys.address_hash(medium, address)) for medium, address in _addresses(candidate)]


def _addresses(candidate: Candidate) -> list[tuple[str, str]]:
    both = (("email", candidate.email), ("sms", candidate.phone))
    return [(medium, address) for medium, address in both if address]


async def _held(tx: Transaction, keys: Sequence[Key]) -> dict[Key, _Held]:
    hashes = [hashed for _, hashed in keys]
    suppressed: dict[Key, set[tuple[str, str]]] = {}
    listed = select(Suppression.__table__).where(Suppression.address_hash.in_(hashes))
    for row in await tx.execute(listed):
        suppressed.setdefault((row.medium, bytes(row.address_hash)), set()).add((row.scope, row.scope_code))
    found: dict[Key, _Held] = {key: _Held(suppressed=frozenset(each)) for key, each in suppressed.items()}
    for row in await tx.execute(_contacts(hashes)):
        key = (row.medium, bytes(row.address_hash))
        found[key] = _Held(
            id=row.id,
            subscriber=row.subscriber_id,
            state=ContactPointState(row.state),
            suppressed=frozenset(suppressed.get(key, ())),
        )
    return found


def _contacts(hashes: Sequence[bytes]) -> Any:
    return (
        select(
            ContactPoint.id,
            ContactPoint.medium,
            ContactPoint.address_hash,
            ContactPoint.subscriber_id,
            ContactPoint.state,
        )
        .where(ContactPoint.address_hash.in_(hashes))
        .order_by(ContactPoint.id)
        .with_for_update()
    )


async def _write(
    tx: Transaction, going: Sequence[tuple[Candidate, _Ward]], keys: Mapping[int, Sequence[Key]]
) -> None:
    if not going:
        return
    people = {candidate.line: new_id() for candidate, _ in going}
    await tx.execute(insert(Subscriber), [_person(tx, people[one.line], one, ward) for one, ward in going])
    points = await _points(tx, [candidate for candidate, _ in going], keys)
    activated = [
        {"point": points[key], "person": people[candidate.line], "since": candidate.consent_at}
        for candidate, _ in going
        for key in keys[candidate.line]
    ]
    await tx.execute(_ACTIVATE, activated)
    topics = await topic_slugs(tx)
    wants = [
        (people[candidate.line], _wanted(ward.code, slug)) for candidate, ward in going for slug in topics
    ]
    await start(tx, wants, source="import")
    await record(
        tx,
        *(
            Evidence(
                contact_point=points[key],
                action=ConsentAction.GIVEN,
                source=candidate.consent_source,
                actor="import",
                at=candidate.consent_at,
                wording="elsewhere",
            )
            for candidate, _ in going
            for key in keys[candidate.line]
        ),
    )


async def _points(
    tx: Transaction, candidates: Sequence[Candidate], keys: Mapping[int, Sequence[Key]]
) -> dict[Key, UUID]:
    """Contact points of all their addresses, made unconfirmed where there was none."""
    rows: list[dict[str, Any]] = []
    for candidate in candidates:
        for (medium, address), (_, hashed) in zip(_addresses(candidate), keys[candidate.line], strict=True):
            made = new_id()
            rows.append(
                {
                    "id": made,
                    "medium": medium,
                    "address_sealed": tx.keys.seal(ADDRESS, made, address),
                    "address_hash": hashed,
                    "state": ContactPointState.UNCONFIRMED,
                    "can_reply": True,
                    "bounce_score": 0.0,
                    "created_at": tx.now,
                }
            )
    unique = insert_for(tx, ContactPoint).on_conflict_do_nothing(index_elements=["medium", "address_hash"])
    await tx.execute(unique, rows)
    found = await tx.execute(_contacts([row["address_hash"] for row in rows]))
    return {(row.medium, bytes(row.address_hash)): row.id for row in found}


_ACTIVATE = (
    update(ContactPoint.__table__)  # type: ignore[arg-type]
    .where(ContactPoint.id == bindparam("point"))
    .values(
        subscriber_id=bindparam("person"),
        state=ContactPointState.ACTIVE.value,
        verified_at=bindparam("since"),
        stopped_at=None,
    )
)


def _person(tx: Transaction, made: UUID, candidate: Candidate, ward: _Ward) -> dict[str, Any]:
    return {
        "id": made,
        "name_sealed": tx.keys.seal(NAME, made, candidate.name) if candidate.name else None,
        **values_of(tx, made, candidate.postcode, ward.cell),
        "home_area_code": ward.code,
        "language": candidate.language,
        "state": SubscriberState.ACTIVE,
        "link_version": 0,
        "created_via": "import",
        "created_at": tx.now,
    }


def _wanted(ward: str, topic: str) -> Wanted:
    return Wanted(
        area_code=ward,
        topic=topic,
        least_priority=LeastPriority.EVERYTHING,
        frequency=Frequency.AT_ONCE,
    )
