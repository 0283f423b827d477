// The events, newest start first, and the way to call one.
import { useState } from "react";
import type { GridEvent } from "../api";
import { Problem } from "../client";
import { Icon } from "../parts/Icon";
import { Empty, ProblemNote } from "../parts/Notes";
import { loadOlderEvents, usePlatform } from "../platform";
import { useTick } from "../tick";
import { setChoice } from "../url";
import { CallEvent } from "./CallEvent";
import { EventCard } from "./EventCard";
import { useEvents } from "./focus";
import { useProgramNames } from "./programs";

export function Events({ focus }: { focus: GridEvent | null }) {
  useTick();
  const events = useEvents();
  const loaded = usePlatform((p) => p.eventsLoaded);
  const older = usePlatform((p) => p.olderEvents);
  const programs = useProgramNames();
  const [calling, setCalling] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);

  const more = () =>
    loadOlderEvents().then(
      () => setProblem(null),
      (error: unknown) => setProblem(error instanceof Problem ? error : null),
    );

  return (
    <section className="panel events" aria-labelledby="events-title">
      <div className="panel-head">
        <h2 id="events-title">Events</h2>
        <button type="button" className="button primary" onClick={() => setCalling(true)}>
          <Icon name="plus" />
          Call an event
        </button>
      </div>
      <ProblemNote problem={problem} />
      {loaded && events.length === 0 && (
        <Empty title="No event yet">
          An event asks the fleet to use less for a while. Call one: it is planned home by home, and each answer, the
          load and the statement appear here. Events that OpenADR clients publish appear here too.
        </Empty>
      )}
      <ol className="event-list">
        {events.map((event) => (
          <EventCard
            key={event.event_id}
            event={event}
            program={programs.get(event.program_id) ?? event.program_id}
            chosen={event.event_id === focus?.event_id}
            onChoose={() => setChoice("event", event.event_id)}
          />
        ))}
      </ol>
      {older !== null && (
        <button type="button" className="button small" onClick={() => void more()}>
          Older events
        </button>
      )}
      {calling && <CallEvent onClose={() => setCalling(false)} />}
    </section>
  );
}
