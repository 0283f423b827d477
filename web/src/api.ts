// What /v1 says, as types. Instants are RFC 3339 in UTC; `at` lists are seconds since 1970 UTC; null is a gap.

export interface Info {
  name: string;
  version: string;
  now_at: string;
  speed: number; // clock seconds per wall second
  mqtt_host: string;
  mqtt_port: number;
  site_zone: string;
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  errors?: string[];
}

export interface Ven {
  ven_id: string;
  name: string;
  site_id: string;
  site_name: string;
  created_at: string;
  online: boolean;
  presence: Presence;
  since_at: string | null; // in that state
  flapping: boolean;
  left_out: string | null; // why it is not in the fleet's sums
  last_seen_at: string | null;
  power_kw: number | null;
  sheddable_kw: number | null;
  shed: boolean;
}

export interface Resource {
  resource_id: string;
  name: string;
  kind: string;
  rated_kw: number;
  sheddable: boolean;
  power_kw: number | null;
  sheddable_kw: number | null;
  shed: boolean;
}

export interface VenWithResources extends Ven {
  resources: Resource[];
}

export type Presence = "never" | "online" | "late" | "offline";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A twin in a list; `differs`: not all that is desired is so reported. */
export interface TwinLine {
  ven_id: string;
  name: string;
  version: number;
  at: string;
  differs: boolean;
}

export interface Twin {
  ven_id: string;
  name: string;
  version: number;
  at: string;
  desired: Record<string, Json>;
  reported: Record<string, Json>;
  delta: Record<string, Json>;
  metadata: { desired?: Record<string, Json>; reported?: Record<string, Json> }; // instants in the shape of the states
}

export interface DirectCommand {
  command_id: string;
  ven_id: string;
  op: string;
  request: { resource_id?: string | null; limit_kw?: number | null; end_at?: string | null };
  state: "sent" | "accepted" | "refused" | "opted_out" | "expired" | "unanswered";
  issued_at: string;
  expires_at: string;
  answered_at: string | null;
  reason: string;
  values: Record<string, boolean | number | string | null> | null;
}

export interface Declaration {
  series_id: string;
  unit: string;
  step_s: number;
  zone: string;
  stamp: "start" | "end";
  hold_s: number;
  source: string;
  ven_id: string | null;
  resource_id: string | null;
}

export interface SeriesChart {
  series: Declaration;
  start: string;
  end: string;
  at: number[];
  value: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
  flagged: number[];
}

export interface Reading {
  at: string;
  value: number;
  flags: number;
  known_at: string;
}

export interface FleetPower {
  start: string;
  end: string;
  step_s: number;
  at: number[];
  used_kw: (number | null)[];
  vens: number[];
}

export interface Program {
  program_id: string;
  name: string;
}

export type EventState = "scheduled" | "active" | "ended" | "cancelled";

export const ROW_STATES = [
  "planned",
  "sent",
  "acked",
  "acting",
  "metered",
  "restoring",
  "restored",
  "opted_out",
  "refused",
  "expired",
  "escalated",
] as const;
export type RowState = (typeof ROW_STATES)[number];

export interface GridEvent {
  event_id: string;
  program_id: string;
  start_at: string;
  end_at: string;
  target_kw: number; // 0: it only signals, and calls nobody
  state: EventState;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  planned_kw: number;
  acked_kw: number;
  rows: Record<RowState, number>;
  name: string | null;
  signals: string[]; // the OpenADR payload types that it carries
  targets: string[]; // none: it is meant for everybody
  delivered_kw: number | null; // what its loads give up, by their readings; null until they show it
}

export type ReportState = "expected" | "received" | "late" | "missing" | "not_wanted";

export interface TrackedReport {
  ven_id: string;
  descriptor: number | null; // null: nothing asked for it
  turn: number;
  payload_type: string | null;
  due_at: string | null; // null: whenever the VEN likes
  state: ReportState;
  report_id: string | null;
  received_at: string | null;
}

export interface EventDraft {
  program_id: string;
  start_at: string;
  end_at: string;
  target_kw: number;
}

export interface LedgerRow {
  ven_id: string;
  resource_id: string;
  state: RowState;
  answer: string | null;
  cause: string | null;
  planned_kw: number;
  planned_at: string | null;
  sent_at: string | null;
  acked_at: string | null;
  acting_at: string | null;
  metered_at: string | null;
  restored_at: string | null;
  escalated_at: string | null;
  opted_out_from_at: string | null;
  delivered_kw: number | null; // what it was last seen to give up
}

