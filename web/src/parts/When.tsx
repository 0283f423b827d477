// An instant in the site's zone, with its day when that is not today's, nor that of `on`; in UTC on hover.
import { fullDay, iso, NOTHING, seconds, zoneName } from "../format";
import { platformNow } from "../clock";
import { usePlatform } from "../platform";

export const useZone = (): string => usePlatform((p) => p.info?.site_zone ?? "UTC");

interface Props {
  at: string | null;
  on?: string; // an instant said beside it, whose day goes without saying
  zone?: string;
  withZone?: boolean;
}

export function When({ at, on, zone, withZone = false }: Props) {
  const site = useZone();
  if (at === null) return <>{NOTHING}</>;
  const ms = Date.parse(at);
  const here = zone ?? site;
  const date = fullDay(ms, here);
  return (
    <time dateTime={at} title={iso(ms).replace("T", " ").replace("Z", " UTC")}>
      {date !== fullDay(on ? Date.parse(on) : platformNow(), here) && `${date} `}
      {seconds(ms, here)}
      {withZone && ` ${zoneName(ms, here)}`}
    </time>
  );
}
