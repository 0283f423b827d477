// One home: its loads now and its power over the last hours.
import type { Resource, SeriesChart, VenWithResources } from "../api";
import { SeriesPlot } from "../chart/SeriesPlot";
import { platformNow } from "../clock";
import { hundredths, iso, kw, words } from "../format";
import { useLoad } from "../load";
import { Dialog } from "../parts/Dialog";
import { Fact } from "../parts/Fact";
import { Badge, ProblemNote } from "../parts/Notes";
import { Table, type Column } from "../parts/Table";
import { useZone, When } from "../parts/When";
import { Commands } from "./Commands";
import { Twins } from "./Twins";
import { VenState } from "./VenState";

const HOURS = 6;

const COLUMNS: Column<Resource>[] = [
  { label: "Load", cell: (r) => r.name, sort: (r) => r.name },
  { label: "Kind", cell: (r) => words(r.kind), sort: (r) => r.kind },
  { label: "State", cell: (r) => (r.shed ? <Badge tone="shed">shedding</Badge> : "–"), sort: (r) => r.shed },
  { label: "Power kW", number: true, cell: (r) => hundredths(r.power_kw), sort: (r) => r.power_kw },
  { label: "Rated kW", number: true, cell: (r) => hundredths(r.rated_kw), sort: (r) => r.rated_kw },
  {
    label: "Sheddable kW",
    number: true,
    cell: (r) => (r.sheddable ? hundredths(r.sheddable_kw) : "no"),
    sort: (r) => r.sheddable_kw,
  },
];

export function VenDialog({ venId, onClose }: { venId: string; onClose: () => void }) {
  const zone = useZone();
  const path = `/v1/vens/${encodeURIComponent(venId)}`;
  const { data: ven, problem } = useLoad<VenWithResources>(path, { everyMs: 3_000 });
  const series = `/v1/series/${encodeURIComponent(`${venId}.power_kw`)}/chart`;
  const { data: chart } = useLoad<SeriesChart>(series, { everyMs: 3_000, query: lastHours });
  return (
    <Dialog title={ven?.name ?? venId} onClose={onClose} wide>
      <ProblemNote problem={problem} />
      {ven && (
        <dl className="facts">
          <Fact name="State">
            <VenState ven={ven} />
          </Fact>
          <Fact name="VEN">
            <code>{ven.ven_id}</code>
          </Fact>
          <Fact name="Site">{ven.site_name}</Fact>
          <Fact name="Power">{kw(ven.power_kw)}</Fact>
          <Fact name="Sheddable">{kw(ven.sheddable_kw)}</Fact>
          <Fact name="In that state since">
            <When at={ven.since_at} withZone />
          </Fact>
          <Fact name="Last reading">
            <When at={ven.last_seen_at} withZone />
          </Fact>
        </dl>
      )}
      <h3 className="sub">Power, last {HOURS} h</h3>
      {chart === null || chart.at.length === 0 ? (
        <p className="quiet pad">No reading yet.</p>
      ) : (
        <SeriesPlot {...chart} unit="kW" zone={zone} size="low" label={`Power of ${venId}`} />
      )}
      <h3 className="sub">Loads</h3>
      <Table
        caption={`Loads of ${venId}`}
        columns={COLUMNS}
        rows={ven?.resources ?? []}
        rowKey={(r) => r.resource_id}
        pageSize={20}
        empty={ven ? "It declared no load." : "Loading…"}
      />
      <h3 className="sub">Twin</h3>
      <Twins venId={venId} />
      <h3 className="sub">Commands</h3>
      {ven && <Commands ven={ven} />}
    </Dialog>
  );
}

function lastHours() {
  const end = Math.ceil(platformNow() / 60_000) * 60_000;
  return { start: iso(end - HOURS * 3_600_000), end: iso(end), points: HOURS * 60 };
}
