import { T } from "../texts.js";
import { Act, Ask, Card, Facts, Safe, Shape, Time, Told, useCommand } from "../parts.jsx";
import { Plot } from "../charts.jsx";
import { address, ms, num, percent, span, whole } from "../format.js";
import { className, judge } from "../judge.js";
import { find, isFresh, isSign, now, store } from "../store.js";
import { Evidence, Spectra } from "./evidence.jsx";
import { Trends } from "./trends.jsx";
import { Electrodes } from "./people.jsx";
import { ModelCard } from "./models.jsx";

export const Asset = ({ node, asset }) => {
  const own = find(node, asset);
  if (!own) return <p>{store.link === "live" ? T.unknownPage : T.loading}</p>;
  const sign = isSign(own);
  return (
    <>
      <div class="title">
        <h1>{own.id} <span class="soft">{own.node.id}</span></h1>
        <a class="button main" id="recalibrate" href={address("recalibrate", node, asset)}>{T.asset.recalibrate}</a>
      </div>
      <div class="columns">
        <div>
          <Safe><State own={own} /></Safe>
          {!sign && <Safe><Evidence own={own} /></Safe>}
          <Safe><Simulated own={own} /></Safe>
          <Safe><Level own={own} /></Safe>
          {sign && <Safe><Card title={T.asset.electrodes}><Electrodes own={own} /></Card></Safe>}
        </div>
        <div>
          {!sign && <Safe><Spectra own={own} /></Safe>}
          <Safe><Trends own={own} key={`${node}/${asset}`} /></Safe>
          <Safe><ModelCard own={own} /></Safe>
          <Safe><About own={own} /></Safe>
        </div>
      </div>
    </>
  );
};

const State = ({ own }) => {
  const state = judge(own);
  const fault = own.said.fault?.payload;
  const calibration = own.said.calibration?.payload;
  return (
    <Card cls={`state k-${state.kind}${state.stale ? " stale" : ""}`} title={T.asset.state} id="state">
      <div class="verdict" role="status" aria-live="polite">
        <Shape kind={state.kind} big />
        <div>
          <p class={`word t-${state.kind}`}>{state.word}</p>
          <p>{state.text}</p>
          {state.since && <p class="soft">{T.asset.since} <Time at={state.since} /> ({span((now() - state.since) / 1000)})</p>}
          {state.stale && <p class="soft"><strong>{T.link.asOf} <Time at={own.said.fault?.at ?? own.node.at} /></strong></p>}
        </div>
      </div>
      {fault?.active && (
        <ul class="plain">
          {fault.kind && <li>{T.asset.kindWord[fault.kind]}</li>}
          <li>{fault.acknowledged ? <>{T.asset.seen(fault.acknowledged_by)}, <Time at={ms(fault.acknowledged_at)} />{fault.comment && `: ${fault.comment}`}</> : T.asset.notSeen}</li>
          {fault.latched && <li>{T.asset.latched}</li>}
          {!fault.judged && <li>{T.asset.notJudgedNow(fault.reason)}</li>}
        </ul>
      )}
      {(fault?.shelves ?? []).map((each) => <p key={each.class}>{className(each.class)}: {T.asset.shelved} <Time at={ms(each.until)} /></p>)}
      {state.kind === "none" && <p>{T.asset.noModel}</p>}
      {state.kind === "busy" && <p><a href={address("recalibrate", own.node.id, own.id)}>{T.asset.running}</a>: {calibration?.instruction}</p>}
      {calibration?.suggested?.length > 0 && <p>{T.asset.suggested}: {calibration.suggested.join("; ")}</p>}
      <Actions own={own} fault={fault} key={fault?.active ? fault.event : ""} />
    </Card>
  );
};

/** What can be done about a fault; of another one nothing has been done yet. */
const Actions = ({ own, fault }) => {
  const [send, told] = useCommand(own);
  return (
    <>
      <div class="row">
        {fault?.active && !fault.acknowledged && (
          <Ask id="acknowledge" title={T.asset.acknowledge} cls="main" submit={(form) => send("acknowledge", { event: fault.event, comment: form.get("comment") })}>
            <label>{T.asset.comment}<input name="comment" maxLength={500} /></label>
          </Ask>
        )}
        {fault?.active && !fault.shelved && (
          <Ask id="shelve" title={T.asset.shelve} submit={(form) => send("shelve", { seconds: Number(form.get("seconds")), class: fault.class })}>
            <label>{T.asset.shelveFor}
              <select name="seconds">{Object.entries(T.asset.shelveTimes).map(([value, text]) => <option key={value} value={value}>{text}</option>)}</select>
            </label>
          </Ask>
        )}
        {(fault?.shelves ?? []).map((each) => (
          <Act key={each.class} onClick={() => send("shelve", { seconds: 0, class: each.class })}>{T.asset.unshelve}: {className(each.class)}</Act>
        ))}
        {fault?.active && fault.class === "novel" && (
          <Ask id="label" title={T.asset.label} submit={(form) => send("label", { event: fault.event, label: form.get("label").trim() })}>
            <label>{T.asset.labelName}<input name="label" required pattern="[A-Za-z0-9][A-Za-z0-9_.+\-]*" maxLength={64} /></label>
            <p class="soft">{T.asset.labelHint}</p>
          </Ask>
        )}
      </div>
      <Told state={told} />
    </>
  );
};

