import { useState } from "preact/hooks";
import { T } from "../texts.js";
import { Act, Bar, Card, Facts, Scroll, Told, useCommand } from "../parts.jsx";
import { Spark } from "../charts.jsx";
import { address, bytes, num, percent, span, whole } from "../format.js";
import { className } from "../judge.js";
import { answerTo, find, isFresh, isSign, store } from "../store.js";
import { Conditions } from "./asset.jsx";
import { Front, headline } from "./models.jsx";

const W = T.wizard;
const COLLECTING = ["waiting", "countdown", "recording", "saving"];
const SEARCHING = ["queued", "searching", "deploying"];

// What this page began, by asset: it survives a change of page, and a load of the page falls back on what the node says.
const begun = new Map();

export const Wizard = ({ node, asset }) => {
  const own = find(node, asset);
  const [send, told] = useCommand(own ?? { node: { id: node }, id: asset });
  const [, again] = useState(0);
  if (!own) return <p>{store.link === "live" ? T.unknownPage : T.loading}</p>;
  const place = `${node}/${asset}`;
  const calibration = own.said.calibration?.payload;
  const phase = calibration?.phase ?? "idle";
  const running = COLLECTING.includes(phase) || SEARCHING.includes(phase);
  const job = begun.get(place)?.id ?? (running ? calibration.job : null);
  const result = job && answerTo(own, job);
  const ended = result && ["done", "failed", "rejected"].includes(result.status);
  const restart = () => { begun.delete(place); again((count) => count + 1); };
  const start = async (fields) => {
    const before = own.said.model?.payload;
    const id = await send("recalibrate", fields);
    if (id) begun.set(place, { id, before });
  };
  const step = ended ? 3 : running ? (COLLECTING.includes(phase) ? 1 : 2) : job ? 1 : 0;
  if (running && !begun.has(place)) begun.set(place, { id: calibration.job, before: own.said.model?.payload, other: true });
  return (
    <>
      <div class="title"><h1>{W.title(asset)} <span class="soft">{node}</span></h1><a class="button" href={address("asset", node, asset)}>{W.toAsset}</a></div>
      <ol class="steps">
        {W.steps.map((name, index) => (
          <li key={name} class={index < step ? "past" : index === step ? "now" : ""} aria-current={index === step ? "step" : undefined}>{name}</li>
        ))}
      </ol>
      {step === 0 && <Prepare own={own} start={start} />}
      {step === 1 && <Collect own={own} send={send} phase={phase} calibration={running ? calibration : null} />}
      {step === 2 && <Search calibration={calibration} phase={phase} own={own} />}
      {step === 3 && <Decide own={own} result={result} begun={begun.get(place)} send={send} told={told} restart={restart} />}
      {step < 3 && begun.get(place)?.other && <p class="soft">{W.other}</p>}
      {step !== 3 && <Told state={told?.bad || told?.waits ? told : null} />}
      {running && !ended && <div class="row"><Act id="stop" onClick={() => send("cancel")}>{W.stop}</Act></div>}
    </>
  );
};

