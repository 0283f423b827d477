// A run's days as people say them: its last day is the one before `until_day`.
import type { RunSummary } from "../api";
import { day, fullDay } from "../format";

const DAY_MS = 86_400_000;
const UTC = "UTC"; // days have no zone: as instants they are midnights of UTC

export function period(run: Pick<RunSummary, "from_day" | "until_day">): string {
  const [from, last] = [Date.parse(run.from_day), Date.parse(run.until_day) - DAY_MS];
  if (from === last) return fullDay(from, UTC);
  const sameYear = run.from_day.slice(0, 4) === new Date(last).toISOString().slice(0, 4);
  return `${sameYear ? day(from, UTC) : fullDay(from, UTC)} – ${fullDay(last, UTC)}`;
}
