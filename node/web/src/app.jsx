// The page: its frame, what is said of the connection, and which page is shown.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "./app.css";
import { T } from "./texts.js";
import { Dialog, onLogin, Safe } from "./parts.jsx";
import { now, open, refresh, signIn, signOut, store, subscribe } from "./store.js";
import { clock } from "./format.js";
import { Overview } from "./pages/overview.jsx";
import { Asset } from "./pages/asset.jsx";
import { Wizard } from "./pages/wizard.jsx";
import { Models } from "./pages/models.jsx";
import { People } from "./pages/people.jsx";
import { Health } from "./pages/health.jsx";
import { Log } from "./pages/log.jsx";

const FULL_MS = 60_000;
const PAGES = { "": Overview, models: Models, people: People, health: Health, log: Log };

const decoded = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};
const route = () => location.hash.replace(/^#\/?/, "").split("/").map(decoded);

const Page = ({ at }) => {
  const [name, node, asset] = at;
  if (name === "asset" && asset) return <Asset key={`${node}/${asset}`} node={node} asset={asset} />;
  if (name === "recalibrate" && asset) return <Wizard key={`${node}/${asset}`} node={node} asset={asset} />;
  const Found = PAGES[name];
  return Found ? <Found /> : <p>{T.unknownPage}</p>;
};

const Banner = () => {
  if (store.link === "connecting") return <p class="banner" role="status">{T.link.connecting}</p>;
  if (store.link === "server" || store.link === "full") return <p class="banner bad" role="alert">{T.link[store.link]}</p>;
  if (store.link === "live" && !store.broker.connected)
    return <p class="banner bad" role="alert">{T.link.broker(store.broker.reason)}</p>;
  if (now() - store.full.at < FULL_MS) return <p class="banner" role="alert">{T.link.tooMuch(store.full.topic, store.full.count)}</p>;
  return null;
};

const App = () => {
  const [, tick] = useState(0);
  const [at, setAt] = useState(route);
  const [asked, setAsked] = useState(false);
  useEffect(() => {
    const gone = subscribe(() => tick((count) => count + 1));
    const moved = () => { setAt(route()); scrollTo(0, 0); document.getElementById("main")?.focus(); };
    addEventListener("hashchange", moved);
    onLogin(() => setAsked(true));
    return () => { gone(); removeEventListener("hashchange", moved); };
  }, []);
  const session = store.session;
  return (
    <div class={store.link === "live" && store.broker.connected ? "live" : "dead"} data-link={store.link} data-broker={String(store.broker.connected)}>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>{T.skip}</a>
      <header class="top">
        <a class="brand" href="#/">{T.app}</a>
        <nav aria-label={T.pages}>
          {Object.entries(T.nav).map(([key, text]) => {
            const name = key === "overview" ? "" : key;
            return <a key={key} href={`#/${name}`} aria-current={at[0] === name ? "page" : undefined}>{text}</a>;
          })}
        </nav>
        <span class="who">
          {session?.user ? <><span class="soft">{T.login.as(session.user)}</span><button type="button" onClick={signOut}>{T.login.out}</button></>
            : session?.shared ? <span class="soft">{T.login.shared}</span>
              : session && <button type="button" id="login" onClick={() => setAsked(true)}>{T.login.open}</button>}
        </span>
      </header>
      <Banner />
      <main id="main" tabIndex={-1}>
        {store.link === "login" ? <div class="card narrow"><p>{T.link.login}</p><Login /></div> : <Safe key={at.join("/")}><Page at={at} /></Safe>}
      </main>
      <footer class="soft small">{session && <>{session.namespace} · {clock(now(), now())}</>}</footer>
      {asked && <Dialog title={T.login.title} onClose={() => setAsked(false)}><Login done={() => setAsked(false)} /></Dialog>}
    </div>
  );
};

const Login = ({ done }) => {
  const [state, setState] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setState(T.command.sending);
    const answer = await signIn(form.get("user"), form.get("password"));
    setState(answer.csrf ? "" : answer.error ?? T.command.unreachable);
    if (answer.csrf) done?.();
    refresh();
  };
  return (
    <form onSubmit={submit} id="loginform">
      <label>{T.login.user}<input name="user" required autocomplete="username" /></label>
      <label>{T.login.password}<input name="password" type="password" autocomplete="current-password" /></label>
      <p class="soft small">{T.login.why}</p>
      <div class="row"><button type="submit" class="main">{T.login.go}</button></div>
      <p role="alert">{state}</p>
    </form>
  );
};

render(<App />, document.getElementById("app"));
open();
