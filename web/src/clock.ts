// The platform's clock as this page reads it: an anchor and a speed, corrected by every instant the platform says.

let anchor = { at: Date.now(), wall: performance.now(), speed: 1 };

/** Platform time now, in milliseconds since 1970 UTC. */
export function platformNow(): number {
  return anchor.at + (performance.now() - anchor.wall) * anchor.speed;
}

export function clockSpeed(): number {
  return anchor.speed;
}

/** Sets the clock; tells by how many wall seconds it was off. */
export function setClock(at: string, speed: number = anchor.speed): number {
  const said = Date.parse(at);
  const off = Math.abs(said - platformNow()) / 1000 / Math.max(anchor.speed, 1e-6);
  anchor = { at: said, wall: performance.now(), speed };
  return off;
}
