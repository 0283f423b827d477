// Market data: the series that files brought, and a chart of the chosen one.
import { useMemo, useState } from "react";
import type { Declaration, LoadedFile, Page } from "../api";
import { count, duration } from "../format";
import { useLoad } from "../load";
import { Empty, ProblemNote } from "../parts/Notes";
import { SearchBox } from "../parts/SearchBox";
import { useSettled } from "../tick";
import { useChoice } from "../url";
import { Files } from "./Files";
import { MarketChart } from "./MarketChart";

const MOST = 1000; // as many as /v1 gives at once

export function Market() {
  const files = useLoad<Page<LoadedFile>>("/v1/files?limit=1000", { everyMs: 10_000 });
  const [open, setOpen] = useState(false);
  const loaded = files.data?.items ?? [];
  const bad = loaded.filter((f) => f.state !== "loaded").length;
  const sources = useMemo(() => sourcesOf(loaded), [loaded]);
  return (
    <section className="panel" aria-labelledby="market-title">
      <div className="panel-head">
        <h2 id="market-title">Market data</h2>
        {loaded.length > 0 && (
          <button type="button" className="link" onClick={() => setOpen(true)}>
            {count(loaded.length)} {loaded.length === 1 ? "file" : "files"}
            {bad > 0 && <span className="tag stale">{count(bad)} not wholly loaded</span>}
          </button>
        )}
      </div>
      <ProblemNote problem={files.problem} />
      {files.data !== null && sources.length === 0 ? (
        <Empty title="No market data yet" command="tieline load FILE…">
          Load what operators publish, such as ONS load or AEMO dispatch files, as it comes: zipped or not.
        </Empty>
      ) : (
        sources.length > 0 && <SeriesOf sources={sources} files={loaded.length} />
      )}
      {open && <Files files={loaded} onClose={() => setOpen(false)} />}
    </section>
  );
}

/** The sources of the files' datasets, of the file loaded last first: nem.price comes from nem. */
function sourcesOf(files: LoadedFile[]): string[] {
  const datasets = files.flatMap((f) => f.dataset.split(", ")).filter(Boolean);
  return [...new Set(datasets.map((name) => name.split(".")[0] as string))];
}

/** Prices and demand before the hundreds of single units. */
function regionsFirst(series: Declaration[]): Declaration[] {
  const unit = (s: Declaration) => Number(s.series_id.endsWith(".scada_mw"));
  return [...series].sort((a, b) => unit(a) - unit(b));
}

function SeriesOf({ sources, files }: { sources: string[]; files: number }) {
  const [chosen, choose] = useChoice("series");
  const [wanted, setSource] = useState(chosen?.split(".")[0] ?? "");
  const source = sources.includes(wanted) ? wanted : (sources[0] as string);
  const [text, setText] = useState("");
  const sought = useSettled(text.trim(), 250);
  const { data, problem } = useLoad<Page<Declaration>>("/v1/series", {
    version: `${source} ${sought} ${files}`,
    query: () => ({ source, q: sought, limit: MOST }),
  });
  const found = useMemo(() => regionsFirst(data?.items ?? []), [data]);
  const named = useLoad<Declaration>(
    chosen === null || found.some((s) => s.series_id === chosen) ? null : `/v1/series/${encodeURIComponent(chosen)}`,
  );
  const shown = found.find((s) => s.series_id === chosen) ?? named.data ?? found[0];
  return (
    <div className="market">
      <div className="series-list">
        <div className="table-tools">
          {sources.length > 1 && (
            <select aria-label="Source" value={source} onChange={(e) => setSource(e.target.value)}>
              {sources.map((s) => (
                <option key={s}>{s}</option>
              ))}
            </select>
          )}
          <SearchBox label="Search series" value={text} onChange={setText} />
        </div>
        <ProblemNote problem={problem} />
        <ul>
          {found.map((s) => (
            <li key={s.series_id}>
              <button type="button" aria-pressed={s.series_id === shown?.series_id} onClick={() => choose(s.series_id)}>
                <span>{s.series_id}</span>
                <span className="quiet">
                  {s.unit} · {duration(s.step_s)}
                </span>
              </button>
            </li>
          ))}
        </ul>
        {data && found.length === 0 && <p className="quiet pad">No series has this text.</p>}
        {data?.next_cursor && <p className="quiet pad">The first {count(MOST)}; search to find the others.</p>}
      </div>
      {shown && <MarketChart key={shown.series_id} series={shown} />}
    </div>
  );
}
