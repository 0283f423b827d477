// The first of many short names, and how many more there are; all of them on hover.
import { count } from "../format";

interface Props {
  of: string[];
  most: number;
  before?: string;
}

export function Some({ of, most, before = "" }: Props) {
  const more = of.length - most;
  return (
    <span className="some" title={of.join(", ")}>
      {before}
      {of.slice(0, most).join(", ")}
      {more > 0 && ` +${count(more)}`}
    </span>
  );
}
