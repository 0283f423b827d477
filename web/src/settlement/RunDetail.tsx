// One run: its totals and documents, what was said of it, its accounts, what it changed, what it follows from.
import { useState } from "react";
import type { MeasuredEvent, RunHead, RunSummary } from "../api";
import { count, hundredths } from "../format";
import { useLoad } from "../load";
import { Fact } from "../parts/Fact";
import { Copy, ProblemNote } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";
import { useChoice } from "../url";
import { AccountDialog } from "./AccountDialog";
import { Accounts } from "./Accounts";
import { Differences } from "./Differences";
import { Downloads } from "./Downloads";
import { between, HowSure } from "./HowSure";
import { decimal, money } from "./money";
import { period } from "./period";
import { Reviews } from "./Reviews";
import { Terms } from "./Terms";

const SHOWS = { accounts: "Accounts", events: "Events", changes: "What changed", terms: "Terms", inputs: "Follows from" };
type Shows = keyof typeof SHOWS;

export function RunDetail({ run }: { run: RunSummary }) {
  const [shown, show] = useState<Shows>("accounts");
  const [venId, open] = useChoice("account");
  const [said, say] = useState(0);
  const path = `/v1/settlements/${encodeURIComponent(run.run_id)}`;
  const { data: head, problem } = useLoad<RunHead>(path, { version: said, everyMs: 15_000 });
  const reviews = head?.reviews ?? [];
  const onSaid = () => say(said + 1);
  const offered = (Object.keys(SHOWS) as Shows[]).filter((one) => one !== "changes" || head?.restates);
  return (
    <div className="run">
      <div className="panel-head">
        <h3>
          {period(run)} <code>{run.run_id}</code>
        </h3>
        <Downloads runId={run.run_id} of="all" />
      </div>
      <Totals run={run} />
      <Reviews
        runId={run.run_id}
        venId=""
        reviews={reviews}
        disputed={head?.disputed.filter((venId) => venId !== "") ?? []}
        onSaid={onSaid}
      />
      <div className="segments text" role="group" aria-label="What to show of the run">
        {offered.map((one) => (
          <button key={one} type="button" aria-pressed={one === shown} onClick={() => show(one)}>
            {SHOWS[one]}
          </button>
        ))}
      </div>
      <ProblemNote problem={problem} />
      {shown === "accounts" && <Accounts run={run} disputed={head?.disputed ?? []} onOpen={open} />}
      {shown === "events" && head && <Events events={head.measured} />}
      {shown === "changes" && <Differences run={run} onOpen={open} />}
      {shown === "terms" && <Terms run={run} />}
      {shown === "inputs" && head && <Inputs head={head} />}
      {venId && (
        <AccountDialog key={venId} run={run} venId={venId} reviews={reviews} onSaid={onSaid} onClose={() => open(null)} />
      )}
    </div>
  );
}

function Totals({ run }: { run: RunSummary }) {
  return (
    <div className="statement-figures">
      <dl>
        <Fact name="Total owed">{money(run.total, run.currency)}</Fact>
        <Fact name="Net">{decimal(run.net)}</Fact>
        <Fact name="Tax">{decimal(run.tax)}</Fact>
        <Fact name="Delivered">
          {decimal(run.delivered_kwh)} <span className="unit">kWh</span>
        </Fact>
      </dl>
      <p className="quiet">
        {count(run.participants)} {run.participants === 1 ? "participant" : "participants"}, {count(run.events)}{" "}
        {run.events === 1 ? "event" : "events"}, days of {run.zone}, as known at{" "}
        <When at={run.known_at} withZone />
      </p>
    </div>
  );
}

const EVENTS: Column<MeasuredEvent>[] = [
  { label: "Event", cell: (e) => e.event_id, sort: (e) => e.event_id },
  { label: "Baseline by", cell: (e) => <code>{e.rule}</code>, sort: (e) => e.rule },
  { label: "Delivered kWh", number: true, cell: (e) => hundredths(e.delivered_kwh), sort: (e) => e.delivered_kwh },
  {
    label: "Between kWh",
    hint: "Of all together: errors cancel, so it is narrower than the sum of the participants' own",
    number: true,
    cell: (e) => between(e.delivered_low_kwh, e.delivered_high_kwh),
    sort: (e) => e.delivered_low_kwh ?? 0,
  },
  {
    label: "How sure",
    cell: (e) => (
      <div className="wrap">
        <HowSure rule={e.rule} made={e.calibration} together />
      </div>
    ),
  },
];

function Events({ events }: { events: MeasuredEvent[] }) {
  return (
    <Table
      caption="What the events delivered, all participants together"
      columns={EVENTS}
      rows={events}
      rowKey={(e) => e.event_id}
      empty="Of none it is known how sure it is."
    />
  );
}

type Input = RunHead["inputs"][number];

const INPUTS: Column<Input>[] = [
  { label: "Input", cell: (i) => i.kind, sort: (i) => i.kind },
  { label: "Name", cell: (i) => i.name, sort: (i) => i.name },
  {
    label: "SHA-256",
    cell: (i) => (
      <>
        <code title={i.digest}>{i.digest.slice(0, 16)}…</code> <Copy text={i.digest} label={`Copy the digest of ${i.name}`} />
      </>
    ),
  },
];

function Inputs({ head }: { head: RunHead }) {
  return (
    <>
      <Table caption="What the run follows from" columns={INPUTS} rows={head.inputs} rowKey={(i) => `${i.kind} ${i.name}`} />
      <p className="quiet pad">
        The run itself: <code title={head.digest}>{head.digest.slice(0, 16)}…</code>{" "}
        <Copy text={head.digest} label="Copy the digest of the run" />
      </p>
    </>
  );
}
