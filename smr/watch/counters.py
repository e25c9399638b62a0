"""What this process has done since it began, for `/metrics`.

In: reports. Out: counters under `REGISTRY`. They begin at zero with the process, as Prometheus expects.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry(auto_describe=False)

MESSAGES = Counter(
    "smr_messages",
    "messages moved by this process, by channel and the state they went to",
    ["channel", "state"],
    registry=REGISTRY,
)
DUTY_SECONDS = Histogram(
    "smr_duty_seconds",
    "how long duties took",
    ["duty"],
    buckets=(0.1, 1, 5, 15, 60, 300, 1800, 7200),
    registry=REGISTRY,
)
DUTY_FAILURES = Counter("smr_duty_failures", "duties that failed", ["duty"], registry=REGISTRY)
STARTED = Gauge("smr_process_start_time_seconds", "when this process began", registry=REGISTRY)
ALERTS = Counter("smr_alerts", "alerts sent, by channel and result", ["channel", "result"], registry=REGISTRY)
