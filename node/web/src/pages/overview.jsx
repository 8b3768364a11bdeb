import { useState } from "preact/hooks";
import { T } from "../texts.js";
import { Safe, Shape, Time } from "../parts.jsx";
import { Spark } from "../charts.jsx";
import { address, num } from "../format.js";
import { judge } from "../judge.js";
import { assets, isFresh, isSign, nodeWord, store } from "../store.js";

export const Overview = () => {
  const [wanted, setWanted] = useState("");
  const nodes = [...store.nodes.values()];
  const all = assets().map((own) => ({ own, state: judge(own) }));
  const bare = nodes.filter((each) => each.assets.size === 0 && each.said.status);
  const text = wanted.trim().toLowerCase();
  const shown = all
    .filter(({ own, state }) => `${own.node.id}/${own.id} ${state.word} ${state.text}`.toLowerCase().includes(text))
    .sort((a, b) => b.state.rank - a.state.rank || `${a.own.node.id}/${a.own.id}`.localeCompare(`${b.own.node.id}/${b.own.id}`));
  const without = all.filter(({ state }) => state.kind === "none").length;
  const bad = all.filter(({ state }) => state.rank >= 16).length;
  return (
    <>
      <div class="title">
        <h1>{T.overview.title}</h1>
        <input type="search" placeholder={T.overview.search} aria-label={T.overview.search} value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)} />
      </div>
      {all.length > 0 && <p class="soft" role="status">{T.overview.counts(bad, without, all.length)}</p>}
      {nodes.length === 0 && store.link === "live" && (
        <div class="card"><p><strong>{T.overview.empty}</strong></p><p>{T.overview.emptyWhy(store.session.namespace)}</p></div>
      )}
      {all.length > 0 && shown.length === 0 && <p>{T.overview.nothingFound}</p>}
      <ul class="tiles" aria-label={T.overview.title}>
        {shown.map(({ own, state }) => <Safe key={`${own.node.id}/${own.id}`}><Tile own={own} state={state} /></Safe>)}
        {bare.filter((each) => each.id.toLowerCase().includes(text)).map((each) => (
          <li key={each.id} class="tile"><strong>{each.id}</strong><span>{T.health.word[nodeWord(each)]}, {T.overview.noAsset}</span></li>
        ))}
      </ul>
    </>
  );
};

const Tile = ({ own, state }) => (
  <li class={`tile k-${state.kind}${state.stale ? " stale" : ""}`}>
    <a href={address("asset", own.node.id, own.id)}>
      <Shape kind={state.kind} />
      <span class="names"><strong>{own.id}</strong><span class="soft">{own.node.id}</span></span>
      <span class="state"><b class={`t-${state.kind}`}>{state.word}</b>{state.text && <span>{state.text}</span>}</span>
    </a>
    <Line own={own} state={state} />
  </li>
);

const Line = ({ own, state }) => {
  const entry = own.said[isSign(own) ? "emg" : "vibration"];
  const fault = own.said.fault?.payload;
  const away = nodeWord(own.node);
  return (
    <div class="under">
      {isFresh(own, entry) ? (
        <>
          <Spark points={own.series.level} label={T.asset.level} />
          <span>{isSign(own) ? num(own.series.level.at(-1)?.[1], entry.payload.unit) : num(entry.payload.rms?.[0], entry.payload.unit)}</span>
        </>
      ) : (
        <span class="soft">
          {state.stale ? T.link.nodeAway(T.link.nodeWord[away] ?? T.link.nodeWord.unheard) + ", " : ""}
          {T.link.asOf} <Time at={own.said.fault?.at ?? own.said.state?.at ?? own.node.at} />
        </span>
      )}
      {state.kind === "none" && <strong>{T.overview.first}</strong>}
      {fault?.active && <span class="soft">{fault.acknowledged ? T.asset.seen(fault.acknowledged_by) : T.asset.notSeen}</span>}
      {!fault?.active && state.since && <span class="soft">{T.asset.since} <Time at={state.since} /></span>}
    </div>
  );
};
