"""`/receipts/NAME`: where the provider of a channel tells what became of messages.

In: a POST as the provider makes it. Out: 204 once what it told is stored; 401 for a bad signature, 404 where
no such channel takes receipts. What is told twice is stored once.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from smr import clock
from smr.channels import Call, CallRefusedError, Closing, Receiving, open_channel
from smr.console.site import Site
from smr.delivery import receipts
from smr.errors import OperatorError


def routes(site: Site) -> Sequence[BaseRoute]:
    """The one route."""

    async def take(request: Request) -> Response:
        call = Call(
            request.method,
            "",
            request.url.query,
            {name.lower(): value for name, value in request.headers.items()},
            await request.body(),
        )
        return await run_in_threadpool(_take, site, str(request.path_params["channel"]), call)

    return [Route("/receipts/{channel}", take, methods=["POST"])]


def _take(site: Site, name: str, call: Call) -> Response:
    settings, now = site.settings(), clock.now()
    if name not in settings.channels:
        raise HTTPException(404)
    try:
        channel = open_channel(name, settings)
    except OperatorError:
        raise HTTPException(404) from None
    try:
        if not isinstance(channel, Receiving):
            raise HTTPException(404)
        told = channel.receive(call, now)
    except CallRefusedError as error:
        raise HTTPException(error.status, str(error)) from None
    finally:
        if isinstance(channel, Closing):
            channel.close()
    receipts.take(site.database, site.library(), settings, name, told, now=now)
    return Response(status_code=204)