/** One look at an event: what was asked and what was given up, in kW. */
export interface Look {
  at: string;
  target_kw: number;
  delivered_kw: number;
  expected_kw: number;
  headroom_kw: number; // what could be called beyond
  held: number;
}

export interface Plan {
  plan_id: number;
  at: string;
  target_kw: number;
  expected_kw: number; // without it
  headroom_kw: number;
  called_kw: number;
  called: number;
  released: number;
  cost: number;
  gap: number; // at most so much dearer than the best, as a share
  method: string;
}

export interface Why {
  ven_id: string;
  resource_id: string;
  chosen: boolean;
  reason: string;
  kw: number;
  rank: number; // 0: it may not be called
  said: string;
}

export interface PlanShown extends Page<Why> {
  plans: Plan[];
  plan_id: number | null;
}

export interface Baseline {
  event_id: string;
  rule: string;
  known_at: string | null; // null until it is frozen, at the event's start
  start_at: string;
  end_at: string;
  step_s: number;
  at: number[];
  baseline_kw: (number | null)[];
  vens: number;
  left_out: { ven_id: string; reason: string }[];
}

export interface StatementSummary {
  statement_id: string;
  event_id: string;
  program_id: string;
  start_at: string;
  end_at: string;
  target_kw: number;
  known_at: string;
  baseline_kwh: number;
  used_kwh: number;
  delivered_kwh: number;
  delivered_low_kwh?: number; // as far as its baseline is sure; absent where nobody can tell
  delivered_high_kwh?: number;
  target_kwh: number;
  gap_seconds: number;
  vens: number;
}

export interface StatementLine {
  ven_id: string;
  baseline_kwh: number;
  used_kwh: number;
  delivered_kwh: number;
  gap_seconds: number;
  readings: number;
  note: string;
}

export interface Statement extends StatementSummary {
  rule: string;
  digest: string;
  lines: StatementLine[];
}

/** Money and energy of settlement are decimals as strings: no digit is lost. Days are YYYY-MM-DD in the run's zone. */
export interface RunSummary {
  run_id: string;
  program_id: string;
  from_day: string;
  until_day: string; // the day after the last one
  zone: string;
  currency: string;
  known_at: string;
  number: number; // of its period: above 1 it restates the one before
  participants: number;
  events: number;
  delivered_kwh: string;
  net: string;
  tax: string;
  total: string;
}

/** How intervals of baselines were made: `held` is the share of the days themselves that lay within; null: none judged. */
export interface Calibration {
  level: number;
  days: number;
  vens: number;
  errors: number;
  held: number | null;
  sum_held: number | null;
  digest: string;
  why: string; // why there is no interval of a VEN; empty: there is
  sum_why: string; // the same of the sum
}

export interface MeasuredEvent {
  event_id: string;
  rule: string;
  calibration: Calibration;
  delivered_kwh: number;
  delivered_low_kwh?: number;
  delivered_high_kwh?: number;
}

export interface RunHead extends RunSummary {
  measured: MeasuredEvent[];
  inputs: { kind: "terms" | "statement" | "prices" | "commitments"; name: string; digest: string }[];
  restates: string;
  digest: string;
  reviews: Review[];
  disputed: string[]; // VENs; empty: the whole run
}

export interface SettledDelivery {
  event_id: string;
  statement_id: string;
  asked_kwh: string;
  baseline_kwh: string;
  used_kwh: string;
  delivered_kwh: string;
  paid_kwh: string; // what counts after netting
  gap_seconds: number;
  note: string;
  delivered_low_kwh?: string;
  delivered_high_kwh?: string;
}

export interface Entry {
  clause: "energy" | "capacity" | "penalty" | "cap" | "floor" | "tax";
  quantity: string;
  unit: string;
  price: string | null;
  amount: string;
  because: string;
  event_id: string; // empty: of the whole period
  from_at: string | null;
  until_at: string | null;
}

export interface Account {
  ven_id: string;
  deliveries: SettledDelivery[];
  entries: Entry[];
  net: string;
  tax: string;
  total: string;
}

