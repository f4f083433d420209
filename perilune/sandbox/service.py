"""The sandbox as an HTTP service, so that many trainers can share one (k1.5, section 2.6.4).

    POST /v1/run      a program on inputs → how each run went
    POST /v1/judge    a program and a task → a judgement
    POST /v1/batch    many of the same → judgements in the same order
    GET  /health      whether it works, without a token
    GET  /metrics     for Prometheus
    GET  /docs        every field

The interface is JSON; inputs and outputs of runs are base64, for they are bytes.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, TypeVar

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, field_validator
from starlette.middleware.trustedhost import TrustedHostMiddleware

from perilune.errors import SandboxError
from perilune.sandbox.client import TOKEN_VARIABLE
from perilune.sandbox.guard import Guard, Slots
from perilune.sandbox.judge import Judge, JudgeSettings
from perilune.sandbox.languages import CPP_STANDARD, languages
from perilune.sandbox.packages import Packages
from perilune.sandbox.programs import Limits, Program, Run, Submission
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.service_metrics import ServiceMetrics
from perilune.sandbox.tasks import FunctionTask, StdioTask, check_task
from perilune.sandbox.verdicts import Judgement

Isolation = Literal["auto", "namespaces", "landlock"]
_LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How much the service takes on."""

    workers: int = 2
    """Programs judged at once."""
    queue: int = 64
    """Judgements that may wait for a worker; beyond them 429."""
    body_bytes: int = 16 << 20
    """Largest request."""
    body_seconds: float = 30.0
    """Longest wait for the next part of a request."""
    batch: int = 32
    """Largest batch."""
    most: JudgeSettings = field(
        default_factory=lambda: JudgeSettings(Limits(cpu_seconds=30, wall_seconds=60, memory_mb=2048), 120.0)
    )
    """What a request may ask for at most; more is lowered to it."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RunRequest(_Body):
    """A program to run."""

    program: Program
    inputs: Annotated[list[Base64Bytes], Field(min_length=1, max_length=256)]
    """One run for each, on its standard input."""
    limits: Limits = Field(default_factory=Limits)

    @field_validator("inputs", mode="before")
    @classmethod
    def _is_base64(cls, inputs: object) -> object:
        """Refuse what is no base64; by default letters that are none are skipped."""
        for text in inputs if isinstance(inputs, list) else ():
            if isinstance(text, str):
                base64.b64decode(text, validate=True)
        return inputs


class RunAnswer(_Body):
    """How one run went."""

    ending: str
    exit_code: int | None
    signal: int | None
    stdout: Base64Bytes
    stderr: Base64Bytes
    cpu_seconds: float
    wall_seconds: float
    peak_memory_mb: float
    detail: str


class SubmissionAnswer(_Body):
    """How a program went."""

    compiled: bool
    compile: RunAnswer | None
    runs: list[RunAnswer]


class JudgeRequest(_Body):
    """A program to judge."""

    task: StdioTask | FunctionTask
    program: Program
    """Of a function's task: the whole program, the task's prompt included."""
    settings: JudgeSettings = Field(default_factory=JudgeSettings)


class BatchRequest(_Body):
    """Programs to judge."""

    requests: list[JudgeRequest]


class BatchAnswer(_Body):
    """Judgements in the order of the requests."""

    judgements: list[Judgement]


class Health(_Body):
    """What the service is doing."""

    status: str
    isolation: str
    packages: list[str]
    """Those that Python programs may import besides Python's library."""
    workers: int
    inside: int
    capacity: int


def create_app(sandbox: Sandbox, settings: ServiceSettings, token: str | None = None) -> FastAPI:
    """The service around an open sandbox.

    Args:
        sandbox: with ``settings.workers`` workers.
        settings: how much it takes on.
        token: what requests must carry; None lets in everyone who reaches it, under a loopback name alone, so that a
            web page in this machine's browser cannot.
    """
    desk = _Desk(sandbox, settings)
    app = FastAPI(title="Perilune sandbox", summary="Runs and judges untrusted programs.", redoc_url=None)
    _tell_faults(app)

    @app.post("/v1/run")
    async def run(request: RunRequest) -> SubmissionAnswer:
        """Run a program once for each input."""
        limits = _lowered(request.limits, settings.most.limits)
        submission = await desk.work(sandbox.run, request.program, [bytes(given) for given in request.inputs], limits)
        desk.metrics.count_runs(submission)
        return _submission_answer(submission)

    @app.post("/v1/judge")
    async def judge(request: JudgeRequest) -> Judgement:
        """Judge one program."""
        return await desk.judge(request)

    @app.post("/v1/batch")
    async def batch(request: BatchRequest) -> BatchAnswer:
        """Judge many programs."""
        return BatchAnswer(judgements=await desk.judge_all(request.requests))

    @app.get("/health")
    async def health() -> Health:
        """Whether it works."""
        slots = desk.slots
        return Health(
            status="ok",
            isolation=sandbox.mode,
            packages=list(sandbox.packages.names),
            workers=settings.workers,
            inside=slots.taken,
            capacity=slots.capacity,
        )

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(desk.metrics.page(), media_type=ServiceMetrics.CONTENT_TYPE)

    app.add_middleware(
        Guard,
        slots=desk.slots,
        token=token,
        body_bytes=settings.body_bytes,
        body_seconds=settings.body_seconds,
        on_answer=desk.metrics.count_answer,
    )
    if token is None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=_LOOPBACK_NAMES)
    return app


