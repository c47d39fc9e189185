"""A small real name server, as Docker's is: it knows the addresses of each name at the moment of the question."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

_ANSWER, _UNKNOWN = 0x8180, 0x8183


class NameServer:
    """Answers questions for IPv4 addresses (RFC 1035) on a port of its own.

    Args:
        addresses: name to its addresses; may change while it answers.
    """

    def __init__(self, addresses: Mapping[str, Sequence[str]]) -> None:
        self._addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._answer_all, daemon=True)

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _answer_all(self) -> None:
        while True:
            question, sender = self._socket.recvfrom(512)
            if not question:
                return
            self._socket.sendto(self._answer(question), sender)

    def _answer(self, question: bytes) -> bytes:
        end = question.index(0, 12) + 5  # the name, its zero, type and class
        labels, at = [], 12
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode())
            at += 1 + length
        found = self._addresses.get(".".join(labels), ())
        header = question[:2] + struct.pack(">HHHHH", _ANSWER if found else _UNKNOWN, 1, len(found), 0, 0)
        # A pointer to the name, type A, class IN, a second to live.
        records = [struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address) for address in found]
        return header + question[12:end] + b"".join(records)
