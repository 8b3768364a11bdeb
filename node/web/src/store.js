// What the page knows: the last message of every topic, and whether all of it is live.
const BEAT_MS = 6500;
const SERIES = 180;
const GAP_MS = 10_000;
const LOG = 400;
const LEVEL_MS = 5000;

export const store = {
  session: null,
  link: "connecting", // live, connecting, server, login, full
  broker: { connected: false, reason: "", since: 0, heard_from: 0 },
  full: { at: 0, topic: "", count: 0 }, // what the console has no room for
  nodes: new Map(),
  log: [],
};
const listeners = new Set();
let behind = 0; // the server's clock minus this one's
let socket = null;
let beatAt = 0;
let pause = 500;
let dirty = false;

export const now = () => Date.now() + behind;
export const subscribe = (listener) => (listeners.add(listener), () => listeners.delete(listener));
const changed = () => (dirty = true);
setInterval(() => {
  if (store.link === "live" && Date.now() - beatAt > BEAT_MS) lost("server");
  if (!dirty) return;
  dirty = false;
  for (const listener of listeners) listener();
}, 200);
setInterval(changed, 1000); // ages grow

export const refresh = () => { dirty = false; for (const listener of listeners) listener(); };

// ---- session and posts ----

const get = async () => (await fetch("api/session", { cache: "no-store" })).json();

