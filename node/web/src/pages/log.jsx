import { T } from "../texts.js";
import { Scroll, Time } from "../parts.jsx";
import { num } from "../format.js";
import { store } from "../store.js";

export const Log = () => (
  <>
    <div class="title"><h1>{T.log.title}</h1></div>
    {store.log.length === 0 ? <p>{T.log.empty}</p> : (
      <Scroll label={T.log.title}>
        <table class="log">
          <thead><tr>{T.log.head.map((name) => <th scope="col" key={name}>{name}</th>)}</tr></thead>
          <tbody>
            {store.log.map((line) => (
              <tr key={`${line.place} ${line.id}`}>
                <td><Time at={line.at} /></td><td>{line.place}</td><td>{line.name}</td><td>{fields(line)}</td><td>{sender(line)}</td><td>{answer(line)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </>
);

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));

const fields = (line) => {
  if (!line.fields) return T.log.unheard;
  const said = Object.entries(line.fields).filter(([name, value]) => name !== "by" && value !== "" && value !== null);
  return said.length === 0 ? T.none : <ul class="plain fields">{said.map(([name, value]) => <li key={name}><span class="soft">{name}</span> {shown(value)}</li>)}</ul>;
};

const sender = (line) => {
  const known = [line.by, line.here ? T.log.here : line.client && T.log.client(line.client), line.signed && T.log.signed].filter(Boolean);
  return known.length ? known.join(", ") : T.log.elsewhere;
};

const answer = (line) => {
  const said = line.answer?.payload;
  if (!said) return T.log.waiting;
  const why = said.reason || [said.errors ?? []].flat().join("; ");
  const took = line.fields && (line.answer.at - line.at) / 1000;
  return (
    <>
      {T.log.status[said.status] ?? said.status}{why ? `: ${why}` : ""}{" "}
      <span class="soft small"><Time at={line.answer.at} />{line.fields && ` (${T.log.after(num(Math.max(0, took), "s", 2))})`}</span>
    </>
  );
};
