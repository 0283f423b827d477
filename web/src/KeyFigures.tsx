// The key figures; each says how old it is.
import { useState, type ReactNode } from "react";
import { DeadLetters } from "./DeadLetters";
import { count, duration, power as inUnit } from "./format";
import { usePlatform } from "./platform";
import { useTick } from "./tick";

const OLD_AFTER_S = 15;

export function KeyFigures() {
  const wall = useTick();
  const power = usePlatform((p) => p.power);
  const heardAt = usePlatform((p) => p.heardAt);
  const [open, setOpen] = useState(false);

  const age = power ? Math.max(0, (wall - heardAt) / 1000) : null;
  const [used, usedUnit] = inUnit(power?.used_kw);
  const [free, freeUnit] = inUnit(power?.controllable_kw);
  const stale = power?.stale ?? 0;
  return (
    <section className="figures" aria-label="Key figures">
      <Figure name="Fleet power" value={used} unit={power ? usedUnit : ""} age={age} mark="used" />
      <Figure name="Controllable now" value={free} unit={power ? freeUnit : ""} age={age} />
      <Figure name="Homes online" value={count(power?.online)} unit={power ? `of ${count(power.vens)}` : ""} age={age}>
        {stale > 0 && <span className="tag stale">{count(stale)} stale</span>}
      </Figure>
      <Figure
        name="Shedding now"
        value={count(power?.shedding)}
        unit={power ? "homes" : ""}
        age={age}
        mark={power?.shedding ? "shed" : ""}
      />
      <Figure
        name="Dead letters"
        value={count(power?.dead_letters)}
        unit=""
        age={age}
        mark={power?.dead_letters ? "danger" : ""}
      >
        {power !== null && power.dead_letters > 0 && (
          <button type="button" className="link" onClick={() => setOpen(true)}>
            Show
          </button>
        )}
      </Figure>
      {open && <DeadLetters onClose={() => setOpen(false)} />}
    </section>
  );
}

interface FigureProps {
  name: string;
  value: string;
  unit: string;
  age: number | null;
  mark?: string;
  children?: ReactNode;
}

function Figure({ name, value, unit, age, mark = "", children }: FigureProps) {
  const old = age !== null && age > OLD_AFTER_S;
  return (
    <div className={`figure${old ? " old" : ""}`}>
      <h2>{name}</h2>
      <p className={`value ${mark}`}>
        {value}
        <span className="unit"> {unit}</span>
      </p>
      <p className="age">
        {age === null
          ? "waiting for data"
          : old
            ? `stale: ${duration(age)} old`
            : age < 2
              ? "now"
              : `${duration(age)} ago`}
        {children}
      </p>
    </div>
  );
}
