// An event's state, by word and colour.
import type { EventState } from "../api";
import { Badge, type Tone } from "../parts/Notes";

const TONES: Record<EventState, Tone> = { scheduled: "target", active: "shed", ended: "plain", cancelled: "plain" };

export function StateBadge({ state }: { state: EventState }) {
  return <Badge tone={TONES[state]}>{state}</Badge>;
}
