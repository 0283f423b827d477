// Each amount of an account, opened cell by cell: clause → event → interval → the days behind its baseline → readings.
import { useState, type ReactNode } from "react";
import type { Entry, EventExplained, Explanation, PaidInterval } from "../api";
import { count, time } from "../format";
import { Table, type Column } from "../parts/Table";
import { When } from "../parts/When";
import type { Drawn } from "./curve";
import { between } from "./HowSure";
import { IntervalTold } from "./IntervalTold";
import { decimal, kwh, money } from "./money";

interface Props {
  told: Explanation;
  event: EventExplained | undefined; // the one that is drawn
  drawn: Drawn | null;
  onEvent: (eventId: string) => void;
}

interface Numbered extends Entry {
  n: number;
}

const COLUMNS: Column<Numbered>[] = [
  { label: "Clause", cell: (e) => e.clause, sort: (e) => e.clause },
  { label: "Of", cell: (e) => e.event_id || "the period", sort: (e) => e.event_id },
  {
    label: "Quantity",
    number: true,
    cell: (e) => `${decimal(e.quantity)} ${e.unit}`,
    sort: (e) => Number(e.quantity),
  },
  { label: "Price", number: true, cell: (e) => decimal(e.price), sort: (e) => Number(e.price) },
  { label: "Amount", number: true, cell: (e) => <b>{decimal(e.amount)}</b>, sort: (e) => Number(e.amount) },
];

export function Entries({ told, event, drawn, onEvent }: Props) {
  const [opened, open] = useState<number | null>(null);
  const entries = told.account.entries.map((entry, n) => ({ ...entry, n }));
  const entry = entries.find((one) => one.n === opened);
  const choose = (one: Numbered) => {
    open(one.n);
    if (one.event_id) onEvent(one.event_id);
  };
  return (
    <>
      <Table
        caption={`Entries of ${told.account.ven_id}`}
        columns={COLUMNS}
        rows={entries}
        rowKey={(e) => String(e.n)}
        rowClass={(e) => (e.n === opened ? "chosen" : "")}
        onOpen={choose}
        empty="Nothing is owed."
      />
      {entry && (
        <Level key={entry.n} title={<>Clause: {entry.clause}</>}>
          <p>{entry.because}</p>
          <p className="quiet">
            {decimal(entry.quantity)} {entry.unit}
            {entry.price !== null && <> × {decimal(entry.price)}</>} → <b>{money(entry.amount, told.currency)}</b>, rounded
            once by terms {told.terms.number}.
          </p>
          {event && event.event_id === entry.event_id && <EventTold told={told} event={event} drawn={drawn} />}
        </Level>
      )}
    </>
  );
}

function Level({ title, children }: { title: ReactNode; children: ReactNode }) {
  return (
    <section className="level">
      <h4>{title}</h4>
      {children}
    </section>
  );
}

interface EventProps {
  told: Explanation;
  event: EventExplained;
  drawn: Drawn | null;
}

function EventTold({ told, event, drawn }: EventProps) {
  const [opened, open] = useState<PaidInterval | null>(null);
  const zone = drawn?.zone ?? told.terms.zone;
  const columns: Column<PaidInterval>[] = [
    { label: "From", cell: (i) => time(Date.parse(i.from_at), zone), sort: (i) => i.from_at },
    { label: "Baseline kWh", number: true, cell: (i) => decimal(i.baseline_kwh), sort: (i) => Number(i.baseline_kwh) },
    {
      label: "Between kWh",
      hint: "Both ends of the baseline's interval",
      number: true,
      cell: (i) => between(i.low_kwh, i.high_kwh, 3),
      sort: (i) => Number(i.low_kwh),
    },
    { label: "Used kWh", number: true, cell: (i) => decimal(i.used_kwh), sort: (i) => Number(i.used_kwh) },
    { label: "Counts kWh", number: true, cell: (i) => decimal(i.paid_kwh), sort: (i) => Number(i.paid_kwh) },
    { label: "Price per kWh", number: true, cell: (i) => decimal(i.price_per_kwh), sort: (i) => Number(i.price_per_kwh) },
    { label: "Before rounding", number: true, cell: (i) => decimal(i.amount), sort: (i) => Number(i.amount) },
  ];
  const delivery = told.account.deliveries.find((one) => one.event_id === event.event_id);
  return (
    <Level title={<>Event {event.event_id}</>}>
      <p>
        {delivery && `Baseline ${kwh(delivery.baseline_kwh)} less used ${kwh(delivery.used_kwh)}. `}
        Baseline by <code>{event.rule}</code> from {count(event.days.length)} days × {decimal(String(event.factor))}, as known at{" "}
        <When at={event.baseline_known_at} withZone />; {count(event.readings)} readings, as known at{" "}
        <When at={event.known_at} withZone />. Statement <code title={event.statement_digest}>{event.statement_id}</code>.
      </p>
      <Table
        caption={`Intervals of ${event.event_id}`}
        columns={columns}
        rows={event.intervals}
        rowKey={(i) => i.from_at}
        rowClass={(i) => (i === opened ? "chosen" : i.gap_s > 0 ? "marked" : "")}
        onOpen={open}
        empty={event.note || "It kept no intervals."}
      />
      {opened && (
        <Level title={<>Interval from {time(Date.parse(opened.from_at), zone)}</>}>
          <IntervalTold venId={told.account.ven_id} event={event} interval={opened} days={drawn?.days ?? []} />
        </Level>
      )}
    </Level>
  );
}
