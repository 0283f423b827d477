// Callback URLs that failed many times in a row: since when, why, and when they are probed again.
import type { BrokenEndpoint } from "../api";
import { count } from "../format";
import { Ago } from "../parts/Ago";
import { Table, type Column } from "../parts/Table";
import { CallbackUrl } from "./CallbackUrl";

const COLUMNS: Column<BrokenEndpoint>[] = [
  { label: "Endpoint", cell: (e) => <CallbackUrl url={e.callback_url} />, sort: (e) => e.callback_url },
  { label: "Broken since", cell: (e) => <Ago at={e.broken_at} />, sort: (e) => e.broken_at },
  { label: "Failures in a row", number: true, cell: (e) => count(e.failures), sort: (e) => e.failures },
  {
    label: "Next try",
    cell: (e) => (isAhead(e.rest_until_at) ? <Ago at={e.rest_until_at} /> : "now"),
    sort: (e) => e.rest_until_at,
  },
  { label: "Why", cell: (e) => <span className="wrap">{e.reason ?? "–"}</span>, sort: (e) => e.reason },
];

const isAhead = (at: string | null): at is string => at !== null && Date.parse(at) > Date.now();

export function Broken({ endpoints }: { endpoints: BrokenEndpoint[] }) {
  return (
    <>
      <h3 className="sub">Broken endpoints</h3>
      <p className="quiet note">
        What they are to be told waits, for up to a day. Each is probed about once a minute, and mended by its first
        answer.
      </p>
      <Table
        caption="Broken endpoints"
        columns={COLUMNS}
        rows={endpoints}
        rowKey={(e) => e.endpoint_id}
        rowClass={() => "marked"}
        pageSize={5}
      />
    </>
  );
}
