"""What is said in the demo's borough: names, messages, replies, priorities, consultations. All invented."""

from collections.abc import Mapping
from dataclasses import dataclass, field

BOROUGH = "Queensvale"
WARDS = ("Abbey", "Bridge End", "Canalside", "Harbour", "Millfield", "Northgate")
TEAMS = ("Abbey and Bridge End", "Canalside and Harbour", "Millfield and Northgate")
FIRST_NAMES = (
    "Amina", "Ben", "Carys", "Dev", "Ewa", "Femi", "Gwen", "Hana", "Idris", "Jo",
    "Kofi", "Leila", "Marek", "Nia", "Omar", "Pia", "Rhys", "Sana", "Tom", "Una",
)  # fmt: skip
ALL = (0, 1, 2, 3, 4, 5)
EVERYWHERE = ("email", "sms", "push", "social")


@dataclass(frozen=True, kw_only=True)
class Written:
    """One message. wards: by number. days_ago: how old it should look."""

    key: str
    kind: str
    team: int
    wards: tuple[int, ...]
    texts: Mapping[str, tuple[str, str]]
    media: tuple[str, ...] = EVERYWHERE
    topics: tuple[str, ...] = ()
    consultation: str = ""
    days_ago: int = 0
    is_draft: bool = False
    is_scheduled: bool = False


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One reply of a resident. to_message: what it answers, by its key; empty for a letter out of the blue."""

    sender: str
    medium: str
    text: str
    team: int = 0
    to_message: str = ""
    subject: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One consultation; closes_in_days below zero is over."""

    key: str
    title: str
    purpose: str
    decision_to_inform: str
    decision_maker: str
    cannot_change: str
    opened_days_ago: int
    closes_in_days: int
    feedback: Mapping[str, str] | None = field(default=None)


OPEN = Asked(
    key="evening",
    title="Where should we walk in the evening?",
    purpose="We have two more officers from January. Tell us where you would like to see them.",
    decision_to_inform="The evening patrol routes of Abbey ward, January to June",
    decision_maker="Inspector Grace Okafor",
    cannot_change="The number of officers, and patrols already promised to the schools",
    opened_days_ago=5,
    closes_in_days=16,
)
CLOSED = Asked(
    key="crossing",
    title="Crossing the road at Abbey Green",
    purpose="Drivers go too fast past the playground. We asked what would help most.",
    decision_to_inform="What we ask the council to build, and where we check speeds",
    decision_maker="Inspector Grace Okafor, with the council's roads team",
    cannot_change="The bus route",
    opened_days_ago=80,
    closes_in_days=-40,
    feedback={
        "asked": "What would make it safer to cross at Abbey Green?",
        "you_said": "143 of you answered. 92 asked for a crossing by the playground, 31 for speed checks.",
        "we_did": "The council will build the crossing in March. Until then we check speeds there twice a week.",
    },
)

PRIORITIES = (
    # ward, title, agreed days ago, we asked, you said, we did (None: not yet)
    (0, "Bikes stolen outside the station", 60, "What worries you most this winter?",
     "Bikes taken from the racks at Abbey station.", "New racks under the camera, and 58 bikes marked in October."),
    (0, "Noise at Abbey Green after 10pm", 20, "What worries you most this winter?",
     "Shouting and mopeds on the green at night.", None),
    (1, "Parcels taken from doorsteps", 45, "What should we work on next?",
     "Parcels go missing on Mill Lane every week.", "Plain-clothes patrols; two people charged on 3 November."),
    (2, "Dark towpath under the bridge", 30, "Where do you feel unsafe?",
     "The towpath after dark.", "The canal trust has mended all six lights."),
    (3, "Boats broken into", 15, "What should we work on next?", "Outboard motors taken from the moorings.", None),
    (4, "Cars racing on Mill Road", 33, "What should we work on next?", "Cars race on Friday nights.", None),
    (5, "Fly-tipping behind the market", 50, "What should we work on next?",
     "Rubbish left behind the market.", "A camera since October; four people fined."),
)  # fmt: skip

