import { T } from "../texts.js";
import { Ask, Card, Facts, Time, Told, useCommand } from "../parts.jsx";
import { bytes, ms, num, percent, whole } from "../format.js";
import { className } from "../judge.js";
import { assets } from "../store.js";

export const Models = () => (
  <>
    <div class="title"><h1>{T.models.title}</h1></div>
    <div class="cards">
      {assets().map((own) => <ModelCard key={`${own.node.id}/${own.id}`} own={own} titled />)}
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
      {model.previous && (
        <div class="row">
          <Ask title={T.models.rollback} go={T.models.yes} submit={() => send("rollback")}><p>{T.models.sure} <code>{model.previous}</code></p></Ask>
        </div>
      )}
      <Told state={told} />
    </Card>
  );
};

export const headline = (model) => {
  if (model.kind === "health") return T.models.falseAlarms(percent(model.false_alarms));
  if (model.accuracy === null || model.accuracy === undefined) return T.none;
  if (model.accuracy_low === null || model.accuracy_low === undefined) return T.models.accuracyOnly(percent(model.accuracy));
  return T.models.accuracy(percent(model.accuracy), percent(model.accuracy_low), percent(model.accuracy_high));
};
