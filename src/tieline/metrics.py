"""Every metric's name, type and meaning, in one list; `docs/reference/metrics.md` is made from it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

MESSAGES = Counter(
    "tieline_telemetry_messages", "Device messages taken from the broker, by outcome", ["outcome"], registry=REGISTRY
)
READINGS = Counter("tieline_telemetry_readings", "Readings taken into Series", registry=REGISTRY)
FLAGGED = Counter("tieline_telemetry_flagged", "Readings flagged, by quality flag", ["flag"], registry=REGISTRY)
DEAD_LETTERS = Counter("tieline_dead_letters", "Messages refused and kept, by reason", ["reason"], registry=REGISTRY)
INTAKE_WAITING = Gauge("tieline_intake_waiting", "Device messages the broker keeps for us", registry=REGISTRY)
TAIL_ROWS = Gauge("tieline_series_tail_rows", "Readings in the tail, not yet sealed", registry=REGISTRY)
SEALS = Counter("tieline_series_seals", "Commits of the tail into Series", registry=REGISTRY)
BROKER_VIOLATIONS = Counter(
    "tieline_broker_violations", "Publishes and subscriptions the broker refused for their topic", registry=REGISTRY
)
CONNECT_DENIED = Counter(
    "tieline_connect_denied", "Device connections refused for their credentials", registry=REGISTRY
)
COMMANDS = Counter("tieline_commands", "Commands sent to VENs, by operation", ["op"], registry=REGISTRY)
ACKS = Counter("tieline_acks", "Answers of VENs, by answer", ["answer"], registry=REGISTRY)
LEDGER = Counter("tieline_ledger_transitions", "Delivery ledger rows entering a state", ["state"], registry=REGISTRY)
ACK_SECONDS = Histogram(
    "tieline_ack_seconds",
    "From a command sent to its first answer, in clock seconds",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
REPORTS = Counter(
    "tieline_reports",
    "OpenADR reports that came, by state, and those that did not (missing)",
    ["state"],
    registry=REGISTRY,
)
STATEMENTS = Counter("tieline_statements", "Statements made", registry=REGISTRY)
WEBHOOKS = Counter(
    "tieline_webhook_attempts", "Webhook deliveries tried, by what came of it", ["outcome"], registry=REGISTRY
)
WEBHOOKS_WAITING = Gauge("tieline_webhooks_waiting", "Webhook deliveries not yet taken", registry=REGISTRY)
WEBHOOKS_OLDEST_S = Gauge("tieline_webhooks_oldest_seconds", "Age of the oldest of them", registry=REGISTRY)
WEBHOOKS_BROKEN = Gauge(
    "tieline_webhooks_broken_endpoints", "Callback URLs that failed many times in a row", registry=REGISTRY
)
FILES = Counter("tieline_files_loaded", "Files loaded, by state", ["state"], registry=REGISTRY)
RESTARTS = Counter("tieline_task_restarts", "Tasks that ended and were started again", ["task"], registry=REGISTRY)
HTTP_SECONDS = Histogram(
    "tieline_http_seconds",
    "HTTP requests by method and status",
    ["method", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
    registry=REGISTRY,
)
