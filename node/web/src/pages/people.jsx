import { T } from "../texts.js";
import { Ask, Bar, Card, Time, Told, useCommand } from "../parts.jsx";
import { num, percent } from "../format.js";
import { className } from "../judge.js";
import { assets, isFresh, isSign } from "../store.js";

export const People = () => {
  const worn = assets().filter(isSign);
  return (
    <>
      <div class="title"><h1>{T.people.title}</h1></div>
      {worn.length === 0 && <p>{T.people.empty}</p>}
      <div class="cards">{worn.map((own) => <Person key={`${own.node.id}/${own.id}`} own={own} />)}</div>
    </>
  );
};

const Person = ({ own }) => {
  const [send, told] = useCommand(own);
  const subject = own.said.state?.payload.subject || own.info?.subject;
  return (
    <Card title={`${own.node.id} / ${own.id}`} extra={<a href={`#/asset/${own.node.id}/${own.id}`}>{T.asset.about}</a>}>
      <p>{T.people.subject} <strong>{subject || T.people.nobody}</strong></p>
      <Electrodes own={own} />
      <div class="row">
        <Ask title={T.people.change} submit={(form) => send("profile", { subject: form.get("subject").trim() })}>
          <label>{T.people.name}<input name="subject" required pattern="[A-Za-z0-9][A-Za-z0-9_.+\-]*" maxLength={64} /></label>
          <p class="soft">{T.people.changeHint}</p>
        </Ask>
        <a class="button" href={`#/recalibrate/${own.node.id}/${own.id}`}>{T.asset.recalibrate}</a>
      </div>
      <Told state={told} />
    </Card>
  );
};

/** The sign of this moment, how strongly it is made, and every electrode's envelope. */
export const Electrodes = ({ own }) => {
  const emg = own.said.emg;
  const heard = own.said.classification;
  const fresh = isFresh(own, heard);
  const said = emg?.payload;
  const most = Math.max(...(said?.envelope ?? [1]).map((value) => value ?? 0), 1e-9);
  return (
    <>
      <p class="sign" role="status" aria-live="polite">{fresh ? className(heard.payload.smoothed ?? heard.payload.class) : T.none}</p>
      <p class="meter"><span>{T.people.strength}</span>
        <Bar share={fresh ? heard.payload.strength ?? 0 : 0} label={T.people.strength} /><span>{fresh ? percent(heard.payload.strength ?? 0, 2) : T.none}</span></p>
      {said && (
        <div class={isFresh(own, emg) ? "" : "stale"}>
          {!isFresh(own, emg) && <p class="soft">{T.link.asOf} <Time at={emg.at} /></p>}
          {said.envelope.map((value, index) => (
            <p class="meter" key={index}>
              <span>{T.people.electrode(index + 1)}</span>
              <Bar share={value / most} label={T.people.electrode(index + 1)} kind={said.electrodes?.[index]?.length ? "bad" : ""} />
              <span>{num(value, said.unit)} {(said.electrodes?.[index] ?? []).join(", ")}</span>
            </p>
          ))}
          {said.turn ? <p>{T.people.turned(said.turn)}</p> : null}
          {said.mirrored && <p>{T.people.mirrored}</p>}
        </div>
      )}
    </>
  );
};
