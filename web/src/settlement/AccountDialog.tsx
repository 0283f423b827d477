// One participant's account: what it is owed, its events drawn, and each amount down to the readings.
import { useState } from "react";
import type { Explanation, Review, RunSummary, SettledDelivery } from "../api";
import { duration } from "../format";
import { useLoad } from "../load";
import { Dialog } from "../parts/Dialog";
import { Fact } from "../parts/Fact";
import { ProblemNote } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { CurveChart } from "./CurveChart";
import { useDrawn } from "./curve";
import { Downloads } from "./Downloads";
import { Entries } from "./Entries";
import { between, HowSure } from "./HowSure";
import { decimal, money } from "./money";
import { period } from "./period";
import { Reviews } from "./Reviews";

interface Props {
  run: RunSummary;
  venId: string;
  reviews: Review[];
  onSaid: () => void;
  onClose: () => void;
}

export function AccountDialog({ run, venId, reviews, onSaid, onClose }: Props) {
  const account = `/v1/settlements/${encodeURIComponent(run.run_id)}/accounts/${encodeURIComponent(venId)}`;
  const { data, problem } = useLoad<Explanation>(`${account}/explanation`);
  return (
    <Dialog title={<>Account of {venId}</>} onClose={onClose} wide>
      <ProblemNote problem={problem} />
      {!data && !problem && <p className="quiet pad">Loading…</p>}
      {data && (
        <>
          <div className="statement-figures">
            <dl>
              <Fact name="Total owed">{money(data.account.total, run.currency)}</Fact>
              <Fact name="Net">{decimal(data.account.net)}</Fact>
              <Fact name="Tax">{decimal(data.account.tax)}</Fact>
            </dl>
            <p className="quiet">{period(run)}</p>
            <Downloads runId={run.run_id} of={venId} />
          </div>
          <Reviews runId={run.run_id} venId={venId} reviews={reviews} onSaid={onSaid} />
          <Told told={data} />
        </>
      )}
    </Dialog>
  );
}

const DELIVERIES: Column<SettledDelivery>[] = [
  { label: "Event", cell: (d) => d.event_id, sort: (d) => d.event_id },
  { label: "Asked kWh", number: true, cell: (d) => decimal(d.asked_kwh), sort: (d) => Number(d.asked_kwh) },
  { label: "Baseline kWh", number: true, cell: (d) => decimal(d.baseline_kwh), sort: (d) => Number(d.baseline_kwh) },
  { label: "Used kWh", number: true, cell: (d) => decimal(d.used_kwh), sort: (d) => Number(d.used_kwh) },
  { label: "Delivered kWh", number: true, cell: (d) => decimal(d.delivered_kwh), sort: (d) => Number(d.delivered_kwh) },
  {
    label: "Between kWh",
    hint: "What was delivered lies between; how surely is said below the chart",
    number: true,
    cell: (d) => between(d.delivered_low_kwh, d.delivered_high_kwh),
    sort: (d) => Number(d.delivered_low_kwh ?? 0),
  },
  { label: "Paid kWh", number: true, cell: (d) => <b>{decimal(d.paid_kwh)}</b>, sort: (d) => Number(d.paid_kwh) },
  {
    label: "Gap",
    number: true,
    cell: (d) => (d.gap_seconds > 0 ? <span className="tag stale">{duration(d.gap_seconds)}</span> : "–"),
    sort: (d) => d.gap_seconds,
  },
  { label: "Note", cell: (d) => (d.note ? <span className="wrap noted">{d.note}</span> : "") },
];

function Told({ told }: { told: Explanation }) {
  const [chosen, choose] = useState<string | null>(null);
  const event = told.events.find((one) => one.event_id === chosen) ?? told.events[0];
  const venId = told.account.ven_id;
  const drawn = useDrawn(venId, event);
  return (
    <>
      <h3 className="sub">Events</h3>
      <Table
        caption={`Events of ${venId}`}
        columns={DELIVERIES}
        rows={told.account.deliveries}
        rowKey={(d) => d.event_id}
        rowClass={(d) => (d.event_id === event?.event_id ? "chosen" : "")}
        onOpen={(d) => choose(d.event_id)}
        pageSize={6}
        empty="No event called it in this period."
      />
      {event && drawn && (
        <>
          <h3 className="sub">
            Load and baseline in event <code>{event.event_id}</code>
          </h3>
          <CurveChart {...drawn} sure={event.calibration} label={`Load and baseline of ${venId} in ${event.event_id}`} />
          {event.calibration && <HowSure rule={event.rule} made={event.calibration} />}
        </>
      )}
      {event && event.intervals.length === 0 && <p className="quiet pad">{event.note || "It kept no intervals."}</p>}
      <h3 className="sub">Each amount, and why</h3>
      <Entries told={told} drawn={drawn} event={event} onEvent={choose} />
    </>
  );
}
