// An instant in the site's zone, in UTC on hover.
import { fullDay, iso, NOTHING, seconds, zoneName } from "../format";
import { platformNow } from "../clock";
import { usePlatform } from "../platform";

export const useZone = (): string => usePlatform((p) => p.info?.site_zone ?? "UTC");

export function When({ at, zone, withZone = false }: { at: string | null; zone?: string; withZone?: boolean }) {
  const site = useZone();
  if (at === null) return <>{NOTHING}</>;
  const ms = Date.parse(at);
  const here = zone ?? site;
  const date = fullDay(ms, here);
  return (
    <time dateTime={at} title={iso(ms).replace("T", " ").replace("Z", " UTC")}>
      {date !== fullDay(platformNow(), here) && `${date} `}
      {seconds(ms, here)}
      {withZone && ` ${zoneName(ms, here)}`}
    </time>
  );
}
