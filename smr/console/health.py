"""`/health/live` and `/health/ready`: for systemd, containers and load balancers.

Live: the process turns; where not, restart it. Ready: it can do its duties; false while the database is away
(a restart would not help) and while it drains. Both answer 200 or 503 with the same JSON.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from smr.console.site import Condition, Site


def routes(site: Site) -> Sequence[BaseRoute]:
    """The two routes."""

    async def live(_request: Request) -> Response:
        condition = site.condition()
        return _answer(condition, well=condition.alive)

    async def ready(_request: Request) -> Response:
        condition = site.condition()
        return _answer(condition, well=condition.ready)

    return [Route("/health/live", live), Route("/health/ready", ready)]


def _answer(condition: Condition, *, well: bool) -> Response:
    content = {
        "live": condition.alive,
        "ready": condition.ready,
        "database": condition.database or "ok",
        "stopping": condition.stopping,
        "configuration": [str(fault) for fault in condition.faults] or "ok",
    }
    return JSONResponse(content, 200 if well else 503)
