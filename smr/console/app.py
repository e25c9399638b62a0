"""All routes, and what holds for every request.

In: a `Site`. Out: an ASGI application. Each section is a function that takes the site and gives routes; a
section is added by naming it in `SECTIONS`. Endpoints are plain functions where they read the database
(they run in a thread) and `async` only where they do not.
For every request: a body of at most a megabyte, headers that keep a page in its frame, and a JSON answer
without details where an endpoint breaks; the details are logged. While the database is away the answer is 503
with Retry-After: who brings a receipt brings it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smr import logs
from smr.console import callbacks, health, metrics, unsubscribe
from smr.console.site import Site
from smr.errors import DatabaseRefusedError
from smr.events import Event

MOST_BYTES = 1_000_000
"""Largest body of a request."""
RETRY_AFTER = 30
"""Seconds after which to ask again, while the database is away."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Set on every answer that does not set them itself."""

Section = Callable[[Site], Sequence[BaseRoute]]

SECTIONS: tuple[Section, ...] = (health.routes, metrics.routes, callbacks.routes, unsubscribe.routes)
"""What the application consists of, in the order in which paths are tried."""


def build(site: Site, sections: Sequence[Section] = SECTIONS) -> Starlette:
    """The application of a site."""
    routes = [route for section in sections for route in section(site)]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Limits)],
        exception_handlers={
            HTTPException: _refused,
            DatabaseRefusedError: _away,
            ClientDisconnect: _gone,
            Exception: _broken,
        },
    )
    app.router.redirect_slashes = False  # a redirect would name the host that the caller has named
    app.state.site = site
    return app


def _refused(_request: Request, error: Exception) -> Response:
    """An answer that an endpoint (or the routing) meant: problem JSON with a stable code."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else ""
    headers = error.headers if isinstance(error, HTTPException) else None
    return JSONResponse({"status": status, "title": detail}, status, headers=headers)


def _away(_request: Request, _error: Exception) -> Response:
    """Nothing was stored; the same may be brought again."""
    answer = {"status": 503, "title": "the database does not answer; try again"}
    return JSONResponse(answer, 503, headers={"Retry-After": str(RETRY_AFTER)})


def _gone(_request: Request, _error: Exception) -> Response:
    """The client went before it had brought all; nobody reads this."""
    return Response(status_code=400)


def _broken(request: Request, error: Exception) -> Response:
    endpoint = request.scope.get("endpoint")
    logs.tell(
        Event.REQUEST_FAILED,
        method=request.method,
        endpoint=getattr(endpoint, "__qualname__", ""),
        **logs.error_of(error),
    )
    return JSONResponse({"status": 500, "title": "smr could not answer this; its log tells why"}, 500)


@dataclass
class _Counted:
    """Receives a request's body and refuses to go on where it is too large."""

    receive: Receive
    seen: int = 0

    async def __call__(self) -> Message:
        message = await self.receive()
        self.seen += len(message.get("body", b""))
        if self.seen > MOST_BYTES:
            raise HTTPException(413, "the body is larger than a megabyte")
        return message


class Limits:
    """ASGI middleware: the size of bodies, and headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, within limits."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                stated = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.lower().encode(), value.encode())
                        for name, value in HEADERS.items()
                        if name.lower().encode() not in stated
                    ),
                ]
            await send(message)

        if _length(scope) > MOST_BYTES:
            refused = JSONResponse({"status": 413, "title": "the body is larger than a megabyte"}, 413)
            await refused(scope, receive, sending)
            return
        await self.app(scope, _Counted(receive), sending)


def _length(scope: Scope) -> int:
    """The stated length of the body; 0 where none is stated."""
    stated = dict(scope["headers"]).get(b"content-length", b"0")
    return int(stated) if stated.isdigit() else 0


__all__ = ["SECTIONS", "Section", "Site", "build"]
