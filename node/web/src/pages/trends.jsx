import { useEffect, useState } from "preact/hooks";
import { T } from "../texts.js";
import { Card } from "../parts.jsx";
import { Plot } from "../charts.jsx";
import { connected, isSign, now, post } from "../store.js";

const HOUR = 3_600_000;
const RANGES = { hour: [HOUR, "minute"], day: [24 * HOUR, "minute"], week: [168 * HOUR, "hour"], month: [744 * HOUR, "hour"], year: [8784 * HOUR, "day"] };
const FIGURES = ["rms", "velocity_rms_mm_s", "distance", "kurtosis", "crest_factor", "peak"];
const ZONES = { "1rigid": [2.3, 4.5, 7.1], "1flexible": [3.5, 7.1, 11], "2rigid": [1.4, 2.8, 4.5], "2flexible": [2.3, 4.5, 7.1] };

export const Trends = ({ own }) => {
  const sign = isSign(own);
  const [range, setRange] = useState("hour");
  const [figure, setFigure] = useState("rms");
  const [answer, setAnswer] = useState(null);
  const there = connected();
  const load = async () => {
    const [long, step] = RANGES[range];
    const fields = { from: new Date(now() - long).toISOString(), step, figures: [figure] };
    const found = await post("ask", { node: own.node.id, asset: own.id, name: "history", fields });
    setAnswer({ ...found, figure });
  };
  useEffect(() => {
    if (sign || !there) return undefined;
    setAnswer(null);
    load();
    const again = setInterval(load, 60_000);
    return () => clearInterval(again);
  }, [range, figure, sign, there]);
  if (sign) return null;
  const rows = answer?.figure === figure ? answer.rows : null;
  const unit = figure === "velocity_rms_mm_s" ? "mm/s" : ["rms", "peak"].includes(figure) ? own.info?.unit ?? "" : "";
  return (
    <Card title={T.asset.trends} id="trends" extra={<button type="button" disabled={!there} onClick={load}>{T.asset.refresh}</button>}>
      <div class="row">
        <label class="inline">{T.asset.range}
          <select value={range} onChange={(event) => setRange(event.currentTarget.value)}>
            {Object.entries(T.asset.ranges).map(([key, text]) => <option key={key} value={key}>{text}</option>)}
          </select>
        </label>
        <label class="inline">{T.asset.figure}
          <select value={figure} onChange={(event) => setFigure(event.currentTarget.value)}>
            {FIGURES.map((key) => <option key={key} value={key}>{names[key]}</option>)}
          </select>
        </label>
      </div>
      {!answer && <p class="soft">{there ? T.loading : T.asset.trendOff}</p>}
      {answer && !answer.rows && <p class="soft">{T.asset.trendOff} {answer.error}</p>}
      {rows?.length === 0 && <p class="soft">{T.asset.noTrend}</p>}
      {rows?.length > 0 && (
        <Plot data={[rows.map((each) => Date.parse(each[0])), rows.map((each) => each[1])]} names={[names[figure]]} unit={unit} levels={levels(own, figure)}
          label={`${T.asset.trends}: ${names[figure]}, ${T.asset.ranges[range]}`} gaps />
      )}
    </Card>
  );
};

const names = {
  rms: T.asset.rms, velocity_rms_mm_s: T.asset.velocity, distance: T.asset.distance, kurtosis: T.asset.kurtosis, crest_factor: T.asset.crest, peak: T.asset.peak,
};

const levels = (own, figure) => {
  if (figure === "distance") return [{ value: 1, name: T.asset.distanceWhy, tone: "--alarm", keep: true }];
  if (figure !== "velocity_rms_mm_s") return [];
  const machine = own.node.said.info?.payload.config?.asset?.find((each) => each.id === own.id)?.machine ?? {};
  const limits = machine.zone_limits_mm_s ?? ZONES[`${machine.group}${machine.support ?? "rigid"}`] ?? [];
  return limits.map((value, index) => ({ value, name: ["A | B", "B | C", "C | D"][index], tone: ["--watch", "--warning", "--alarm"][index], keep: index === 0 }));
};
