"""Certificates for the stand-ins that speak TLS: an authority of the tests' own, and what it signs."""

import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HERE = "127.0.0.1"


class Authority:
    """Signs servers' certificates; `trust` believes it and nobody else."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _sign("authority", self._key, "authority", self._key, days=2)
        self.trust = ssl.create_default_context(cadata=self._certificate.public_bytes(Encoding.PEM).decode())

    def server(self, name: str = HERE, *, days: int = 1) -> ssl.SSLContext:
        """What a server of that name speaks TLS with. days: of validity left; below zero it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(name, key, "authority", self._key, days=days)
        pem = certificate.public_bytes(Encoding.PEM) + key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:  # the module reads files alone
            file = Path(folder) / "server.pem"
            file.write_bytes(pem)
            context.load_cert_chain(file)
        return context


def _sign(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    days: int,
) -> x509.Certificate:
    ends = datetime.now(UTC) + timedelta(days=days)
    is_authority = name == issuer
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=30))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(name)]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
