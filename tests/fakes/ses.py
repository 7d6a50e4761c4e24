"""A stand-in for Amazon SES and SNS: takes mail, serves the certificate, and tells of events in calls really signed."""

import base64
import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.fakes.mail_provider import Call, FakeMailProvider, Fate
from tests.fakes.smtp import AcceptedMail
from tests.fakes.web import Answer, FakeWeb, Trouble, trouble

TOPIC = "arn:aws:sns:eu-west-2:123456789012:mail-events"
HOST = "sns.eu-west-2.amazonaws.com"
PEM = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
LIKE_TYPES = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


@cache
def key(which: str = "") -> rsa.RSAPrivateKey:
    """One of the tests' own, made once: it costs a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(*, owner: str = "sns.amazonaws.com", days: int = 1, which: str = "") -> bytes:
    """PEM of that key's certificate. days: of validity left; below zero it has expired."""
    ends = datetime.now(UTC) + timedelta(days=days)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, owner)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key(which).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=30))
        .not_valid_after(ends)
        .sign(key(which), hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def sign(fields: dict[str, str], *, which: str = "", version: str = "2") -> dict[str, str]:
    """The fields with their signature, as SNS's guide says it is made."""
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if fields["Type"] in LIKE_TYPES:
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    signed = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields).encode()
    how = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 - as SNS's first version does
    signature = base64.b64encode(key(which).sign(signed, padding.PKCS1v15(), how)).decode()
    return {
        **fields,
        "SignatureVersion": version,
        "Signature": signature,
        "SigningCertURL": f"https://{HOST}{PEM}",
    }


class FakeSns(FakeWeb):
    """SNS's own host: the certificate, and confirmations. Scripts go by "pem" and "confirm"."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pem: bytes = certificate()
        self.fetched: list[str] = []  # paths of certificates asked for
        self.confirmed: list[str] = []  # tokens
        self._numbers = itertools.count(1)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self._confirm), web.get("/{pem}", self._serve)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.fetched.append(request.path)
        answer = self.scripted("pem")
        if isinstance(answer, Trouble):
            return await trouble(answer, request)
        if isinstance(answer, Answer):
            return web.json_response(answer.body, status=answer.status, headers=answer.headers)
        if request.host != HOST or request.path != PEM:
            raise web.HTTPNotFound
        return web.Response(body=self.pem, content_type="application/x-pem-file")

    async def _confirm(self, request: web.Request) -> web.StreamResponse:
        if self.scripted("confirm") is not None or request.query.get("Action") != "ConfirmSubscription":
            raise web.HTTPForbidden
        self.confirmed.append(request.query["Token"])
        return web.Response(text="<ConfirmSubscriptionResponse/>", content_type="text/xml")

    def fields(self, message: str, *, at: datetime | None = None, **changes: str) -> dict[str, str]:
        """An unsigned notification."""
        when = (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        number = next(self._numbers)
        return {
            "Type": "Notification",
            "MessageId": f"00000000-0000-4000-8000-{number:012d}",
            "TopicArn": TOPIC,
            "Subject": "Amazon SES Email Event Notification",
            "Message": message,
            "Timestamp": when,
            "UnsubscribeURL": f"https://{HOST}/?Action=Unsubscribe&SubscriptionArn={TOPIC}:1",
        } | changes

    def asking(self, *, topic: str = TOPIC, url: str = "") -> dict[str, str]:
        """An unsigned question whether we want a topic's calls."""
        fields = self.fields("You have chosen to subscribe.", Type="SubscriptionConfirmation", TopicArn=topic)
        del fields["Subject"], fields["UnsubscribeURL"]
        token = f"token{fields['MessageId']}"
        where = url or f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={topic}&Token={token}"
        return fields | {"Token": token, "SubscribeURL": where}


def call(fields: dict[str, str]) -> Call:
    """The post of such fields, as SNS makes it."""
    headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": fields["Type"]}
    return Call(json.dumps(fields, separators=(",", ":")).encode(), headers)


