"""`/metrics`, in the text format of Prometheus: what the database holds now, and what this process did.

In: a `Site`. Out: the page. What is read from the database is the same for every daemon of a shop; what a
process counts begins with it, so sum it over processes. A scrape while the database is away gives what the
process counts, and `smr_database_up 0`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from smr import clock
from smr.console.site import Site
from smr.errors import DatabaseRefusedError
from smr.watch import counters
from smr.watch.status import Backlog, Status, look

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def routes(site: Site) -> Sequence[BaseRoute]:
    """The one route."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Held(site))

    def metrics(_request: Request) -> Response:
        page = generate_latest(registry) + generate_latest(counters.REGISTRY)
        return PlainTextResponse(page, headers={"Content-Type": CONTENT_TYPE})

    return [Route("/metrics", metrics)]


class _Held:
    """A collector that reads the database at each scrape."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def collect(self) -> Iterable[Metric]:
        """What the database holds now."""
        try:
            with self._site.database.read() as connection:
                status = look(connection, now=clock.now())
        except DatabaseRefusedError:
            yield _up(0)
            return
        yield _up(1)
        yield from _of_outbox(status.backlog)
        yield from _of_runs(status)


def _up(value: int) -> Metric:
    return GaugeMetricFamily("smr_database_up", "1 where the database answers", value)


def _of_outbox(backlog: Sequence[Backlog]) -> Iterable[Metric]:
    queued = GaugeMetricFamily("smr_queued_messages", "messages that wait", labels=["channel"])
    due = GaugeMetricFamily("smr_due_messages", "messages whose time has come", labels=["channel"])
    oldest = GaugeMetricFamily(
        "smr_oldest_due_seconds", "how long the message has waited that waits longest", labels=["channel"]
    )
    unknown = GaugeMetricFamily(
        "smr_unknown_messages", "messages of which nobody can say whether they went out", labels=["channel"]
    )
    for of_channel in backlog:
        queued.add_metric([of_channel.channel], of_channel.queued)
        due.add_metric([of_channel.channel], of_channel.due)
        oldest.add_metric([of_channel.channel], of_channel.oldest_seconds)
        unknown.add_metric([of_channel.channel], of_channel.unknown)
    return queued, due, oldest, unknown


def _of_runs(status: Status) -> Iterable[Metric]:
    incidents = GaugeMetricFamily("smr_open_incidents", "incidents that go on", labels=["kind"])
    for kind in sorted({one.kind for one in status.incidents}):
        incidents.add_metric([kind], sum(one.kind == kind for one in status.incidents))
    yield incidents
    yield GaugeMetricFamily(
        "smr_daemons", "daemons that were heard of lately", sum(one.alive for one in status.daemons)
    )
    last = status.last_run
    if last is not None:
        yield GaugeMetricFamily("smr_last_run_age_seconds", "since the last run ended", last.age)
        yield GaugeMetricFamily("smr_last_run_seconds", "how long the last run took", last.seconds)
        stages = GaugeMetricFamily(
            "smr_last_run_stage_seconds", "seconds of work of the last run, by stage", labels=["stage"]
        )
        for stage, seconds in last.stages.items():
            stages.add_metric([stage], seconds)
        yield stages
        yield GaugeMetricFamily("smr_last_run_queued", "messages the last run queued", last.queued)
