// What the page knows of the platform now: the link, its clock, the latest power, its events. Fed by the live stream.
import { useSyncExternalStore } from "react";
import type { GridEvent, Info, LivePower, Page, StatementSummary } from "./api";
import { get } from "./client";
import { setClock } from "./clock";
import { follow } from "./live";

export type Link = "connecting" | "live" | "reconnecting" | "lost";

export interface Platform {
  link: Link;
  opened: number; // how often the stream was opened
  info: Info | null;
  power: LivePower | null;
  heardAt: number; // performance.now() when `power` came
  events: ReadonlyMap<string, GridEvent>;
  eventsLoaded: boolean;
  olderEvents: string | null; // the cursor to events before those known
  statements: ReadonlyMap<string, number>; // how many statements were announced, by event
}

const LOST_AFTER = 4; // failed attempts

let state: Platform = {
  link: "connecting",
  opened: 0,
  info: null,
  power: null,
  heardAt: 0,
  events: new Map(),
  eventsLoaded: false,
  olderEvents: null,
  statements: new Map(),
};
const readers = new Set<() => void>();

function change(part: Partial<Platform>): void {
  state = { ...state, ...part };
  for (const reader of readers) reader();
}

function subscribe(reader: () => void): () => void {
  readers.add(reader);
  return () => readers.delete(reader);
}

/** One part of what is known; the component renders again when it changes. */
export function usePlatform<T>(part: (platform: Platform) => T): T {
  return useSyncExternalStore(subscribe, () => part(state));
}

/** Grows with each opening of the stream after the first: what was loaded before may have missed something. */
export const useReopened = (): number => usePlatform((p) => Math.max(1, p.opened));

export const isLive = (): boolean => state.link === "live";

export function putEvents(events: GridEvent[]): void {
  const known = new Map(state.events);
  for (const event of events) known.set(event.event_id, event);
  change({ events: known });
}

export async function loadOlderEvents(): Promise<void> {
  const page = await get<Page<GridEvent>>(`/v1/events?limit=50&cursor=${encodeURIComponent(state.olderEvents ?? "")}`);
  putEvents(page.items);
  change({ olderEvents: page.next_cursor });
}

async function loadInfo(): Promise<void> {
  const info = await get<Info>("/v1");
  setClock(info.now_at, info.speed);
  change({ info });
}

async function loadEvents(): Promise<void> {
  const page = await get<Page<GridEvent>>("/v1/events?limit=50");
  putEvents(page.items);
  change(state.eventsLoaded ? {} : { olderEvents: page.next_cursor, eventsLoaded: true });
}

function heard(kind: string, data: string): void {
  if (kind === "power") {
    const power = JSON.parse(data) as LivePower;
    if (setClock(power.at) > 3) void loadInfo().catch(() => undefined); // its speed was changed
    change({ power, heardAt: performance.now() });
  } else if (kind === "event") {
    putEvents([JSON.parse(data) as GridEvent]);
  } else if (kind === "statement") {
    const { event_id } = JSON.parse(data) as StatementSummary;
    change({ statements: new Map(state.statements).set(event_id, (state.statements.get(event_id) ?? 0) + 1) });
  }
}

/** Connects the page to its platform; call once. */
export function connect(): () => void {
  return follow("/v1/live", {
    opened: () => {
      change({ link: "live", opened: state.opened + 1 });
      void Promise.allSettled([loadInfo(), loadEvents()]);
    },
    said: heard,
    failed: (attempt) => change({ link: attempt >= LOST_AFTER ? "lost" : "reconnecting" }),
  });
}