const Prepare = ({ own, start }) => {
  const sign = isSign(own);
  const known = own.said.model?.payload?.classes ?? [];
  const played = simulator(own);
  const simulated = [...new Set((played?.conditions ?? []).map((each) => (sign ? each : each.split("_")[0])))];
  const [classes, setClasses] = useState(() => [known, simulated, sign ? ["rest", "fist"] : ["normal"]].find((each) => each.length).join(", "));
  const [seconds, setSeconds] = useState(5);
  const [takes, setTakes] = useState(1);
  const config = own.node.said.info?.payload.config?.asset?.find((each) => each.id === own.id);
  const list = [...new Set(classes.split(/[\s,;]+/).filter(Boolean))];
  const time = config?.budget?.search_seconds ?? 60;
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const given = Object.fromEntries(["ram_bytes", "search_seconds", "macs"].filter((key) => form.get(key)).map((key) => [key, Number(form.get(key))]));
    start({
      source: "live", classes: list, seconds_per_take: Number(seconds), takes: Number(takes), deploy: "never",
      ...(Object.keys(given).length ? { budget: given } : {}),
    });
  };
  return (
    <Card title={W.prepare}>
      <form id="prepare" onSubmit={submit}>
        <p>{sign ? W.needSign : W.need} {own.said.model?.payload?.id && W.keepModel}</p>
        <label>{W.states}<input name="classes" value={classes} required onInput={(event) => setClasses(event.currentTarget.value)} /><span class="soft small">{W.stateHint} {played && W.simulatedKnows(simulated.join(", "))}</span></label>
        <div class="row">
          <label>{W.seconds}<input name="seconds" type="number" min="1" max="3600" value={seconds} onInput={(event) => setSeconds(event.currentTarget.value)} /><span class="soft small">{W.secondsHint}</span></label>
          <label>{W.takes}<input name="takes" type="number" min="1" max="50" value={takes} onInput={(event) => setTakes(event.currentTarget.value)} /></label>
        </div>
        <details>
          <summary>{W.limits}</summary>
          <div class="row">
            <label>{W.ram}<input name="ram_bytes" type="number" min="64" placeholder={config?.budget?.ram_bytes} /></label>
            <label>{W.time}<input name="search_seconds" type="number" min="1" placeholder={time} /></label>
            <label>{W.macs}<input name="macs" type="number" min="1" placeholder={config?.budget?.macs} /></label>
          </div>
        </details>
        <p class="soft">{W.total(span(list.length * takes * (Number(seconds) + 5) + (sign && list.includes("rest") ? 35 : 0) + time))}</p>
        <Begin disabled={list.length === 0} />
      </form>
    </Card>
  );
};

const Begin = ({ disabled }) => (
  <Act id="start" cls="main huge" disabled={disabled} onClick={() => document.getElementById("prepare").requestSubmit()}>{W.start}</Act>
);

const Live = ({ own }) => {
  const sign = isSign(own);
  const entry = own.said[sign ? "emg" : "vibration"];
  const said = entry?.payload;
  const fresh = isFresh(own, entry);
  return (
    <div class={fresh ? "livebox" : "livebox stale"}>
      <Spark points={own.series.level} label={T.asset.level} />
      <p>{T.asset.level}: <strong>{fresh ? num(own.series.level.at(-1)?.[1], said.unit) : T.asset.oldLevel}</strong></p>
      {fresh && <p>{T.asset.quality}: <strong>{said.quality.length ? said.quality.map(className).join(", ") : T.asset.good}</strong></p>}
    </div>
  );
};

const Collect = ({ own, send, phase, calibration }) => {
  if (!calibration) return <Card title={W.steps[1]}><p role="status">{T.command.accepted}</p></Card>;
  const name = calibration.class;
  const sign = isSign(own);
  const played = simulator(own);
  const follows = played?.asked === name && !played.error;
  const asked = calibration.moving ? W.rest : sign ? W.make(name) : W.put(name);
  const request = follows ? W.isThere(name) : `${asked} ${W.then}`;
  return (
    <Card title={`${W.steps[1]}: ${name ?? ""}`} cls="wizard" id="collect">
      <p class="soft">{calibration.take && calibration.takes ? W.take(calibration.take, calibration.takes) : ""}</p>
      <div role="status" aria-live="polite">
        {phase === "waiting" && <p class="lead">{request}</p>}
        {phase === "countdown" && <p class="lead">{W.countdown} {span(calibration.remaining_s)}</p>}
        {phase === "recording" && <p class="lead">{W.recording} “{name}”: {span(calibration.remaining_s)} {W.left}</p>}
        {phase === "saving" && <p class="lead">{W.saving}</p>}
        {phase === "waiting" && calibration.refusal && <p class="told bad">{W.refused(calibration.refusal)}</p>}
        {phase === "waiting" && played?.error && <p class="told bad">{played.error}</p>}
      </div>
      {phase === "waiting" && played && !follows && <><p>{W.notThere}</p><Conditions said={played} send={send} /></>}
      {phase === "waiting" && <Act id="continue" cls="main huge" onClick={() => send("continue")}>{W.record}</Act>}
      <Bar share={calibration.percent / 100} label={W.steps[1]} />
      <Live own={own} />
    </Card>
  );
};

/** What a program says that stands in for the machine or the person; null without one. */
const simulator = (own) => {
  const said = own.said["simulator/state"]?.payload;
  return said?.sending ? said : null;
};

