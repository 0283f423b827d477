// The quality flags of a reading, as words.
import { FLAGS } from "../api";

export function Flags({ flags }: { flags: number }) {
  if (flags === 0) return <span className="quiet">good</span>;
  return (
    <>
      {FLAGS.filter((_, bit) => flags & (1 << bit)).map((name) => (
        <span key={name} className="tag stale">
          {name}
        </span>
      ))}
    </>
  );
}
