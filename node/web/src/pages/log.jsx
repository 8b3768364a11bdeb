import { T } from "../texts.js";
import { Scroll, Time } from "../parts.jsx";
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
              <tr key={line.id}>
                <td><Time at={line.at} /></td><td>{line.place}</td><td>{line.name}</td><td>{line.by ?? T.log.elsewhere}</td><td>{answer(line)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    )}
  </>
);

const answer = (line) => {
  const said = line.answer?.payload;
  if (!said) return T.log.waiting;
  const why = said.reason || (said.errors ?? []).join("; ");
  return `${T.log.status[said.status] ?? said.status}${why ? `: ${why}` : ""}`;
};