MESSAGES = (
    Written(
        key="crossing-feedback", kind="feedback", team=0, wards=(0,), days_ago=9, consultation="crossing",
        topics=("road-safety",),
        texts={
            "en": (
                "You asked for a crossing. It is coming.",
                ("**We asked** what would make it safer to cross at Abbey Green.\n\n"
                "**You said**: a crossing by the playground (92 of 143 answers).\n\n"
                "**We did**: the council will build it in March. Until then we check speeds there twice a week.\n\n"
                "Thank you to everyone who answered."),
            )
        },
    ),
    Written(
        key="bike-marking", kind="news", team=0, wards=(0, 1), days_ago=6, topics=("crime-prevention",),
        texts={
            "en": (
                "Free bike marking on Saturday",
                ("Bring your bike to Abbey station between 10am and 2pm on Saturday. We mark it, free, in five "
                "minutes.\n\n- bring something that shows the bike is yours\n- children's bikes too"),
            ),
            "cy": (
                "Marcio beiciau am ddim ddydd Sadwrn",
                "Dewch â'ch beic i orsaf yr Abaty rhwng 10am a 2pm ddydd Sadwrn. Rydym yn ei farcio am ddim.",
            ),
        },
    ),
    Written(
        key="towpath", kind="priority_update", team=1, wards=(2, 3), days_ago=3,
        topics=("anti-social-behaviour",),
        texts={
            "en": (
                "The towpath is lit again",
                ("You told us the towpath under Dyer's Bridge was too dark. The canal trust has mended all six "
                "lights, and we walk there every evening until Christmas.\n\nIs it better? Reply and tell us."),
            )
        },
    ),
    Written(
        key="evening", kind="consultation", team=0, wards=(0,), days_ago=2, consultation="evening",
        texts={
            "en": (
                "Where should we walk in the evening?",
                ("From January we have two more officers in Abbey ward.\n\n"
                "**Tell us one place** where you would like to see us after dark, and why.\n\n"
                "Insp Okafor decides on the routes. The number of officers cannot change. "
                "You will hear what was decided within 30 days of closing."),
            )
        },
    ),
    Written(
        key="missing", kind="alert", team=1, wards=(3,), media=("email", "sms", "push"),
        texts={
            "en": (
                "Missing: man, 82, last seen at Harbour Steps",
                ("George is 82, white hair, green coat. He left Harbour Steps at 3pm and may be confused. "
                "If you see him, stay with him and call 999."),
            )
        },
    ),
    Written(
        key="surgery", kind="news", team=0, wards=(0, 1), is_scheduled=True, media=("email",),
        topics=("meetings-and-events",),
        texts={"en": ("Meet us on Thursday", "We are at the library from 5pm to 7pm on Thursday. Come in and talk.")},
    ),
    Written(
        key="draft", kind="priority_update", team=0, wards=(1,), is_draft=True,
        topics=("burglary",),
        texts={"en": ("Parcels on Mill Lane", "Two people have been charged with taking parcels on Mill Lane.")},
    ),
)  # fmt: skip

REPLIES = (
    Reply(sender="resident0@mail.example", medium="email", to_message="evening",
          subject="Re: Where should we walk in the evening?",
          text="The alley behind the library, please. It has no light and my daughter walks home that way."),
    Reply(sender="+447700900018", medium="sms", text="Station road after 9pm, people hang about by the cash machine"),
    Reply(sender="resident24@mail.example", medium="email", to_message="crossing-feedback",
          subject="Re: You asked for a crossing", text="Thank you! Will it have a button for blind people?"),
    Reply(sender="+447700900003", medium="sms", team=1, text="Towpath is much better now thank you"),
    Reply(sender="+447700900702", medium="sms", team=2, text="Is this the right number for the police team?"),
    Reply(sender="stranger@mail.example", medium="email", subject="Noise",
          text="There was a very loud party somewhere near the market last night."),
)  # fmt: skip