class FakeSes(FakeMailProvider):
    """SES's SMTP end, and the SNS that tells of it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sns = FakeSns()

    async def __aenter__(self) -> Self:
        await self.sns.__aenter__()
        return await super().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        await self.sns.stop()

    def taken(self) -> str:
        return f"250 Ok {self.id_of(len(self.accepted))}"

    @staticmethod
    def id_of(number: int) -> str:
        """SES's own id of the mail it took as that one."""
        return f"010b0190aaaabbbb-cccccccc-dddd-eeee-ffff-{number:012d}-000000"

    def call_of(self, fate: Fate, mail: AcceptedMail) -> Call:
        return self.notify(self._event(fate, mail))

    def call_with(self, mail: AcceptedMail) -> Call:
        return self.notify(
            {
                "notificationType": "Received",
                "mail": self._mail(mail) | {"source": mail.sender, "messageId": "inbound0123456789"},
                "receipt": {"recipients": [mail.to], "action": {"type": "SNS", "encoding": "BASE64"}},
                "content": base64.b64encode(mail.raw).decode(),
            }
        )

    def notify(self, event: dict[str, Any]) -> Call:
        return call(sign(self.sns.fields(json.dumps(event))))

    def _mail(self, mail: AcceptedMail) -> dict[str, Any]:
        kept = list(self.accepted)
        number = kept.index(mail) + 1 if mail in kept else 0
        pairs = str(mail.message["X-SES-MESSAGE-TAGS"] or "").split(",")
        tags = {name.strip(): [value] for name, _, value in (pair.partition("=") for pair in pairs) if value}
        return {
            "timestamp": "2026-11-22T16:00:00.000Z",
            "messageId": self.id_of(number),
            "source": mail.sender,
            "destination": [mail.to],
            "tags": {"ses:configuration-set": ["events"], **tags},
        }

    def _event(self, fate: Fate, mail: AcceptedMail) -> dict[str, Any]:
        at = {"timestamp": "2026-11-22T16:00:05.000Z"}
        whose: Sequence[dict[str, str]] = [{"emailAddress": mail.to}]
        match fate:
            case Fate.SENT:
                found: tuple[str, str, dict[str, Any]] = ("Send", "send", {})
            case Fate.DELIVERED:
                found = ("Delivery", "delivery", {**at, "recipients": [mail.to], "smtpResponse": "250 ok"})
            case Fate.DELAYED:
                found = ("DeliveryDelay", "deliveryDelay", {**at, "delayType": "MailboxFull"})
            case Fate.BOUNCED_HARD | Fate.REJECTED:
                status = "5.1.1" if fate is Fate.BOUNCED_HARD else "5.7.1"
                who = [{**whose[0], "status": status, "diagnosticCode": f"smtp; 550 {status} no"}]
                bounce = {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": who}
                found = ("Bounce", "bounce", {**at, **bounce})
            case Fate.BOUNCED_SOFT:
                bounce = {
                    "bounceType": "Transient",
                    "bounceSubType": "MailboxFull",
                    "bouncedRecipients": whose,
                }
                found = ("Bounce", "bounce", {**at, **bounce})
            case Fate.SUPPRESSED:
                more = {"complaintSubType": "OnAccountSuppressionList", "complainedRecipients": whose}
                found = ("Complaint", "complaint", {**at, **more})
            case Fate.NOT_SENT:
                found = ("Reject", "reject", {"reason": "Bad content"})
            case Fate.COMPLAINED:
                more = {"complaintFeedbackType": "abuse", "complainedRecipients": whose}
                found = ("Complaint", "complaint", {**at, **more})
            case Fate.LEFT:
                new = {"unsubscribeAll": True, "topicSubscriptionStatus": []}
                found = ("Subscription", "subscription", {**at, "newTopicPreferences": new})
            case Fate.OPENED:
                found = ("Open", "open", at)
            case Fate.CLICKED:
                found = ("Click", "click", {**at, "link": "https://link.example/"})
        kind, name, about = found
        return {"eventType": kind, "mail": self._mail(mail), name: about}
