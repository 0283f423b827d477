// The chosen event: its facts, its statement, its delivery ledger.
import { useState } from "react";
import type { GridEvent } from "../api";
import { kw, span, words } from "../format";
import { platformNow } from "../clock";
import { Fact } from "../parts/Fact";
import { useZone, When } from "../parts/When";
import { Ledger } from "./Ledger";
import { StateBadge } from "./StateBadge";
import { Statements } from "./Statement";

export function EventDetail({ event }: { event: GridEvent }) {
  const zone = useZone();
  const done = event.state === "ended" || (event.state === "cancelled" && event.started_at !== null);
  const [chosen, setTab] = useState<"statement" | "ledger" | null>(null);
  const tab = chosen ?? (done ? "statement" : "ledger");
  return (
    <section className="panel" aria-labelledby="event-title">
      <div className="panel-head">
        <h2 id="event-title">
          Event <code>{event.event_id}</code> <StateBadge state={event.state} />
        </h2>
        <div className="segments text" role="group" aria-label="What to show of the event">
          <button type="button" aria-pressed={tab === "statement"} onClick={() => setTab("statement")}>
            Statement
          </button>
          <button type="button" aria-pressed={tab === "ledger"} onClick={() => setTab("ledger")}>
            Delivery ledger
          </button>
        </div>
      </div>
      <dl className="facts">
        <Fact name="Program">{words(event.program_id)}</Fact>
        <Fact name="Window">{span(Date.parse(event.start_at), Date.parse(event.end_at), platformNow(), zone)}</Fact>
        <Fact name="Target">{kw(event.target_kw)}</Fact>
        <Fact name="Planned">{kw(event.planned_kw)}</Fact>
        <Fact name="Acked">{kw(event.acked_kw)}</Fact>
        <Fact name="Started">
          <When at={event.started_at} />
        </Fact>
        <Fact name="Ended">
          <When at={event.ended_at} />
        </Fact>
      </dl>
      {tab === "statement" ? <Statements event={event} /> : <Ledger event={event} />}
    </section>
  );
}
