// The one page: a calm control room.
import { useEffect } from "react";
import { EventDetail } from "./events/EventDetail";
import { Events } from "./events/Events";
import { useFocus } from "./events/focus";
import { PowerChart } from "./chart/PowerChart";
import { Fleet } from "./fleet/Fleet";
import { Gateway } from "./gateway/Gateway";
import { Header } from "./Header";
import { KeyFigures } from "./KeyFigures";
import { Market } from "./market/Market";
import { Empty } from "./parts/Notes";
import { connect, usePlatform } from "./platform";
import { Settlement } from "./settlement/Settlement";
import { TokenDialog } from "./TokenDialog";

export function App() {
  useEffect(connect, []);
  const focus = useFocus();
  const reached = usePlatform((p) => p.info !== null);
  const link = usePlatform((p) => p.link);

  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <Header />
      <main id="main">
        {!reached && link === "lost" && (
          <section className="panel">
            <Empty title="The platform does not answer" command="tieline up">
              This page keeps trying. If it is not running, start it:
            </Empty>
          </section>
        )}
        {reached && ( // what time the platform has is known: all below asks by it
          <>
            <KeyFigures />
            <div className="control">
              <PowerChart event={focus} />
              <Events focus={focus} />
            </div>
            {focus && <EventDetail key={focus.event_id} event={focus} />}
            <Settlement />
            <Fleet />
            <Gateway />
            <Market />
          </>
        )}
      </main>
      <TokenDialog />
    </>
  );
}
