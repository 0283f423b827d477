// The delivery ledger's counts as one stacked bar with its legend.
import { ROW_STATES, type GridEvent, type RowState } from "../api";
import { count, words } from "../format";

export function LedgerBar({ rows, legend }: { rows: GridEvent["rows"]; legend: boolean }) {
  const present: [RowState, number][] = ROW_STATES.map((s): [RowState, number] => [s, rows[s] ?? 0]).filter(
    ([, n]) => n > 0,
  );
  if (present.length === 0) return null;
  const spoken = present.map(([state, n]) => `${n} ${words(state)}`).join(", ");
  return (
    <div className="ledger-bar">
      <div className="bar" role="img" aria-label={`Delivery ledger: ${spoken}`} title={spoken}>
        {present.map(([state, n]) => (
          <i key={state} className={`row-${state}`} style={{ flexGrow: n }} />
        ))}
      </div>
      {legend && (
        <ul className="legend" aria-hidden="true">
          {present.map(([state, n]) => (
            <li key={state}>
              <i className={`row-${state}`} />
              {words(state)} <b>{count(n)}</b>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
