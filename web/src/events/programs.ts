// The names of programs by their id: OpenADR's ids are not made to be read.
import { useMemo } from "react";
import type { Page, Program } from "../api";
import { useLoad } from "../load";
import { usePlatform } from "../platform";

/** Loaded again when an event of another program comes. */
export function useProgramNames(): ReadonlyMap<string, string> {
  const events = usePlatform((p) => p.events);
  const used = useMemo(() => new Set([...events.values()].map((e) => e.program_id)).size, [events]);
  const { data } = useLoad<Page<Program>>("/v1/programs?limit=1000", { version: used });
  return useMemo(() => new Map(data?.items.map((p) => [p.program_id, p.name])), [data]);
}
