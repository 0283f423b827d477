// Whether a home is there, and whether it is held.
import type { Ven } from "../api";
import { Badge } from "../parts/Notes";

export function VenState({ ven }: { ven: Ven }) {
  const flaps = ven.flapping && <Badge tone="stale">flapping</Badge>;
  if (ven.presence === "never") return <Badge tone="stale">never heard</Badge>;
  if (ven.presence === "offline") return <Badge tone="stale">offline</Badge>;
  return (
    <>
      {ven.shed ? <Badge tone="shed">shedding</Badge> : <Badge tone="plain">{ven.presence}</Badge>} {flaps}
    </>
  );
}
