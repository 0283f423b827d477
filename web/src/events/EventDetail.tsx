// The chosen event: its facts, and of a call its statement and delivery ledger, of any event the reports it asked for.
import { useState, type ReactNode } from "react";
import type { GridEvent } from "../api";
import { count, kw, span } from "../format";
import { platformNow } from "../clock";
import { Fact } from "../parts/Fact";
import { useZone, When } from "../parts/When";
import { Delivery } from "./Delivery";
import { isCall } from "./focus";
import { Ledger } from "./Ledger";
import { Plans } from "./Plans";
import { useProgramNames } from "./programs";
import { Reports } from "./Reports";
import { StateBadge } from "./StateBadge";
import { Statements } from "./Statement";

const SHOWS = {
  statement: "Statement",
  delivery: "Plan and actual",
  ledger: "Delivery ledger",
  plan: "Who and why",
  reports: "Reports",
};
type Shows = keyof typeof SHOWS;

export function EventDetail({ event }: { event: GridEvent }) {
  const call = isCall(event);
  const done = event.state === "ended" || (event.state === "cancelled" && event.started_at !== null);
  const [chosen, choose] = useState<Shows | null>(null);
  const shown = call ? (chosen ?? (done ? "statement" : "delivery")) : "reports";
  return (
    <section className="panel" aria-labelledby="event-title">
      <div className="panel-head">
        <h2 id="event-title">
          {event.name ?? "Event"} <code>{event.event_id}</code> <StateBadge state={event.state} />
        </h2>
        {call && (
          <div className="segments text" role="group" aria-label="What to show of the event">
            {(Object.keys(SHOWS) as Shows[]).map((what) => (
              <button key={what} type="button" aria-pressed={what === shown} onClick={() => choose(what)}>
                {SHOWS[what]}
              </button>
            ))}
          </div>
        )}
      </div>
      <Facts event={event} />
      {!call && (
        <p className="quiet note">
          This event signals: VENs read it and decide for themselves. It calls no load, so it has no ledger and no
          statement.
        </p>
      )}
      {shown === "statement" && <Statements event={event} />}
      {shown === "delivery" && <Delivery event={event} />}
      {shown === "ledger" && <Ledger event={event} />}
      {shown === "plan" && <Plans event={event} />}
      {shown === "reports" && <Reports event={event} />}
    </section>
  );
}

function Facts({ event }: { event: GridEvent }) {
  const zone = useZone();
  const programs = useProgramNames();
  return (
    <dl className="facts">
      <Fact name="Program">{programs.get(event.program_id) ?? event.program_id}</Fact>
      <Fact name="Window">{span(Date.parse(event.start_at), Date.parse(event.end_at), platformNow(), zone)}</Fact>
      {isCall(event) && (
        <>
          <Fact name="Target">{kw(event.target_kw)}</Fact>
          <Fact name="Planned">{kw(event.planned_kw)}</Fact>
          <Fact name="Acked">{kw(event.acked_kw)}</Fact>
        </>
      )}
      <Fact name="Started">
        <When on={event.start_at} at={event.started_at} />
      </Fact>
      <Fact name="Ended">
        <When on={event.start_at} at={event.ended_at} />
      </Fact>
      <Fact name="Signals">
        <Names of={event.signals} none="none" />
      </Fact>
      <Fact name="Targets">
        <Names of={event.targets} none="everybody" />
      </Fact>
    </dl>
  );
}

const MOST = 6;

/** Short names side by side; many are first shown in part. */
function Names({ of, none }: { of: string[]; none: string }): ReactNode {
  const [all, setAll] = useState(false);
  if (of.length === 0) return none;
  return (
    <span className="names">
      {(all ? of : of.slice(0, MOST)).map((name) => (
        <code key={name}>{name}</code>
      ))}
      {of.length > MOST && (
        <button type="button" className="link" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `${count(of.length - MOST)} more`}
        </button>
      )}
    </span>
  );
}