def _tell_faults(app: FastAPI) -> None:
    """Answer a request that cannot be served with what is wrong with it."""

    @app.exception_handler(SandboxError)
    async def refuse(request: Request, error: SandboxError) -> JSONResponse:
        """What the sandbox refuses, such as a language that it does not know, is the request's fault."""
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(RequestValidationError)
    async def explain(request: Request, error: RequestValidationError) -> JSONResponse:
        """Where and what, without what was sent: it may be large, or no JSON (NaN)."""
        faults = [{name: fault[name] for name in ("type", "loc", "msg")} for fault in error.errors()]
        return JSONResponse({"detail": faults}, 422)


class _Desk:
    """Takes requests from the event loop to the sandbox's workers."""

    def __init__(self, sandbox: Sandbox, settings: ServiceSettings) -> None:
        self._judge = Judge(sandbox)
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="perilune-judge")
        self.slots = Slots(settings.workers + settings.queue)
        self.metrics = ServiceMetrics(self.slots)

    async def work(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Call a function in a thread as soon as one is free."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def judge(self, request: JudgeRequest) -> Judgement:
        """One judgement, within the service's limits."""
        try:
            check_task(request.task)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        asked, most = request.settings, self._settings.most
        allowed = JudgeSettings(
            _lowered(asked.limits, most.limits), min(asked.total_seconds, most.total_seconds), asked.stop_at_first
        )
        judge = self._judge.under(allowed)
        with self.metrics.timed():
            judgement = await self.work(judge.judge, request.task, request.program)
        self.metrics.count_judgement(judgement)
        return judgement

    async def judge_all(self, requests: list[JudgeRequest]) -> list[Judgement]:
        """Judgements side by side; each takes a slot of its own, the first that of the request."""
        if not 1 <= len(requests) <= self._settings.batch:
            raise HTTPException(422, f"a batch has 1 to {self._settings.batch} requests, not {len(requests)}")
        more = len(requests) - 1
        if not self.slots.take(more):
            raise HTTPException(429, "the queue has no room for the batch", {"Retry-After": "1"})
        try:
            return list(await asyncio.gather(*map(self.judge, requests)))
        finally:
            self.slots.free(more)


def check_address(host: str, token: str | None) -> None:
    """Refuse to listen for others without a token.

    Raises:
        SandboxError: the host is not loopback and there is no token.
    """
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not token:
        raise SandboxError(
            f"on {host} anyone who reaches this machine could run programs: set {TOKEN_VARIABLE} to a secret that "
            "clients send too, or listen on 127.0.0.1"
        )


def serve(
    host: str,
    port: int,
    settings: ServiceSettings,
    token: str | None,
    isolation: Isolation = "auto",
    packages: Packages | None = None,
    cpp_standard: str = CPP_STANDARD,
) -> None:
    """Serve until interrupted.

    Args:
        host: an address of this machine.
        port: on it.
        settings: how much is taken on.
        token: what requests must carry.
        isolation: how programs are isolated.
        packages: what programs in Python may import besides its library; the default ones if None.
        cpp_standard: the standard of C++.

    Raises:
        SandboxUnavailable: this machine cannot isolate programs.
        SandboxError: the address is open to others and there is no token.
    """
    check_address(host, token)
    spoken = languages(cpp_standard)
    with Sandbox(workers=settings.workers, mode=isolation, languages=spoken, packages=packages) as sandbox:
        app = create_app(sandbox, settings, token)
        uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, timeout_keep_alive=30)


def _lowered(limits: Limits, most: Limits) -> Limits:
    named = {name: min(getattr(limits, name), getattr(most, name)) for name in Limits.__slots__}
    return replace(limits, **named)


def _submission_answer(submission: Submission) -> SubmissionAnswer:
    compile_ = _run_answer(submission.compile) if submission.compile else None
    runs = [_run_answer(run) for run in submission.runs]
    return SubmissionAnswer(compiled=submission.compiled, compile=compile_, runs=runs)


def _run_answer(run: Run) -> RunAnswer:
    named = {name: getattr(run, name) for name in Run.__slots__}
    encoded = {name: base64.b64encode(named[name]) for name in ("stdout", "stderr")}
    return RunAnswer(**{**named, **encoded, "ending": run.ending.value})
