import { useState } from "preact/hooks";
import { T } from "../texts.js";
import { Act, Card, Facts, Scroll, Time, Told, useCommand } from "../parts.jsx";
import { Plot } from "../charts.jsx";
import { ms, num, percent } from "../format.js";
import { className } from "../judge.js";
import { connected, post } from "../store.js";

/** The event: what is known of it, what physics says, and what to do. */
export const Evidence = ({ own }) => {
  const fault = own.said.fault?.payload;
  if (!fault?.active) return null;
  const seen = fault.evidence ?? {};
  return (
    <Card title={T.asset.event} id="event">
      {seen.action && <p class="advice"><strong>{T.asset.action}: </strong>{seen.action}</p>}
      <p>{T.asset.physicsWord[seen.physics] ?? ""} {seen.note && `${seen.note[0].toUpperCase()}${seen.note.slice(1)}.`}</p>
      <Facts rows={[
        fault.candidates?.length > 1 && [T.asset.candidates, fault.candidates.map((each) => `${className(each.class)} ${percent(each.share, 2)}`).join(", ")],
        fault.severity_from?.length > 0 && [T.asset.severityFrom, fault.severity_from.map((each) => T.asset.severityWord[each] ?? each).join(", ")],
        seen.defect && [T.asset.defectWord[seen.defect] ?? seen.defect, `${num(seen.defect_hz, "Hz", 4)}, ${num(seen.defect_over_floor)} ×`],
        [T.asset.rms, (seen.rms ?? []).map((value) => num(value, seen.unit ?? "")).join(" / ")],
        seen.velocity_rms_mm_s && [T.asset.velocity, num(seen.velocity_rms_mm_s, "mm/s")],
        seen.zone && [T.asset.zone, <b class={`zone z-${seen.zone}`}>{seen.zone}</b>],
        seen.shaft_rpm && [T.asset.speed, num(seen.shaft_rpm, "rpm", 4)],
      ]} />
      <Wave own={own} event={fault.event} key={fault.event} />
    </Card>
  );
};

const Wave = ({ own, event }) => {
  const [state, setState] = useState(null);
  const load = async () => {
    setState({ text: T.loading });
    const answer = await post("ask", { node: own.node.id, asset: own.id, name: "capture", fields: { event, samples: true } });
    setState(answer.drawn ? answer : { text: answer.error ?? T.command.unreachable });
  };
  if (!state?.drawn)
    return (
      <div class="row">
        <button type="button" id="wave" disabled={!connected()} onClick={load}>{T.asset.showWave}</button>
        {state && <span role="status">{state.text}</span>}
      </div>
    );
  const values = state.drawn[0];
  const seconds = state.samples / state.rate_hz;
  const times = values.map((_, index) => (seconds * index) / values.length);
  return (
    <>
      <h3>{T.asset.waveform}: {T.asset.waveOf(num(seconds))}</h3>
      <Plot data={[times, values]} names={[state.unit]} unit={state.unit} x="seconds" label={T.asset.waveform} />
    </>
  );
};

/** The last spectrum and envelope spectrum, with the lines that the bearing's defects would have. */
export const Spectra = ({ own }) => {
  const [send, told] = useCommand(own);
  const said = own.said.spectrum?.payload;
  const vibration = own.said.vibration?.payload;
  const marks = defectMarks(vibration, said);
  const shaft = said?.shaft_rpm ?? vibration?.shaft_rpm;
  return (
    <Card title={T.asset.spectrum} id="spectrum"
      extra={<Act id="capture" onClick={() => send("capture", { now: true, before_s: 5, after_s: 0.5, samples: false })}>{T.asset.capture}</Act>}>
      <Told state={told?.done ? null : told} />
      {!said ? <p>{T.asset.noSpectrum}</p> : (
        <>
          <p class="soft">
            {said.reason === "asked" ? T.asset.spectrumAsked : T.asset.spectrumOf(said.reason)}, {className(said.class)},{" "}
            <Time at={ms(said.ts)} />, {num(said.seconds, "s")}
          </p>
          <Plot data={[said.frequency_hz, said.amplitude]} names={[T.asset.spectrum]} unit={said.unit} x="log" label={T.asset.spectrum}
            marks={shaft ? [1, 2, 3].map((k) => ({ at: (k * shaft) / 60, name: k === 1 ? "1×" : "" })) : []} bars />
          {said.envelope_hz?.length > 0 && (
            <>
              <h3>{T.asset.envelope}</h3>
              <Plot data={[said.envelope_hz, said.envelope_amplitude]} names={[T.asset.envelope]} unit={said.unit} x="log" marks={marks}
                label={`${T.asset.envelope}, ${marks.map((each) => `${each.name} ${num(each.at, "Hz", 4)}`).join(", ")}`} bars />
            </>
          )}
          <p class="soft small">{T.asset.cursor}</p>
        </>
      )}
      <Defects said={vibration} />
    </Card>
  );
};

const defectMarks = (vibration, spectrum) => {
  const speed = spectrum?.shaft_rpm && vibration?.shaft_rpm ? spectrum.shaft_rpm / vibration.shaft_rpm : 1;
  return Object.entries(vibration?.defects ?? {}).map(([name, each]) => ({ at: each.frequency_hz * speed, name: name.toUpperCase() }));
};

const Defects = ({ said }) => {
  const rows = Object.entries(said?.defects ?? {});
  if (rows.length === 0) return null;
  return (
    <Scroll label={T.asset.defects}>
      <table>
        <caption>{T.asset.defects}</caption>
        <thead><tr>{T.asset.defectHead.map((name) => <th scope="col" key={name}>{name}</th>)}</tr></thead>
        <tbody>
          {rows.map(([name, each]) => (
            <tr key={name} class={said.defect === name ? "hot" : ""}>
              <th scope="row">{T.asset.defectWord[name] ?? name} <span class="soft">{name.toUpperCase()}</span></th>
              <td>{num(each.order, "", 5)}</td><td>{num(each.frequency_hz, "Hz", 4)}</td>
              <td>{num(each.amplitude, said.unit)}</td><td>{num(each.over_floor, "×")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
};
