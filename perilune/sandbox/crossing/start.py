"""How either process begins: its channel apart from what its text prints and reads."""

from __future__ import annotations

import json
import os
from typing import Any

from perilune.sandbox.crossing.candidate import run_candidate
from perilune.sandbox.crossing.check import run_check
from perilune.sandbox.crossing.peer import Peer

_PEER_FD = 4


def start(side: str, text: str) -> None:
    """Be one of the two sides; the request is JSON."""
    request: dict[str, Any] = json.loads(text)
    heard = os.fdopen(os.dup(0), "rb")
    spoken = os.dup(_PEER_FD)
    os.close(_PEER_FD)
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    peer = Peer(side, heard, spoken, request["longest"])
    if side == "p":
        run_candidate(request, peer)
        os._exit(0)  # whatever the program has left running
    ours = os.dup(1)
    os.dup2(2, 1)
    verdict = run_check(request, peer)
    os.write(ours, json.dumps(verdict).encode("ascii"))
