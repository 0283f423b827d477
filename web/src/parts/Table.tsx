// A table: sortable by its heads, paged, its rows perhaps to be opened.
import { useMemo, useState, type ReactNode } from "react";
import { count } from "../format";
import { Icon } from "./Icon";

export interface Column<Row> {
  label: string;
  cell: (row: Row) => ReactNode;
  sort?: (row: Row) => string | number | boolean | null;
  number?: boolean;
  hint?: string;
}

interface Props<Row> {
  caption: string; // read aloud, not shown
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string;
  rowClass?: (row: Row) => string;
  onOpen?: (row: Row) => void;
  pageSize?: number;
  empty?: ReactNode;
}

export function Table<Row>(props: Props<Row>) {
  const { caption, columns, rows, rowKey, rowClass, onOpen, pageSize = 10, empty = "Nothing here." } = props;
  const [order, setOrder] = useState<{ column: number; down: boolean } | null>(null);
  const [wanted, setPage] = useState(0);
  const sorted = useMemo(() => inOrder(rows, columns, order), [rows, columns, order]);
  const pages = Math.max(1, Math.ceil(sorted.length / pageSize));
  const page = Math.min(wanted, pages - 1);
  const turn = (column: number) =>
    setOrder((old) =>
      old?.column === column ? { column, down: !old.down } : { column, down: columns[column]?.number ?? false },
    );

  return (
    <>
      <div className="table-box" tabIndex={0} role="region" aria-label={caption}>
        <table>
          <caption className="unseen">{caption}</caption>
          <thead>
            <tr>
              {columns.map((column, i) => (
                <Head
                  key={column.label}
                  column={column}
                  sorted={order?.column === i ? order.down : null}
                  onSort={() => turn(i)}
                />
              ))}
            </tr>
          </thead>
          <tbody>
            {sorted.slice(page * pageSize, (page + 1) * pageSize).map((row) => (
              <tr
                key={rowKey(row)}
                className={`${rowClass?.(row) ?? ""}${onOpen ? " opens" : ""}`}
                onClick={onOpen && (() => onOpen(row))}
              >
                {columns.map((column, i) => (
                  <td key={column.label} className={column.number ? "number" : ""}>
                    {i === 0 && onOpen ? (
                      <button type="button" className="link">
                        {column.cell(row)}
                      </button>
                    ) : (
                      column.cell(row)
                    )}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
        {rows.length === 0 && <p className="quiet table-empty">{empty}</p>}
      </div>
      {pages > 1 && <Pager page={page} pages={pages} rows={rows.length} size={pageSize} onPage={setPage} />}
    </>
  );
}

function Head<Row>({ column, sorted, onSort }: { column: Column<Row>; sorted: boolean | null; onSort: () => void }) {
  const state = sorted === null ? "none" : sorted ? "descending" : "ascending";
  return (
    <th
      scope="col"
      aria-sort={column.sort ? state : undefined}
      className={column.number ? "number" : ""}
      title={column.hint}
    >
      {column.sort ? (
        <button type="button" onClick={onSort} className={sorted === null ? "" : "sorted"}>
          {column.label}
          <Icon name={sorted === false ? "up" : "down"} />
        </button>
      ) : (
        column.label
      )}
    </th>
  );
}

interface PagerProps {
  page: number;
  pages: number;
  rows: number;
  size: number;
  onPage: (page: number) => void;
}

function Pager({ page, pages, rows, size, onPage }: PagerProps) {
  return (
    <nav className="pager" aria-label="Pages of the table">
      <span className="quiet">
        {count(page * size + 1)}–{count(Math.min(rows, (page + 1) * size))} of {count(rows)}
      </span>
      <button
        type="button"
        className="icon-button"
        aria-label="Previous page"
        disabled={page === 0}
        onClick={() => onPage(page - 1)}
      >
        <Icon name="left" />
      </button>
      <button
        type="button"
        className="icon-button"
        aria-label="Next page"
        disabled={page >= pages - 1}
        onClick={() => onPage(page + 1)}
      >
        <Icon name="right" />
      </button>
    </nav>
  );
}

function inOrder<Row>(rows: Row[], columns: Column<Row>[], order: { column: number; down: boolean } | null): Row[] {
  const by = order === null ? undefined : columns[order.column]?.sort;
  if (!by || !order) return rows;
  const sign = order.down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [by(a), by(b)];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1; // what is not known comes last either way
    if (typeof x === "string" && typeof y === "string") return sign * x.localeCompare(y, undefined, { numeric: true });
    return sign * (Number(x) - Number(y));
  });
}
