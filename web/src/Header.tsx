// The header: what this is, whether it is live, what time the platform has, which theme.
import { clockSpeed, platformNow } from "./clock";
import { fullDay, iso, seconds, time, zoneName } from "./format";
import { Icon } from "./parts/Icon";
import { useZone } from "./parts/When";
import { usePlatform, type Link } from "./platform";
import { setTheme, useTheme, type Theme } from "./theme";
import { useTick } from "./tick";

const LINKS: Record<Link, [tone: string, text: string, hint: string]> = {
  connecting: ["stale", "Connecting", "Opening the live stream"],
  live: ["shed", "Live", "Figures arrive as they are measured"],
  reconnecting: ["stale", "Reconnecting", "The live stream broke; it is being opened again and will be caught up"],
  lost: ["danger", "Connection lost", "The platform does not answer; this page keeps trying"],
};
const THEMES: Theme[] = ["light", "dark", "system"];

export function Header() {
  return (
    <header className="top">
      <a className="brand" href="/" aria-label="Tieline, start">
        <img src="/icon.svg" alt="" width="26" height="26" />
        <span>Tieline</span>
      </a>
      <LinkState />
      <Clock />
      <ThemeChoice />
    </header>
  );
}

function LinkState() {
  const [tone, text, hint] = LINKS[usePlatform((p) => p.link)];
  return (
    <span className={`link-state ${tone}`} role="status" title={hint}>
      <i aria-hidden="true" />
      {text}
    </span>
  );
}

function Clock() {
  useTick();
  const zone = useZone();
  const known = usePlatform((p) => p.info !== null);
  if (!known) return <span className="clock" />;
  const [now, speed] = [platformNow(), clockSpeed()];
  return (
    <span className="clock">
      {speed !== 1 && (
        <span className="simulated" title={`The platform's clock runs ${speed} seconds per second`}>
          Simulated ×{speed}
        </span>
      )}
      <time dateTime={iso(now)} title={`${iso(now).slice(0, 19).replace("T", " ")} UTC`}>
        <span className="date">{fullDay(now, zone)}</span> <b>{speed > 10 ? time(now, zone) : seconds(now, zone)}</b>{" "}
        <span className="zone" title={zone}>
          {zoneName(now, zone)}
        </span>
      </time>
    </span>
  );
}

function ThemeChoice() {
  const theme = useTheme();
  return (
    <div className="segments" role="group" aria-label="Theme">
      {THEMES.map((t) => (
        <button
          key={t}
          type="button"
          aria-pressed={theme === t}
          aria-label={`${t} theme`}
          title={`${t} theme`}
          onClick={() => setTheme(t)}
        >
          <Icon name={t as "light" | "dark" | "system"} />
        </button>
      ))}
    </div>
  );
}
