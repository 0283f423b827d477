// One event in the list: its state, window and what it asks for; while it acts, how far it is and what it delivers.
import { useState } from "react";
import type { GridEvent } from "../api";
import { post, Problem } from "../client";
import { clockSpeed, platformNow } from "../clock";
import { duration, isOpenEnded, kw, quantity, ratio, span } from "../format";
import { ProblemNote } from "../parts/Notes";
import { Some } from "../parts/Some";
import { useZone } from "../parts/When";
import { putEvents } from "../platform";
import { isCall } from "./focus";
import { LedgerBar } from "./LedgerBar";
import { StateBadge } from "./StateBadge";

interface Props {
  event: GridEvent;
  program: string; // its name
  chosen: boolean;
  onChoose: () => void;
}

export function EventCard({ event, program, chosen, onChoose }: Props) {
  const zone = useZone();
  const now = platformNow();
  const [start, end] = [Date.parse(event.start_at), Date.parse(event.end_at)];
  const open = event.state === "active" || event.state === "scheduled";
  return (
    <li className={`event ${event.state}${chosen ? " chosen" : ""}`}>
      <button type="button" className="event-choose" aria-pressed={chosen} onClick={onChoose}>
        <span className="event-line">
          <StateBadge state={event.state} />
          <span className="event-window">{span(start, end, now, zone)}</span>
          {isCall(event) && <b>{kw(event.target_kw)}</b>}
        </span>
        <span className="event-line quiet">
          <span className="event-name">{event.name ?? program}</span>
          {!isCall(event) && <Some of={event.signals} most={1} />}
          {event.targets.length > 0 && <Some before="to " of={event.targets} most={1} />}
          {event.planned_kw > 0 && (
            <span>
              planned {quantity(event.planned_kw)} · acked {kw(event.acked_kw)}
            </span>
          )}
        </span>
      </button>
      {event.state === "scheduled" && <p className="quiet">{soon(start - now)}</p>}
      {event.state === "active" && <Progress event={event} start={start} end={end} now={now} />}
      <LedgerBar rows={event.rows} legend={open || chosen} />
      {open && (isCall(event) || chosen) && <Stop event={event} />}
    </li>
  );
}

function soon(ms: number): string {
  const speed = clockSpeed();
  if (ms <= 0) return "starting";
  return `starts in ${duration(ms / 1000)}${speed === 1 ? "" : ` (${duration(ms / 1000 / speed)} of your time)`}`;
}

interface ProgressProps {
  event: GridEvent;
  start: number;
  end: number;
  now: number;
}

function Progress({ event, start, end, now }: ProgressProps) {
  if (isOpenEnded(end)) return null;
  return (
    <div className="progress">
      <Meter
        label="Time"
        part={Math.min(1, Math.max(0, (now - start) / (end - start)))}
        mark="time"
        text={`${duration((end - now) / 1000)} left`}
      />
      {isCall(event) && <Delivered event={event} />}
    </div>
  );
}

function Delivered({ event }: { event: GridEvent }) {
  const delivered = event.delivered_kw;
  const part = delivered === null ? 0 : Math.min(1.25, Math.max(0, delivered / event.target_kw));
  return (
    <Meter
      label="Given up, as metered"
      part={part / 1.25}
      mark="shed"
      target={0.8}
      text={
        delivered === null
          ? "no reading yet"
          : `${quantity(delivered)} of ${kw(event.target_kw)} (${ratio(delivered, event.target_kw)})`
      }
    />
  );
}

function Meter({
  label,
  part,
  mark,
  text,
  target,
}: {
  label: string;
  part: number;
  mark: string;
  text: string;
  target?: number;
}) {
  return (
    <div className="meter">
      <span className="quiet">{label}</span>
      <span className="number">{text}</span>
      <div className="track" role="img" aria-label={`${label}: ${text}`}>
        <i className={mark} style={{ width: `${part * 100}%` }} />
        {target !== undefined && <i className="mark" style={{ left: `${target * 100}%` }} title="target" />}
      </div>
    </div>
  );
}

/** Stops an event; asks once. */
function Stop({ event }: { event: GridEvent }) {
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const stop = async () => {
    setBusy(true);
    try {
      putEvents([await post<GridEvent>(`/v1/events/${encodeURIComponent(event.event_id)}/cancel`)]);
    } catch (error) {
      setProblem(error instanceof Problem ? error : null);
    }
    setBusy(false);
    setAsking(false);
  };
  const active = event.state === "active";
  return (
    <div className="stop">
      <ProblemNote problem={problem} />
      {asking ? (
        <>
          <span>{active && isCall(event) ? "Give every home its load back now?" : "Take this event back?"}</span>
          <button type="button" className="button small danger" disabled={busy} autoFocus onClick={() => void stop()}>
            {active ? "Stop it" : "Cancel it"}
          </button>
          <button type="button" className="button small" onClick={() => setAsking(false)}>
            Keep it
          </button>
        </>
      ) : (
        <button type="button" className="button small" onClick={() => setAsking(true)}>
          {active ? "Stop event" : "Cancel event"}
        </button>
      )}
    </div>
  );
}
