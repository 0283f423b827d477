// How long ago an instant was, or how soon it is, by the wall's clock: for what knows no simulated time.
import { duration } from "../format";
import { useTick } from "../tick";

const SOON_MS = 1000;

export function Ago({ at }: { at: string }) {
  useTick();
  const ms = Date.now() - Date.parse(at);
  return (
    <time dateTime={at} title={at.slice(0, 19).replace("T", " ") + " UTC"}>
      {Math.abs(ms) < SOON_MS ? "now" : ms < 0 ? `in ${duration(-ms / 1000)}` : `${duration(ms / 1000)} ago`}
    </time>
  );
}
