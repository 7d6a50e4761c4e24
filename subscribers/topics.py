"""What a message can be about: the topics every deployment starts with. Called at start and by imports."""

from collections.abc import Sequence

from sqlalchemy import select

from subscribers.dialects import insert_for
from subscribers.models import Topic, Transaction

# slug → English, Welsh. The order is the one shown to residents.
DEFAULT_TOPICS = {
    "crime-prevention": ("Crime prevention", "Atal troseddau"),
    "burglary": ("Burglary", "Bwrgleriaeth"),
    "anti-social-behaviour": ("Anti-social behaviour", "Ymddygiad gwrthgymdeithasol"),
    "road-safety": ("Road safety", "Diogelwch ar y ffyrdd"),
    "meetings-and-events": ("Meetings and events", "Cyfarfodydd a digwyddiadau"),
    "news": ("News from your team", "Newyddion gan eich tîm"),
}


async def ensure_topics(tx: Transaction) -> None:
    """Put in the default topics. Safe to run twice: those there keep their labels."""
    rows = [
        {"slug": slug, "labels": {"en": english, "cy": welsh}}
        for slug, (english, welsh) in DEFAULT_TOPICS.items()
    ]
    await tx.execute(insert_for(tx, Topic).on_conflict_do_nothing(index_elements=["slug"]), rows)


async def topic_slugs(tx: Transaction) -> Sequence[str]:
    """All topics, the default ones first and in their order."""
    found = set((await tx.execute(select(Topic.slug))).scalars())
    return [*(slug for slug in DEFAULT_TOPICS if slug in found), *sorted(found - DEFAULT_TOPICS.keys())]


async def topic_labels(tx: Transaction, language: str) -> dict[str, str]:
    """slug → words in that language, English where it has none, in the order shown to residents."""
    rows = {row.slug: row.labels for row in await tx.execute(select(Topic.slug, Topic.labels))}
    return {slug: rows[slug].get(language) or rows[slug]["en"] for slug in await topic_slugs(tx)}