const Search = ({ calibration, phase, own }) => (
  <Card title={W.steps[2]} cls="wizard" id="search">
    <p class="lead" role="status" aria-live="polite">{phase === "queued" ? W.queued : phase === "deploying" ? W.deploying : W.searching}</p>
    <p>{W.nothing} {own.said.model?.payload?.id && W.keepModel}</p>
    <Bar share={calibration.percent / 100} label={W.steps[2]} />
    <p class="soft">{calibration.eta_s !== null && `${span(calibration.eta_s)} ${W.left}`}</p>
    <Facts rows={[
      [W.best, percent(calibration.best_accuracy)], [W.arena, bytes(calibration.best_arena_bytes)],
      [W.tried, whole(calibration.candidates)], [W.over, whole(calibration.rejected)], [W.trained, whole(calibration.trained)],
    ]} />
  </Card>
);

const Decide = ({ own, result, begun, send, told, restart }) => {
  const [choice, setChoice] = useState(null);
  const detail = result.detail ?? {};
  const old = begun?.before?.id ? begun.before : null;
  const model = own.said.model?.payload;
  if (result.status !== "done") {
    const stopped = (result.reason ?? "").startsWith("what was recorded stays");
    return (
      <Card title={stopped ? W.cancelled : W.failed} id="decide">
        <p role="alert">{result.reason || (result.errors ?? []).join("; ")}</p>
        <div class="row"><button type="button" class="main" id="again" onClick={restart}>{W.again}</button></div>
      </Card>
    );
  }
  const used = choice === "use" ? told?.done && model?.id === told.payload.detail?.model : model?.id === detail.model;
  const use = (point) => { setChoice("use"); send("deploy", point === undefined ? { model: detail.model } : { model: detail.model, point }); };
  return (
    <Card title={W.result} cls="wizard" id="decide">
      <Scroll label={W.oldNew}>
        <table>
          <caption>{W.oldNew}</caption>
          <thead><tr>{W.head.map((name, index) => <th scope="col" key={index}>{name}</th>)}</tr></thead>
          <tbody>
            {rowsOf(old, detail).map(([name, before, after]) => <tr key={name}><th scope="row">{name}</th><td>{before}</td><td><strong>{after}</strong></td></tr>)}
          </tbody>
        </table>
      </Scroll>
      {detail.tested_on && <p>{W.rows.tested} {T.models.tested[detail.tested_on]}.</p>}
      {!old && <p class="soft">{W.noPrevious}</p>}
      {detail.warnings?.length > 0 && <><h3>{W.warnings}</h3><ul>{detail.warnings.map((each) => <li key={each}>{each}</li>)}</ul></>}
      {used ? <p class="lead" role="status">{W.used} {headline(model)}.</p> : choice === "keep" ? <p class="lead" role="status">{W.kept}</p> : (
        <div class="row">
          <Act id="use" cls="main huge" onClick={() => use()} disabled={choice === "use" && told?.waits}>{W.use}</Act>
          <button type="button" id="keep" class="huge" onClick={() => setChoice("keep")}>{old ? W.keep : W.keepNone}</button>
        </div>
      )}
      {!used && choice !== "keep" && <Front front={detail.front} current={detail.front_point} send={use} word={T.models.isNew} />}
      {(used || choice === "keep") && (
        <div class="row"><a class="button main" href={address("asset", own.node.id, own.id)}>{W.toAsset}</a><button type="button" onClick={restart}>{W.again}</button></div>
      )}
      <Told state={choice === "use" && !used ? told : null} />
    </Card>
  );
};

const rowsOf = (old, detail) => {
  const health = detail.kind === "health";
  const interval = (each) => (each?.accuracy_low === null || each?.accuracy_low === undefined ? T.none : `${percent(each.accuracy_low)} – ${percent(each.accuracy_high)}`);
  return [
    health
      ? [W.rows.falseAlarms, percent(old?.false_alarms), percent(detail.false_alarms)]
      : [W.rows.accuracy, percent(detail.replaced_accuracy), percent(detail.accuracy)],
    !health && [W.rows.interval, T.none, interval(detail)],
    [W.rows.arena, bytes(old?.arena_bytes), bytes(detail.arena_bytes)],
    [W.rows.deployed, bytes(old?.arena_bytes_deployed), bytes(detail.arena_bytes_deployed)],
  ].filter(Boolean);
};
