import { T } from "../texts.js";
import { Ask, Card, Facts, Safe, Scroll, Time, Told, useCommand } from "../parts.jsx";
import { bytes, ms, num, percent, whole } from "../format.js";
import { className } from "../judge.js";
import { assets } from "../store.js";

export const Models = () => (
  <>
    <div class="title"><h1>{T.models.title}</h1></div>
    <div class="cards">
      {assets().map((own) => <Safe key={`${own.node.id}/${own.id}`}><ModelCard own={own} titled /></Safe>)}
    </div>
  </>
);

export const ModelCard = ({ own, titled }) => {
  const [send, told] = useCommand(own);
  const model = own.said.model?.payload;
  const title = titled ? `${own.node.id} / ${own.id}` : T.models.title;
  if (!model?.id) return <Card title={title}><p>{T.models.none}</p></Card>;
  const rows = T.models.rows;
  return (
    <Card title={title} cls="model">
      <p>{T.models.kind[model.kind] ?? ""} {T.models.knows} {model.classes.map(className).join(", ")}.</p>
      <p><strong>{headline(model)}</strong>{model.tested_on && `, ${T.models.tested[model.tested_on]}`}.</p>
      {model.supported_per_month !== null && model.supported_per_month !== undefined && <p>{T.models.supported(whole(model.supported_per_month))}.</p>}
      {model.measured_before_refit && <p class="soft">{T.models.refit}</p>}
      <Facts rows={[
        [rows.arena, bytes(model.arena_bytes)], [rows.deployed, `${bytes(model.arena_bytes_deployed)} (${model.precision})`],
        [rows.streamed, bytes(model.streamed_bytes)], [rows.flash, bytes(model.flash_bytes)], [rows.macs, whole(model.macs)],
        [rows.parameters, whole(model.parameters)], [rows.latency, `${num(model.latency_p50_us, "µs")} / ${num(model.latency_p99_us, "µs")}`],
        [T.models.made, <Time at={ms(model.created)} />], [rows.id, <code>{model.id}</code>],
        model.previous && [rows.previous, <code>{model.previous}</code>],
      ]} />
      <Front front={model.front} current={model.front_point} send={(point) => send("deploy", { model: model.id, point })} word={T.models.inUse} />
      {model.previous && (
        <div class="row">
          <Ask title={T.models.rollback} go={T.models.yes} submit={() => send("rollback")}><p>{T.models.sure} <code>{model.previous}</code></p></Ask>
        </div>
      )}
      <Told state={told} />
    </Card>
  );
};

/** The networks of the search that no other beats in both accuracy and memory; one of them can be chosen. */
export const Front = ({ front, current, send, word }) => {
  if (!Array.isArray(front) || front.length < 2) return null;
  const sorted = [...front].sort((a, b) => a.arena_bytes - b.arena_bytes);
  const M = T.models;
  return (
    <details class="front">
      <summary>{M.front} ({front.length - (current === null || current === undefined ? 0 : 1)})</summary>
      <p>{M.frontWhy}</p>
      <Scatter points={sorted} current={current} />
      <Scroll label={M.front}>
        <table>
          <caption>{M.frontCaption}</caption>
          <thead><tr>{M.frontHead.map((name) => <th scope="col" key={name}>{name}</th>)}</tr></thead>
          <tbody>
            {sorted.map((each) => (
              <tr key={each.point} class={each.point === current ? "chosen" : ""}>
                <th scope="row">{percent(each.validation_accuracy)}</th><td>{bytes(each.arena_bytes)}</td><td>{bytes(each.flash_bytes)}</td>
                <td>{whole(each.macs)}</td><td>{M.frontKind[each.trained]}</td>
                <td>
                  {each.point === current ? word : (
                    <Ask title={M.take} submit={() => send(each.point)}>
                      <p>{M.takeSure(bytes(each.arena_bytes), percent(each.validation_accuracy))}</p>
                    </Ask>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </details>
  );
};

const Scatter = ({ points, current }) => {
  const [xs, ys] = [points.map((each) => Math.log(each.arena_bytes)), points.map((each) => each.validation_accuracy)];
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const x = (value) => 5 + (90 * (value - left)) / (right - left || 1);
  const y = (value) => 35 - (30 * (value - low)) / (high - low || 1);
  const label = T.models.frontPicture(percent(low), percent(high), bytes(points[0].arena_bytes), bytes(points.at(-1).arena_bytes));
  return (
    <svg class="scatter" viewBox="0 0 100 40" role="img" aria-label={label}>
      <polyline points={xs.map((value, index) => `${x(value)},${y(ys[index])}`).join(" ")} />
      {points.map((each, index) => <circle key={each.point} class={each.point === current ? "chosen" : ""} cx={x(xs[index])} cy={y(ys[index])} r={each.point === current ? 2 : 1.3} />)}
    </svg>
  );
};

export const headline = (model) => {
  if (model.kind === "health") return T.models.falseAlarms(percent(model.false_alarms));
  if (model.accuracy === null || model.accuracy === undefined) return T.none;
  if (model.accuracy_low === null || model.accuracy_low === undefined) return T.models.accuracyOnly(percent(model.accuracy));
  return T.models.accuracy(percent(model.accuracy), percent(model.accuracy_low), percent(model.accuracy_high));
};
