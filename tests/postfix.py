"""A Postfix of the tests' own: configuration, queue and ports in a folder of its own, ended by its id.

The system's instance is neither read nor touched. Postfix must start as root, to become its own user; without root, or
without Debian's package, the tests that want it say so and are skipped.
"""

import os
import pwd
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import Child, short_folder

DAEMONS = Path("/usr/lib/postfix/sbin")
MASTER = DAEMONS / "master"
IS_HERE = MASTER.exists() and shutil.which("postconf", path="/usr/sbin:/usr/bin") is not None
needs_postfix = [
    pytest.mark.skipif(not IS_HERE, reason="needs Debian's postfix: apt-get install postfix"),
    pytest.mark.skipif(os.geteuid() != 0, reason="postfix starts as root alone"),
]

QUEUES = (
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "private",
    "saved",
    "trace",
)
FOR_POSTDROP = ("maildrop", "public")

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {daemons}
command_directory = /usr/sbin
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = mx.{domain}
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
default_transport = smtp:[127.0.0.1]:{sink}
relay_domains = {domain}
relay_transport = lmtp:inet:127.0.0.1:{lmtp}
notify_classes =
"""
SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def postfix(*, port: int, domain: str, lmtp: int, sink: int) -> Iterator[Path]:
    """Running on `port` until the block ends; where it logs.

    Mail for `domain` goes to the LMTP port, as its MX would hand it on; all other mail to the sink, as a smarthost's.
    """
    with short_folder("postfix") as folder:
        _lay_out(folder)
        (folder / "main.cf").write_text(
            MAIN.format(folder=folder, daemons=DAEMONS, domain=domain, sink=sink, lmtp=lmtp)
        )
        (folder / "master.cf").write_text(SERVICES.format(port=port))
        child = Child(
            command=[MASTER, "-c", folder, "-d"],
            folders=[folder],
            ready=lambda _pid: _answers(port),
            identity={"start_new_session": True},  # it ends its children by their group
        )
        child.start()
        try:
            yield folder / "mail.log"
        finally:
            child.end(signal.SIGTERM)


def _lay_out(folder: Path) -> None:
    owner = pwd.getpwnam("postfix")
    folder.chmod(0o755)
    for name in ("data", "queue", "queue/pid", *(f"queue/{each}" for each in (*QUEUES, *FOR_POSTDROP))):
        made = folder / name
        made.mkdir()
        if name not in ("queue", "queue/pid"):
            os.chown(made, owner.pw_uid, -1)
    for name in FOR_POSTDROP:
        shutil.chown(folder / "queue" / name, group="postdrop")
        (folder / "queue" / name).chmod(0o730 if name == "maildrop" else 0o710)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4).startswith(b"220")
    except OSError:
        return False