const Level = ({ own }) => {
  const sign = isSign(own);
  const entry = own.said[sign ? "emg" : "vibration"];
  const heard = own.said.classification;
  const said = entry?.payload;
  if (!said) return <Card title={T.asset.level}><p>{T.asset.noLevel}</p></Card>;
  const fresh = isFresh(own, entry);
  const points = own.series.level;
  return (
    <Card title={T.asset.level} cls={fresh ? "" : "stale"} id="level"
      extra={<span class={fresh ? "pill on" : "pill"}>{fresh ? T.link.live : <>{T.link.asOf} <Time at={entry.at} /></>}</span>}>
      {!fresh && <p><strong>{T.asset.oldLevel}</strong></p>}
      {points.length > 1 && (
        <Plot data={[points.map((each) => each[0]), points.map((each) => each[1])]} names={[sign ? T.asset.envelopeOf : T.asset.rms]} unit={said.unit} height={150} gaps
          label={`${T.asset.level}: ${num(points.at(-1)[1], said.unit)}`} bars />
      )}
      <Facts rows={sign ? [
        [T.asset.heard, isFresh(own, heard) ? `${className(heard.payload.class)} ${percent(heard.payload.confidence)}` : T.none],
        [T.asset.quality, said.quality.length ? said.quality.map(className).join(", ") : T.asset.good],
      ] : [
        [T.asset.rms, (said.rms ?? []).map((value) => num(value, said.unit)).join(" / ")],
        said.velocity_rms_mm_s && [T.asset.velocity, said.velocity_rms_mm_s.map((value) => num(value, "mm/s")).join(" / ")],
        said.zone && [T.asset.zone, <b class={`zone z-${said.zone}`}>{said.zone}</b>],
        [T.asset.crest, (said.crest_factor ?? []).map((value) => num(value)).join(" / ")],
        [T.asset.kurtosis, (said.kurtosis ?? []).map((value) => num(value)).join(" / ")],
        said.shaft_rpm && [T.asset.speed, num(said.shaft_rpm, "rpm", 4)],
        isFresh(own, heard) && [T.asset.heard, `${className(heard.payload.class)} ${percent(heard.payload.confidence)}`],
        isFresh(own, heard) && heard.payload.distance !== null && [T.asset.distance, `${num(heard.payload.distance)} (${T.asset.distanceWhy})`],
        [T.asset.quality, said.quality.length ? said.quality.map(className).join(", ") : T.asset.good],
      ]} />
    </Card>
  );
};

const About = ({ own }) => {
  const info = own.info ?? {};
  const config = own.node.said.info?.payload.config?.asset?.find((each) => each.id === own.id);
  const bearing = config?.machine?.bearing;
  return (
    <Card title={T.asset.about}>
      <Facts rows={[
        [T.asset.aboutRows.node, own.node.id],
        [T.asset.aboutRows.source, info.source ?? T.none],
        [T.asset.aboutRows.channels, whole(info.channels)],
        [T.asset.aboutRows.rate, num(info.rate_hz, "Hz", 6)],
        [T.asset.aboutRows.window, info.window ? `${info.window} (${num((1000 * info.window) / info.rate_hz, "ms")})` : T.none],
        bearing && [T.asset.aboutRows.bearing, typeof bearing === "string" ? bearing : Object.entries(bearing).map((each) => each.join(" ")).join(", ")],
      ]} />
    </Card>
  );
};

/** Where a program stands in for the machine, it can be broken from here. */
const Simulated = ({ own }) => {
  const [send, told] = useCommand(own);
  const said = own.said["simulator/state"]?.payload;
  if (!said?.sending) return null;
  const state = judge(own);
  const hint = state.kind === "none" ? T.asset.simulatedFirst : said.asked ? T.asset.simulatedBusy
    : state.kind === "ok" && said.condition !== "normal" ? T.asset.unnoticed : "";
  return (
    <Card title={T.asset.simulated} id="simulated">
      <p>{T.asset.simulatedWhy} {T.asset.simulatedNow} <strong>{className(said.condition)}</strong></p>
      <Conditions said={said} send={send} />
      <p role="status" aria-live="polite">{hint}</p>
      <Told state={told?.bad && told.id !== "simulate" ? told : null} />
    </Card>
  );
};

export const Conditions = ({ said, send }) => (
  <div class="row">
    {said.conditions.map((name) => (
      <Act key={name} id={`simulate-${name}`} cls={name === said.condition ? "main" : ""} onClick={() => send("simulate", { condition: name })}>{className(name)}</Act>
    ))}
  </div>
);
