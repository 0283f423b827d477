// Under the chart, in words: by what the load is forecast, and how good that was.
import type { Listed } from "../api";
import { count, ratio } from "../format";
import { When } from "../parts/When";
import { useForecaster } from "./forecast";

const METHODS = {
  "gradient-boosting": "a model that learnt from readings",
  "seasonal-naive": "the day or the week before",
};

export function ForecastNote() {
  const told = useForecaster();
  if (!told) return null;
  const { state, method, reason, made_at } = told.newest;
  if (state === "failed") return <p className="quiet">The newest forecast failed: {reason}.</p>;
  if (method === null) return <p className="quiet">No forecast yet: {reason}.</p>;
  return (
    <p className="quiet">
      Forecast without events by {METHODS[method]}, made <When at={made_at} />. {accuracy(told)}
    </p>
  );
}

function accuracy({ accuracy: good }: Listed): string {
  if (!good) return "How good it is will be told once a forecast's hours are over.";
  const share = `${ratio(good.coverage, 1)} of ${count(good.n)} forecast quarter hours`;
  const within = `In the last 28 days ${share} came within the band (${ratio(0.9, 1)} should)`;
  if (good.rrmse === null) return `${within}.`;
  const naive = good.naive_rrmse === null ? "" : `; guessing an earlier day’s errs by ${ratio(good.naive_rrmse, 1)}`;
  return `${within}; it erred by ${ratio(good.rrmse, 1)} of the mean load${naive}.`;
}
