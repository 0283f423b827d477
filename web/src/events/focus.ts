// The event the page looks at: the chosen one, else of the calls, else of the signals, the one acting, the next or the
// last; and its baseline.
import { useMemo } from "react";
import type { Baseline, GridEvent } from "../api";
import { useLoad } from "../load";
import { usePlatform } from "../platform";
import { useChoice } from "../url";

/** Whether it calls the fleet; otherwise it only signals, and VENs decide by themselves. */
export const isCall = (event: GridEvent): boolean => event.target_kw > 0;

const active = (event: GridEvent) => (event.state === "active" ? (isCall(event) ? 2 : 1) : 0);
const byStart = (a: GridEvent, b: GridEvent) =>
  active(b) - active(a) || Date.parse(b.start_at) - Date.parse(a.start_at);

/** Calls that act now, then signals that hold now, then the newest start first. */
export function useEvents(): GridEvent[] {
  const events = usePlatform((p) => p.events);
  return useMemo(() => [...events.values()].sort(byStart), [events]);
}

export function useFocus(): GridEvent | null {
  const events = useEvents();
  const [chosen] = useChoice("event");
  return events.find((e) => e.event_id === chosen) ?? foremost(events.filter(isCall)) ?? foremost(events);
}

function foremost(events: GridEvent[]): GridEvent | null {
  return (
    events.find((e) => e.state === "active") ?? events.findLast((e) => e.state === "scheduled") ?? events[0] ?? null
  );
}

/** What the homes would have used; null until it is frozen, at the event's start. */
export function useBaseline(event: GridEvent | null): Baseline | null {
  const started = event !== null && isCall(event) && event.started_at !== null;
  const path = started ? `/v1/events/${encodeURIComponent(event.event_id)}/baseline` : null;
  const found = useLoad<Baseline>(path, { version: event?.state, everyMs: event?.state === "active" ? 5_000 : 0 }).data;
  return found?.known_at ? found : null;
}
