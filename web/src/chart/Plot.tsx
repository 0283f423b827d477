// One uPlot chart in React: sized to its place, redrawn with the theme, its cursor moved by mouse, touch or arrow keys.
import { useEffect, useLayoutEffect, useRef, type KeyboardEvent } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useShownTheme } from "../theme";

export type Shape = Omit<uPlot.Options, "width" | "height">;

interface Props {
  build: () => Shape; // a new function makes a new chart
  data: uPlot.AlignedData;
  range: readonly [number, number] | null; // of time, in seconds since 1970; null: that of the data
  size: "tall" | "middle" | "low"; // its height, which the stylesheet sets
  label: string;
  onCursor: (index: number | null) => void;
  onZoom?: (start: number, end: number) => void;
}

export function Plot({ build, data, range, size, label, onCursor, onZoom }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const latest = useRef<Latest["current"]>({ data, range, onCursor, onZoom });
  const theme = useShownTheme();

  useLayoutEffect(() => {
    latest.current = { data, range, onCursor, onZoom };
    plot.current?.setData(data); // before there is a plot, it is made with these below
  }, [data, range, onCursor, onZoom]);

  useEffect(() => {
    const place = box.current;
    if (!place) return;
    const u = new uPlot(complete(build(), place, latest), latest.current.data, place);
    plot.current = u;
    const sized = new ResizeObserver(() => u.setSize({ width: place.clientWidth, height: place.clientHeight }));
    sized.observe(place);
    return () => {
      sized.disconnect();
      u.destroy();
      plot.current = null;
    };
  }, [build, theme]);

  const step = (e: KeyboardEvent) => {
    const by = e.key === "ArrowLeft" ? -1 : e.key === "ArrowRight" ? 1 : 0;
    const u = plot.current;
    if (!by || !u || !u.data[0].length) return;
    e.preventDefault();
    const last = u.data[0].length - 1;
    const index = Math.min(last, Math.max(0, (u.cursor.idx ?? last + 1) + by));
    u.setCursor({ left: u.valToPos(u.data[0][index] as number, "x"), top: 1 });
  };

  return <div ref={box} className={`plot ${size}`} role="img" aria-label={label} tabIndex={0} onKeyDown={step} />;
}

type Latest = { current: Pick<Props, "data" | "range" | "onCursor"> & { onZoom: Props["onZoom"] | undefined } };

function complete(shape: Shape, place: HTMLElement, latest: Latest): uPlot.Options {
  return {
    ...shape,
    width: place.clientWidth,
    height: place.clientHeight,
    legend: { show: false },
    padding: [10, 4, 0, 0],
    cursor: {
      y: false,
      points: { size: 7 },
      drag: { x: latest.current.onZoom !== undefined, y: false, setScale: false },
    },
    scales: {
      ...shape.scales,
      x: { time: true, range: (_, min, max) => [...(latest.current.range ?? [min, max])] as [number, number] },
    },
    hooks: {
      ...shape.hooks,
      setCursor: [(u) => latest.current.onCursor(u.cursor.idx ?? null)],
      setSelect: [
        (u) => {
          const { left, width: wide } = u.select;
          if (wide > 6) latest.current.onZoom?.(u.posToVal(left, "x"), u.posToVal(left + wide, "x"));
          if (wide > 0) u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}
