"""Recorded calls of Amazon SES, Mailgun and Postmark, where they are at hand, against what others made of them."""

import json
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from channels import mailgun_events, postmark_events
from channels.base import Event, HookRequest, Incoming, OptedOut, Receipt, TakesHooks
from channels.email_mailgun import EmailMailgun
from channels.email_postmark import EmailPostmark
from channels.email_ses import EmailSes
from channels.errors import BadHook
from channels.mailread import read_mail
from channels.smtp_pool import Server
from channels.sns import Sns
from tests import vectors
from tests.fakes import ses

SERVER = Server.of("smtp://127.0.0.1:1")
OURS = {"amazon_ses": "email_ses", "mailgun": "email_mailgun", "postmark": "email_postmark"}
# Another's word for what became of a mail → ours; nothing where it concerns no mail of ours for good.
WORDS = {
    "delivered": "delivered", "bounced": "bounced", "complained": "complained", "rejected": "undelivered",
    "failed": "undelivered", "unsubscribed": "left", "opened": "", "clicked": "", "deferred": "", "subscribed": "",
    "inbound": "mail", "unknown": "unreadable",
}  # fmt: skip
EXCEPTIONS = {
    "esp-amazon_ses-b2775fb2": "an empty call, taken there by its password",
    "esp-amazon_ses-fac42f9c": "the same",
    "esp-amazon_ses-0e985fd0": "the same",
    "esp-mailgun-6c9230f9": "refused there for its password; Mailgun's signature is good",
    "esp-mailgun-ce920be9": "the same",
    "esp-mailgun-8e977c7e": "signed with a key that is not at hand",
    "esp-mailgun-8ed76a5a": "an event at the address for mail, a mistake there; we have one address for both",
    "esp-postmark-e2f9009f": "a mail at the address for events, the same",
}
GIVEN = {"TEST_WEBHOOK_SIGNING_KEY": "TEST_WEBHOOK_SIGNING_KEY"}  # as its keys file says


async def test_recorded_events_are_read_as_others_read_them() -> None:
    rows = [row for row in vectors.cases("webhooks/esp_events.jsonl") if row["esp"] in OURS]
    if not rows:
        return
    score = vectors.Score()
    async with ses.FakeSns() as amazon:
        channels = {
            "amazon_ses": EmailSes(SERVER, "link.example", sns=Sns([ses.TOPIC], origin=amazon.url)),
            "mailgun": EmailMailgun(
                SERVER, "link.example", signing_keys=list(GIVEN), good_for=timedelta(days=20_000)
            ),
            "postmark": EmailPostmark(
                SERVER, "link.example", credentials=["username:password", "cred1:pass1", "cred2:pass2"]
            ),
        }
        for row in rows:
            channel: Any = channels[row["esp"]]
            found = await _found(channel, _request(row, amazon))
            wanted = _wanted(row)
            score.add(found == wanted, f"{row['id']}: {found} for {wanted}")
    score.check("recorded calls of SES, Mailgun and Postmark", allowed=EXCEPTIONS)


def _request(row: dict[str, Any], amazon: ses.FakeSns) -> HookRequest:
    """The call as it came. SES's were recorded with a signature that is none: they are signed anew."""
    asked = row["request"]
    names = {name.replace("_", "-").title(): value for name, value in asked["headers"].items()}
    body = asked["body"].encode()
    if row["esp"] == "amazon_ses" and '"Message": "{}"' not in asked["body"]:
        fields = json.loads(body)
        made = amazon.fields(fields["Message"], MessageId=fields["MessageId"])
        body = json.dumps(ses.sign(made)).encode()
    url = f"https://link.example/hooks/{OURS[row['esp']]}"
    return HookRequest(url=url, headers={"Content-Type": asked["content_type"], **names}, body=body)


async def _found(channel: TakesHooks, request: HookRequest) -> list[Any]:
    if not await channel.verify(request):
        return ["refused"]
    try:
        return [_short(event) for event in channel.parse(request)]
    except BadHook:
        return ["unreadable"]


def _wanted(row: dict[str, Any]) -> list[Any]:
    expected = row["expected"]
    if expected["http_status"] == 400:
        return ["refused"]
    if expected["exception"]:
        return ["unreadable"]
    found: list[Any] = []
    for event in expected["events"]:
        word = WORDS[event["event_type"]]
        if word == "mail":
            message = event["message"]
            found.append((message["subject"] or "", _flat(message["text"]), _flat(message["html"]), len(message["attachments"]) or None))  # fmt: skip
        elif word == "left":
            found.append(("left", event["recipient"]))
        elif word == "unreadable":
            found.append(word)
        elif word:
            found.append((word, event["message_id"] or ""))
    return found


def _short(event: Event) -> Any:
    match event:
        case Receipt():
            return str(event.progress), event.provider_id
        case OptedOut():
            return "left", event.address
        case Incoming():
            mail = message_from_bytes(event.raw, policy=policy.default)
            plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
            named = [part for part in mail.iter_attachments() if part.get_filename()]
            return (
                str(mail["Subject"] or ""),
                _flat(plain and plain.get_content()),
                _flat(html and html.get_content()),
                len(named) or None,
            )


def _flat(text: Any) -> str:
    return "\n".join(str(text or "").split())


# --- Mail that came in ------------------------------------------------------------------------


def test_recorded_mails_are_made_again_whole() -> None:
    """Each says the same as the mail that its provider took apart, as far as the post has it."""
    score = vectors.Score()
    for row in vectors.cases("webhooks/raw_http.jsonl"):
        if row["provider"] not in OURS:
            continue
        (path,) = vectors.paths(row["path"])
        (event,) = _events(row["provider"], path)
        mail = read_mail(event.raw)
        attached = ("foo.txt", "bar.txt") if row["expected"]["case"] == "valid" else ()
        subject = "Test" if row["expected"]["case"] == "valid" else ""
        found = (mail.sender, mail.subject, mail.attachments, bool(mail.text), bool(mail.message_id))
        wanted = ("james@opennorth.ca", subject, attached, row["expected"]["case"] != "missing", True)
        is_whole = mail.date is not None and event.recipient in mail.recipients
        score.add(found == wanted and is_whole, f"{row['id']}: {found}")
    if score.right or score.wrong:
        score.check("recorded posts of mail")


def _events(provider: str, path: Path) -> Any:
    head, _, body = path.read_bytes().partition(b"\r\n\r\n")
    if not body:
        head, _, body = path.read_bytes().partition(b"\n\n")
    kinds = [
        line.partition(b":")[2] for line in head.splitlines() if line.lower().startswith(b"content-type:")
    ]
    if provider == "postmark":
        return postmark_events.events_of(body)
    return mailgun_events.events_of(kinds[0].strip().decode(), body)