/** Baseline less use is delivered; what of it counts, times the price, is the amount before it is rounded. */
export interface PaidInterval {
  from_at: string;
  until_at: string;
  baseline_kwh: string;
  used_kwh: string;
  gap_s: number;
  paid_kwh: string;
  price_per_kwh: string;
  amount: string;
  low_kwh: string | null; // of the baseline
  high_kwh: string | null;
}

export interface EventExplained {
  event_id: string;
  statement_id: string;
  statement_digest: string;
  rule: string;
  days: string[]; // whose mean `factor` adjusts
  factor: number;
  baseline_known_at: string;
  known_at: string;
  readings: number;
  note: string;
  calibration: Calibration | null; // null: of a statement from before there was any
  intervals: PaidInterval[];
}

export interface Explanation {
  run_id: string;
  currency: string;
  terms: ProgramTerms;
  account: Account;
  events: EventExplained[];
}

export interface Difference {
  ven_id: string;
  before: string;
  after: string;
  change: string;
  because: string[];
}

export type Verdict = "approved" | "disputed" | "resolved";

export interface Review {
  run_id: string;
  ven_id: string; // empty: of the whole run
  verdict: Verdict;
  by: string;
  at: string;
  note: string;
}

export interface ProgramTerms {
  program_id: string;
  number: number;
  valid_from: string;
  valid_until: string | null;
  zone: string;
  currency: string;
  baseline: string;
  export: "net" | "ignored";
  most_gap: string;
  netting: string;
  energy:
    | { type: "fixed"; price_per_kwh: string }
    | { type: "market"; series_id: string; share: string; least_per_mwh: string | null; most_per_mwh: string | null };
  capacity: { price_per_kw_month: string; steps: { delivered: string; factor: string }[] } | null;
  penalty: { price_per_kwh: string; tolerance: string } | null;
  cap: string | null;
  floor: string | null;
  tax: { name: string; rate: string } | null;
  rounding: string;
  places: number;
}

export interface DeadLetter {
  position: number;
  subject: string;
  reason: string;
  detail: string;
  said_at: string;
  ven_id: string | null;
  digest: string;
  size: number;
  excerpt: string;
}

export interface LoadedFile {
  digest: string;
  name: string;
  dataset: string; // several are separated by commas
  state: "loaded" | "partly_loaded" | "failed";
  rows: number;
  series: number;
  reason: string | null;
  loaded_at: string;
}

export interface LivePower {
  at: string;
  used_kw: number | null;
  controllable_kw: number | null;
  online: number;
  stale: number; // heard of, but not lately
  shedding: number;
  vens: number;
  dead_letters: number;
}

/** The OpenADR gateway. What is said of webhooks is in the wall's time, whatever clock the platform keeps. */
export interface Gateway {
  urls: Record<string, string>; // by version
  development: boolean;
  clients: number | null; // null: another issuer has them
  counts: Record<"programs" | "events" | "vens" | "resources" | "reports" | "subscriptions", number>;
  webhooks: { waiting: number; oldest_at: string | null; broken: number };
  broken: BrokenEndpoint[];
}

export interface BrokenEndpoint {
  endpoint_id: string;
  callback_url: string;
  failures: number; // in a row
  broken_at: string;
  rest_until_at: string | null;
  reason: string | null;
}

export interface DeadDelivery {
  seq: number;
  delivery_id: string;
  subscription_id: string;
  object_id: string;
  callback_url: string;
  attempts: number;
  reason: string | null;
  enqueued_at: string;
  dead_at: string;
}

/** The bits of a reading's flags, least first. */
export const FLAGS = [
  "late",
  "ahead of clock",
  "beyond rating",
  "shed",
  "ambiguous",
  "estimated",
  "doubted",
  "spread",
] as const;

export interface Headroom {
  at: number[];
  expected_kw: (number | null)[];
  sure_kw: (number | null)[];
}

/** Mean power by quarter hour; nine times in ten what comes lies from p05 to p95. */
export interface Forecast {
  at: number[];
  p05_kw: (number | null)[];
  p50_kw: (number | null)[];
  p95_kw: (number | null)[];
}

export interface Listed {
  forecast_id: string;
  newest: {
    made_at: string;
    state: "made" | "waiting" | "failed";
    method: "gradient-boosting" | "seasonal-naive" | null;
    reason: string;
  };
  accuracy: { n: number; rrmse: number | null; naive_rrmse: number | null; coverage: number } | null; // of the last 28 days
}
