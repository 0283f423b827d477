"""Every metric's name, type and meaning, in one list; `docs/reference/metrics.md` is made from it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

MESSAGES = Counter(
    "tieline_telemetry_messages", "Device messages taken from the broker, by outcome", ["outcome"], registry=REGISTRY
)
READINGS = Counter("tieline_telemetry_readings", "Readings taken into Series", registry=REGISTRY)
FLAGGED = Counter("tieline_telemetry_flagged", "Readings flagged, by quality flag", ["flag"], registry=REGISTRY)
DEAD_LETTERS = Counter("tieline_dead_letters", "Messages refused, by reason", ["reason"], registry=REGISTRY)
INTAKE_WAITING = Gauge("tieline_intake_waiting", "Device messages the broker keeps for us", registry=REGISTRY)
INTAKE_LAG = Gauge(
    "tieline_intake_lag_seconds", "How long the oldest message that the broker keeps for us waits", registry=REGISTRY
)
TAIL_ROWS = Gauge("tieline_series_tail_rows", "Readings in the tail, not yet sealed", registry=REGISTRY)
SEALS = Counter("tieline_series_seals", "Commits of the tail into Series", registry=REGISTRY)
ROLLED = Counter("tieline_rollup_steps", "Steps of series rolled up, by level", ["level"], registry=REGISTRY)
ROLLUP_LAG = Gauge(
    "tieline_rollup_lag_seconds",
    "How long ago a level was last up with all that is committed",
    ["level"],
    registry=REGISTRY,
)
ROLLUP_UNDECLARED = Counter(
    "tieline_rollup_undeclared_steps", "Steps not rolled up, for nobody declared their series", registry=REGISTRY
)
BROKER_VIOLATIONS = Counter(
    "tieline_broker_violations", "Publishes and subscriptions the broker refused for their topic", registry=REGISTRY
)
CONNECT_DENIED = Counter(
    "tieline_connect_denied", "Connections at the MQTT door refused, by reason", ["reason"], registry=REGISTRY
)
KICKED = Counter("tieline_devices_disconnected", "Devices disconnected that may no longer connect", registry=REGISTRY)
ENROLMENTS = Counter(
    "tieline_enrolments",
    "Enrolments and renewals of devices' certificates, by what came of them",
    ["asked", "outcome"],
    registry=REGISTRY,
)
FLOODED = Counter(
    "tieline_flooding_messages", "Device messages dropped because their VEN sent too many", registry=REGISTRY
)
VENS = Gauge("tieline_vens", "VENs by whether they are there", ["state"], registry=REGISTRY)
FLEET_LEFT_OUT = Gauge("tieline_fleet_left_out", "VENs whose power is in no sum, by why", ["reason"], registry=REGISTRY)
FLEET_USED_KW = Gauge("tieline_fleet_used_kw", "Power of the VENs with fresh data", registry=REGISTRY)
FLEET_CONTROLLABLE_KW = Gauge("tieline_fleet_controllable_kw", "Power that could still be shed", registry=REGISTRY)
FLEET_SHED_KW = Gauge("tieline_fleet_shed_kw", "Power that loads held down would draw more", registry=REGISTRY)
COMMANDS = Counter("tieline_commands", "Commands sent to VENs, by operation", ["op"], registry=REGISTRY)
ACKS = Counter("tieline_acks", "Answers of VENs, by answer", ["answer"], registry=REGISTRY)
UNANSWERED = Counter("tieline_commands_unanswered", "Direct commands that expired without an answer", registry=REGISTRY)
TWIN_REPORTS = Counter(
    "tieline_twin_reports", "Reports of twins by their devices, by what came of them", ["outcome"], registry=REGISTRY
)
TWIN_DELTAS = Counter("tieline_twin_deltas", "Deltas of twins told to devices", registry=REGISTRY)
LEDGER = Counter("tieline_ledger_transitions", "Delivery ledger rows entering a state", ["state"], registry=REGISTRY)
DISPATCH_DELIVERED = Gauge(
    "tieline_dispatch_delivered_kw", "What the events under way were last seen to give up together", registry=REGISTRY
)
DISPATCH_SHORTFALL = Gauge(
    "tieline_dispatch_shortfall_kw", "What they fell short of their targets by, together", registry=REGISTRY
)
LOOK_SECONDS = Histogram(
    "tieline_dispatch_look_seconds",
    "One comparison of an event with its target, from reading to decision, in wall seconds",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
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
FORECASTS = Counter(
    "tieline_forecasts",
    "Forecasts made, by method, and those that were not, by why",
    ["horizon", "method"],
    registry=REGISTRY,
)
FORECAST_SECONDS = Histogram(
    "tieline_forecast_seconds",
    "One round of forecasts of all groups, in wall seconds",
    ["horizon"],
    buckets=(1, 5, 10, 30, 60, 120, 300),
    registry=REGISTRY,
)
STATEMENTS = Counter("tieline_statements", "Statements made", registry=REGISTRY)
SETTLEMENTS = Counter("tieline_settlements", "Settlement runs made, restatements with them", registry=REGISTRY)
REVIEWS = Counter(
    "tieline_settlement_reviews", "Reviews of settlement runs, by verdict", ["verdict"], registry=REGISTRY
)
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
