// How an interval was made, and how often it held where that could be seen; or why there is none.
import type { Calibration } from "../api";
import { count, NOTHING } from "../format";

interface Props {
  rule: string;
  made: Calibration;
  together?: boolean; // of the sum of all
}

export const level = (made: Calibration) => `${Math.round(100 * made.level)} %`;

export function HowSure({ rule, made, together = false }: Props) {
  const why = together ? made.sum_why : made.why;
  const held = together ? made.sum_held : made.held;
  if (why) return <p className="quiet">No interval can be told: {why}.</p>;
  return (
    <p className="quiet">
      {level(made)} interval from {count(made.errors)} errors of <code>{rule}</code> on {count(made.days)} like days
      before, of {count(made.vens)} homes.
      {held !== null && <> On those days, each judged by the ones before it, it held {(100 * held).toFixed(1)} %.</>}
    </p>
  );
}

type End = number | string | null | undefined;

/** Both ends, not with all their digits: more than are sure. */
export function between(low: End, high: End, digits = 2): string {
  if (low == null || high == null) return NOTHING;
  return `${Number(low).toFixed(digits)} to ${Number(high).toFixed(digits)}`;
}
