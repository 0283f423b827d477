// Whether a home is heard of, and whether it is held.
import type { Ven } from "../api";
import { Badge } from "../parts/Notes";

export function VenState({ ven }: { ven: Ven }) {
  if (!ven.online) return <Badge tone="stale">{ven.last_seen_at ? "stale" : "never seen"}</Badge>;
  return ven.shed ? <Badge tone="shed">shedding</Badge> : <Badge tone="plain">online</Badge>;
}