export const post = async (path, body) => {
  let answer;
  try {
    answer = await fetch(`api/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-csrf": store.session.csrf },
      body: JSON.stringify(body),
    });
  } catch {
    return { error: null };
  }
  try {
    return await answer.json();
  } catch {
    return { error: `${answer.status}` };
  }
};

export const signIn = async (user, password) => {
  const answer = await post("login", { user, password });
  if (answer.csrf) adopt(answer), reopen();
  return answer;
};

export const signOut = async () => {
  const answer = await post("logout", {});
  if (answer.csrf) adopt(answer);
  if (!store.session.read) { forget(); store.link = "login"; }
  reopen();
};

const adopt = (session) => {
  store.session = session;
  behind = session.now - Date.now();
  changed();
};

const forget = () => {
  store.nodes = new Map();
  store.log = [];
  store.full = { at: 0, topic: "", count: 0 };
};

// ---- the websocket ----

export const open = async () => {
  try {
    adopt(await get());
  } catch {
    return lost("server");
  }
  if (!store.session.read) {
    store.link = "login";
    return changed();
  }
  const own = (socket = new WebSocket(new URL("api/live", location.href).href.replace(/^http/, "ws")));
  own.onmessage = (event) => own === socket && take(JSON.parse(event.data));
  own.onclose = (event) => {
    if (own !== socket) return;
    if (event.code === 4401) { forget(); store.session.read = false; store.link = "login"; return changed(); }
    lost(event.code === 4429 ? "full" : "server");
  };
};

const reopen = () => {
  const old = socket;
  socket = null;
  old?.close();
  open();
};

const lost = (word) => {
  const old = socket;
  socket = null;
  old?.close();
  store.link = word;
  changed();
  setTimeout(open, pause);
  pause = Math.min(5000, pause * 1.7);
};

const take = (frames) => {
  beatAt = Date.now();
  pause = 500;
  if (store.link !== "live") {
    forget(); // what the server has is sent whole
    store.link = "live";
  }
  for (const frame of frames) {
    if (frame.length === 3) attempt(message, frame);
    else if (frame[0] === "beat") behind = frame[1].now - Date.now();
    else if (frame[0] === "broker") store.broker = frame[1];
    else if (frame[0] === "full") store.full = frame[1];
    else if (frame[0] === "answer") attempt(answered, [frame[1]]);
    else if (frame[0] === "sent") attempt(sent, [frame[1]]);
  }
  changed();
};

/** What one message says must not keep the others from being shown. */
const attempt = (call, frame) => {
  try {
    call(...frame);
  } catch (error) {
    console.warn(error);
  }
};

const node = (id) => {
  if (!store.nodes.has(id)) store.nodes.set(id, { id, at: 0, said: {}, assets: new Map() });
  return store.nodes.get(id);
};

const asset = (of, id) => {
  if (!of.assets.has(id)) of.assets.set(id, { id, node: of, said: {}, series: { level: [], distance: [] } });
  return of.assets.get(id);
};

const levels = (topic) => topic.slice(store.session.namespace.length + 1).split("/");

const message = (topic, at, payload) => {
  const parts = levels(topic);
  const whose = node(parts[0]);
  whose.at = Math.max(whose.at, at);
  const leaf = parts.slice(2).join("/") || parts[1];
  const entry = Object.keys(payload).length ? { at, payload } : undefined;
  if (parts.length === 2) {
    whose.said[leaf] = entry;
    if (leaf === "info" && entry) for (const each of payload.assets ?? []) if (typeof each.id === "string") asset(whose, each.id).info = each;
    return;
  }
  const own = asset(whose, parts[1]);
  own.said[leaf] = entry;
  if (!entry) return;
  if (leaf === "vibration") push(own.series.level, at, payload.rms?.[0]);
  else if (leaf === "emg") push(own.series.level, at, mean(payload.envelope));
  else if (leaf === "classification") push(own.series.distance, at, payload.distance);
};

const mean = (values) => (values?.length ? values.reduce((a, b) => a + b, 0) / values.length : null);

const push = (series, at, value) => {
  if (value === null || value === undefined) return;
  const last = series.at(-1);
  if (last && at - last[0] > GAP_MS) series.push([at - 1, null]); // a line over it would be made up
  series.push([at, value]);
  if (series.length > SERIES) series.splice(0, series.length - SERIES);
};

const answered = ({ topic, at, payload }) => {
  const parts = levels(topic);
  const place = parts.slice(0, parts.indexOf("resp")).join("/");
  const { command, id } = payload;
  const line = logged(place, id) ?? log({ at, place, name: command, id });
  line.answer = { at, payload };
};

/** A command as its topic had it, or as a page of this console sent it; the latter comes second. */
const sent = (command) => {
  const { at, id, name } = command;
  const place = levels(command.place).join("/");
  const line = logged(place, id) ?? log({ at, place, name, id });
  line.at = Math.min(line.at, at);
  line.fields = command.fields;
  line.by = command.by || line.by;
  line.here = command.here || line.here;
  line.client = command.client ?? line.client;
  line.signed = command.signed || line.signed;
};

/** An id is of one node or asset: who counts its commands sends the same to many. */
const logged = (place, id) => store.log.find((each) => each.id === id && each.place === place);

export const answerTo = (own, id) => logged(`${own.node.id}/${own.id}`, id)?.answer?.payload;

const log = (line) => {
  store.log.unshift(line);
  if (store.log.length > LOG) store.log.pop();
  return line;
};

// ---- what of it is live ----

/** Whether the console and the broker are there. */
export const connected = () => store.link === "live" && store.broker.connected;

/** `online`, `offline`, `stopped`, `unheard` (since the broker came back) or `silent` (no health report for long). */
export const nodeWord = (of) => {
  const word = of.said.status?.payload.status;
  if (word && word !== "online") return word;
  if (of.at < store.broker.heard_from || !word) return "unheard";
  const every = of.said.info?.payload.config?.node?.health_interval_s ?? 10;
  return now() - of.at > Math.max(15, 3 * every) * 1000 ? "silent" : "online";
};

export const isLive = (of) => connected() && nodeWord(of) === "online";

/** Whether a message of an asset is of this moment. */
export const isFresh = (own, entry, within = LEVEL_MS) =>
  !!entry && isLive(own.node) && entry.at >= store.broker.heard_from && now() - entry.at < within;

export const assets = () => [...store.nodes.values()].flatMap((each) => [...each.assets.values()]);
export const find = (nodeId, assetId) => store.nodes.get(nodeId)?.assets.get(assetId);
export const isSign = (own) => (own.info?.task ?? (own.said.emg ? "sign" : "fault")) === "sign";
