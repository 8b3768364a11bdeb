// Pictures of numbers over time and over frequency.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { num, utc } from "./format.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const axis = (unit, size) => ({
  stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 },
  font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", size, label: unit || undefined, labelSize: unit ? 16 : 0,
});

/** Draws horizontal `levels` ({value, name, tone}) and vertical `marks` ({at, name}) over a plot. */
const overlay = (extras) => ({
  hooks: {
    draw: [(plot) => {
      const { ctx, bbox } = plot;
      const { levels = [], marks = [] } = extras.current;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      const scale = devicePixelRatio;
      ctx.font = `${11 * scale}px system-ui, sans-serif`;
      ctx.lineWidth = scale;
      for (const { value, name, tone } of levels) {
        const y = plot.valToPos(value, "y", true);
        if (!Number.isFinite(y)) continue;
        ctx.strokeStyle = ctx.fillStyle = colour(tone ?? "--soft");
        ctx.setLineDash([6 * scale, 4 * scale]);
        line(ctx, bbox.left, y, bbox.left + bbox.width, y);
        ctx.fillText(name, bbox.left + 4 * scale, y - 3 * scale);
      }
      ctx.setLineDash([2 * scale, 3 * scale]);
      ctx.strokeStyle = ctx.fillStyle = colour("--accent2");
      marks.forEach(({ at, name }, index) => {
        const x = plot.valToPos(at, "x", true);
        line(ctx, x, bbox.top, x, bbox.top + bbox.height);
        if (name) ctx.fillText(name, x + 3 * scale, bbox.top + (12 + 12 * (index % 4)) * scale);
      });
      ctx.restore();
    }],
  },
});

const line = (ctx, x0, y0, x1, y1) => { ctx.beginPath(); ctx.moveTo(x0, y0); ctx.lineTo(x1, y1); ctx.stroke(); };

/**
 * data: [x, ...series]; names: one a series; unit: of y. x is milliseconds (`time`), or a frequency (`log`), or seconds.
 */
export const Plot = ({ data, names, unit = "", x = "time", levels, marks, height = 200, label, bars = false, gaps = false }) => {
  const place = useRef(null);
  const plot = useRef(null);
  const extras = useRef({});
  const latest = useRef(data);
  extras.current = { levels, marks };
  latest.current = data;
  useEffect(() => {
    const tones = ["--accent", "--accent2", "--accent3"];
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot({
        width: place.current.clientWidth || 300, height, ms: 1, legend: { live: true, show: true },
        cursor: { y: false },
        scales: {
          x: x === "log" ? { time: false, distr: 3 } : { time: x === "time" },
          y: { range: (_, low, high) => {
            const most = Math.max(high ?? 0, ...(extras.current.levels ?? []).filter((each) => each.keep).map((each) => each.value * 1.05));
            return [Math.min(0, low ?? 0), most > 0 ? most * 1.08 : 1];
          } },
        },
        axes: [axis(x === "log" ? "Hz" : x === "time" ? "" : "s", x === "time" ? 48 : 44), axis(unit, 52)],
        series: [
          { label: x === "log" ? "Hz" : x === "time" ? "" : "s", value: (_, v) => (v === null || v === undefined ? "–" : x === "time" ? `${new Date(v).toLocaleString()} (${utc(v).slice(11)})` : num(v, "", 4)) },
          ...names.map((name, index) => ({
            label: name, stroke: colour(tones[index % 3]), width: 1.5, points: { show: (plot) => plot.data[0].length < 40, size: 5 }, spanGaps: !gaps,
            fill: bars ? `color-mix(in srgb, ${colour(tones[index % 3])} 15%, transparent)` : undefined,
            value: (_, v) => num(v, unit),
          })),
        ],
        plugins: [overlay(extras)],
      }, latest.current, place.current);
    };
    draw();
    const sized = new ResizeObserver(() => plot.current?.setSize({ width: place.current.clientWidth, height }));
    sized.observe(place.current);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => { sized.disconnect(); scheme.removeEventListener("change", draw); plot.current.destroy(); plot.current = null; };
  }, [names.join(), unit, x, height]);
  const stamp = `${data[0].length} ${data[0][0]} ${data[0].at(-1)} ${data[1]?.at(-1)} ${JSON.stringify(levels ?? 0)}${JSON.stringify(marks ?? 0)}`;
  useEffect(() => plot.current?.setData(data), [stamp]);
  return <div class="plot" role="img" aria-label={label} ref={place} />;
};

/** A short line of the last minutes, without axes, broken where nothing was heard. */
export const Spark = ({ points, label }) => {
  const from = points[0]?.[0];
  const wide = points.at(-1)?.[0] - from || 1;
  const high = Math.max(...points.map((each) => each[1])) || 1;
  const pieces = [[]];
  for (const [at, value] of points)
    if (value === null) pieces.push([]);
    else pieces.at(-1).push(`${((100 * (at - from)) / wide).toFixed(1)},${(23 - (22 * value) / high).toFixed(1)}`);
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label={label}>
      {pieces.filter((each) => each.length > 1).map((each, index) => (
        <polyline key={index} points={each.join(" ")} vector-effect="non-scaling-stroke" />
      ))}
    </svg>
  );
};
