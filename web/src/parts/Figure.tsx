// One figure of a list, with the mark of its line in the chart: name above, value and unit below.
import { hundredths } from "../format";

interface Props {
  name: string;
  mark: string;
  value: number | null | undefined;
  unit: string;
  told?: (value: number | null | undefined) => string;
}

export function Figure({ name, mark, value, unit, told = hundredths }: Props) {
  return (
    <div>
      <dt>
        <i className={`line ${mark}`} aria-hidden="true" />
        {name}
      </dt>
      <dd>
        {told(value)} {value != null && <span className="unit">{unit}</span>}
      </dd>
    </div>
  );
}
