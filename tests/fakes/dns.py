"""A DNS server of the tests' own, over UDP on this machine: it knows the zone it was given, and nothing else.

Questions and answers are read and written by dnspython's own wire code; large answers are cut off as a real server
does (TC), and asked for again over TCP.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

UDP_OCTETS = 1232
Zone = Mapping[tuple[str, str], Sequence[str]]  # (name, kind): records as a zone file writes them


class FakeDns:
    """`async with FakeDns(zone) as dns:` answers at `dns.nameserver` until the block ends.

    failing: names that get SERVFAIL. silent: names that get no answer at all. asked: every question, in order.
    """

    def __init__(self, zone: Zone) -> None:
        self.zone = dict(zone)
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self._port = 0

    @property
    def nameserver(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        self._port = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=("127.0.0.1", self._port)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._udp.close()
        self._tcp.close()
        await self._tcp.wait_closed()

    def answer(self, wire: bytes) -> dns.message.Message | None:
        """What is said to a question, or nothing."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = (
            question.name.to_text(omit_final_dot=True).lower(),
            dns.rdatatype.to_text(question.rdtype),
        )
        self.asked.append((name, kind))
        if name in self.silent:
            return None
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        if name in self.failing:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif records := self.zone.get((name, kind)):
            reply.answer.append(dns.rrset.from_text(question.name, 60, dns.rdataclass.IN, kind, *records))
        elif not any(known == name for known, _ in self.zone):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            size = int.from_bytes(await reader.readexactly(2))
            if (reply := self.answer(await reader.readexactly(size))) is not None:
                wire = reply.to_wire(max_size=65_535)
                writer.write(len(wire).to_bytes(2) + wire)
                await writer.drain()
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: FakeDns) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        reply = self._server.answer(data)
        if reply is None:
            return
        wire = reply.to_wire(max_size=65_535)
        if len(wire) > UDP_OCTETS:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
            wire = reply.to_wire()
        self._transport.sendto(wire, address)
