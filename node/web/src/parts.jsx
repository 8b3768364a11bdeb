// Small pieces that several pages are made of.
import { Component } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { T } from "./texts.js";
import { clock, utc } from "./format.js";
import { answerTo, connected, now, post, store } from "./store.js";

const SHAPES = {
  danger: <path d="M8 2h8l6 6v8l-6 6H8l-6-6V8z M11 6v7h2V6z M11 15v2.5h2V15z" />,
  alarm: <path d="M12 2 23 21H1z M11 9v6h2V9z M11 16.5v2h2v-2z" />,
  warning: <path d="M12 1 23 12 12 23 1 12z M11 7v6h2V7z M11 15v2h2v-2z" />,
  watch: <path d="M12 2a10 10 0 1 1 0 20a10 10 0 1 1 0-20z M12 4.5v15a7.5 7.5 0 0 0 0-15z" />,
  ok: <path d="M12 2a10 10 0 1 1 0 20a10 10 0 1 1 0-20z M10.6 17 18 9l-1.5-1.4-6 6.4-3-2.9L6 12.6z" />,
  sign: <path d="M12 2a10 10 0 1 1 0 20a10 10 0 1 1 0-20z M6 11v2h2v-2z M10 8v8h1.5V8z M13 6v12h1.5V6z M16.500 10v4H18v-4z" />,
  busy: <path d="M5 2h14v4l-5 6 5 6v4H5v-4l5-6-5-6z" />,
  failed: <path d="M4 2h16v20H4z M8 7.500l3 4.500-3 4.500h2.500l1.500-2.500 1.500 2.500H16l-3-4.500 3-4.500h-2.500L12 10l-1.500-2.500z" />,
  none: <path d="M3 3h18v18H3z M6 6v12h12V6z" />,
  unjudged: <path d="M12 2a10 10 0 1 1 0 20a10 10 0 1 1 0-20z M12 5a7 7 0 1 0 0 14a7 7 0 1 0 0-14z M8 11v2h8v-2z" />,
  away: <path d="M4 2 12 10 20 2l2 2-8 8 8 8-2 2-8-8-8 8-2-2 8-8-8-8z" />,
};

export const Shape = ({ kind, big }) => (
  <svg class={`shape s-${kind}${big ? " big" : ""}`} viewBox="0 0 24 24" aria-hidden="true" fill-rule="evenodd">
    {SHAPES[kind] ?? SHAPES.unjudged}
  </svg>
);

export const Time = ({ at }) =>
  at ? <time dateTime={new Date(at).toISOString()} title={utc(at)}>{clock(at, now())}</time> : <span>{T.none}</span>;

export const Card = ({ title, children, extra, cls = "", id }) => (
  <section class={`card ${cls}`} aria-label={title} id={id}>
    {title && <header><h2>{title}</h2>{extra}</header>}
    {children}
  </section>
);

/** Says so where what a node said cannot be drawn, so that nothing old stays there; each drawing tries again. */
export class Safe extends Component {
  componentDidCatch(error) {
    if (!this.said) console.warn(error);
    this.said = true;
    this.setState({ failed: true });
  }
  componentWillReceiveProps() {
    this.setState({ failed: false });
  }
  render() {
    return this.state.failed ? <section class="card stale" role="status">{T.undrawable}</section> : this.props.children;
  }
}

export const Facts = ({ rows }) => (
  <dl class="facts">
    {rows.filter(Boolean).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
  </dl>
);

export const Bar = ({ share, label, kind = "" }) => (
  <div class={`bar ${kind}`} role="progressbar" aria-label={label} aria-valuemin="0" aria-valuemax="100"
    aria-valuenow={Math.round(100 * Math.min(1, Math.max(0, share || 0)))}>
    <svg width="100%" height="100%" preserveAspectRatio="none" viewBox="0 0 100 1" aria-hidden="true">
      <rect width={100 * Math.min(1, Math.max(0, share || 0))} height="1" />
    </svg>
  </div>
);

/** Wide things scroll by themselves, also with the keyboard. */
export const Scroll = ({ label, children }) => <div class="scroll" role="region" aria-label={label} tabIndex={0}>{children}</div>;

export const Dialog = ({ title, onClose, children }) => {
  const self = useRef(null);
  useLayoutEffect(() => { self.current.showModal(); }, []); // or what is typed at once is lost
  return (
    <dialog ref={self} aria-label={title} onClose={onClose} onClick={(event) => event.target === self.current && onClose()}>
      <div class="inside"><h2>{title}</h2>{children}</div>
    </dialog>
  );
};

/** Sends commands and says what came of the last one. */
export const useCommand = (own) => {
  const [state, setState] = useState(null);
  const send = async (name, fields = {}) => {
    setState({ name, text: T.command.sending, waits: true });
    const answer = await post("command", { node: own.node.id, asset: own.id, name, fields });
    if (answer.id) setState({ name, id: answer.id, at: now() });
    else setState({ name, bad: true, text: answer.error === null ? T.command.unreachable : T.command.refused(answer.error) });
    return answer.id ?? null;
  };
  return [send, told(own, state)];
};

const told = (own, state) => {
  if (!state || !state.id) return state;
  const payload = answerTo(own, state.id);
  if (!payload) {
    const silent = now() - state.at > 10000;
    return { ...state, text: silent ? T.command.silent : T.command.sent, bad: silent, waits: !silent };
  }
  const why = payload.reason || [payload.errors ?? []].flat().join("; ");
  const ended = ["done", "failed", "rejected"].includes(payload.status);
  return {
    ...state, payload, waits: !ended, done: payload.status === "done", bad: ended && payload.status !== "done",
    text: payload.status === "done" ? (why ? `${T.command.done} ${why}` : T.command.done)
      : ended ? T.command[payload.status](why) : T.command.accepted,
  };
};

export const Told = ({ state }) => (
  <p class={`told${state?.bad ? " bad" : ""}`} role="status" aria-live="polite">{state?.text ?? ""}</p>
);

/** A button that needs a login and a connection. */
export const Act = ({ onClick, children, cls = "", disabled, id }) => (
  <button type="button" id={id} class={cls} disabled={disabled || !connected()} onClick={() => (store.session.act ? onClick() : askLogin())}>
    {children}
  </button>
);

let loginAsked = () => {};
export const onLogin = (call) => (loginAsked = call);
export const askLogin = () => loginAsked();

/** A button that opens a small form in a dialog. */
export const Ask = ({ title, cls, go, children, disabled, submit, id }) => {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Act cls={cls} id={id} disabled={disabled} onClick={() => setOpen(true)}>{title}</Act>
      {open && (
        <Dialog title={title} onClose={() => setOpen(false)}>
          <form onSubmit={(event) => { event.preventDefault(); setOpen(false); submit(new FormData(event.currentTarget)); }}>
            {children}
            <div class="row">
              <button type="submit" class="main">{go ?? title}</button>
              <button type="button" onClick={() => setOpen(false)}>{T.cancel}</button>
            </div>
          </form>
        </Dialog>
      )}
    </>
  );
};
