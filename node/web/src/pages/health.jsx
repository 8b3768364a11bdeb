import { T } from "../texts.js";
import { Card, Facts, Scroll, Time } from "../parts.jsx";
import { bytes, num, span, whole } from "../format.js";
import { isLive, nodeWord, now, store } from "../store.js";

export const Health = () => {
  const nodes = [...store.nodes.values()].sort((a, b) => a.id.localeCompare(b.id));
  return (
    <>
      <div class="title"><h1>{T.health.title}</h1></div>
      {nodes.length === 0 && <p>{T.health.empty}</p>}
      <div class="cards">{nodes.map((each) => <Node key={each.id} own={each} />)}</div>
    </>
  );
};

const Node = ({ own }) => {
  const entry = own.said.health;
  const said = entry?.payload;
  const info = own.said.info?.payload;
  const word = nodeWord(own);
  const live = isLive(own);
  const rows = T.health.rows;
  return (
    <Card title={own.id} cls={live ? "" : "stale"} extra={<span class={live ? "pill on" : "pill"}>{T.health.word[word]}</span>}>
      {!live && own.at > 0 && <p class="soft">{T.link.asOf} <Time at={own.at} /></p>}
      {said?.problems?.length > 0 && <><h3>{T.health.problems}</h3><ul>{said.problems.map((each) => <li key={each}>{each}</li>)}</ul></>}
      {!said ? <p>{T.health.noFigures}</p> : (
        <Facts rows={[
          [rows.version, info?.versions?.edgetune ?? T.none],
          [rows.uptime, <><Time at={entry.at - 1000 * said.uptime_s} /> ({span(said.uptime_s)})</>],
          [rows.rss, bytes(said.rss_bytes)], [rows.cpu, num(said.cpu_percent, "%")],
          said.temperature_c !== null && [rows.temperature, num(said.temperature_c, "°C")],
          [rows.disk, bytes(said.disk_free_bytes)], [rows.queue, whole(said.queue_depth)], [rows.outbox, whole(said.outbox_depth)],
          [rows.reconnects, whole(said.reconnects)], [rows.dropped, whole(said.dropped_chunks)],
        ]} />
      )}
      {said?.assets?.length > 0 && (
        <Scroll label={own.id}>
          <table>
            <thead><tr>{T.health.assets.map((name) => <th scope="col" key={name}>{name}</th>)}</tr></thead>
            <tbody>
              {said.assets.map((each) => (
                <tr key={each.id}>
                  <th scope="row"><a href={`#/asset/${own.id}/${each.id}`}>{each.id}</a></th>
                  <td>{each.sample_age_s === null ? T.none : T.health.ago(span(each.sample_age_s + (now() - entry.at) / 1000))}</td>
                  <td>{whole(each.windows)}</td><td>{whole(each.gaps)}</td>
                  <td>{num(each.inference_p50_us, "µs")} / {num(each.inference_p99_us, "µs")}</td><td>{each.source_error ?? each.novel_problem ?? T.none}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {info?.insecure?.length > 0 && <p class="soft">{T.health.insecure}: {info.insecure.join(", ")}</p>}
    </Card>
  );
};
