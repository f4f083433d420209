"""Lines over a socket, read and written without ever waiting: a stopped or broken peer cannot hold up the pool."""

from __future__ import annotations

import socket

_READ_BYTES = 65536
_LONGEST_LINE = 1 << 20
"""Bytes; far more than any grade, so more without a line's end is no message."""


class GarbledMessage(Exception):
    """What came is no message of a grading worker."""


class Channel:
    """The pool's end of the connection to one worker. A message is one line, without its end."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._outgoing = bytearray()
        self._incoming = b""

    @property
    def closed(self) -> bool:
        """True once :meth:`close` was called."""
        return self._socket.fileno() < 0

    @property
    def sending(self) -> bool:
        """True while a part of a message waits for the peer to read; then call :meth:`flush` when it can be written."""
        return bool(self._outgoing)

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def send(self, message: bytes) -> None:
        """Send as much as the peer takes now, and keep the rest for :meth:`flush`.

        Raises:
            OSError: the peer has hung up.
        """
        self._outgoing += message + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send more of what is kept.

        Raises:
            OSError: the peer has hung up.
        """
        while self._outgoing:
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                return
            del self._outgoing[:sent]

    def receive(self) -> list[bytes]:
        """The whole messages that are here; none if nothing has come.

        Raises:
            EOFError: the peer has hung up, and all it sent was given out.
            OSError: the connection is broken.
            GarbledMessage: more came without a line's end than any message holds.
        """
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            raise EOFError
        *whole, self._incoming = (self._incoming + data).split(b"\n")
        if len(self._incoming) > _LONGEST_LINE:
            raise GarbledMessage(f"{len(self._incoming)} bytes that are no message")
        return whole

    def close(self) -> None:
        """Hang up; doing it twice does no harm."""
        self._socket.close()
