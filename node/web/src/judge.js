// What state an asset is in: a word, how bad it is, and since when; pure but for what is live.
import { T } from "./texts.js";
import { ms } from "./format.js";
import { isLive, isSign, nodeWord } from "./store.js";

const RANK = { danger: 9, alarm: 8, warning: 7, watch: 6, failed: 5, unjudged: 4, away: 4, none: 3, busy: 2, sign: 1, ok: 0 };

export const judge = (own) => {
  const fault = own.said.fault?.payload;
  const state = own.said.state?.payload;
  const stale = !isLive(own.node);
  const result = (kind, text, since) => ({
    kind, stale, text, since, word: T.word[kind],
    rank: RANK[kind] * 4 + (fault?.active && !fault.acknowledged && !fault.shelved ? 2 : 0) + (stale ? 1 : 0),
  });
  const busy = state && ["recording", "queued", "searching", "deploying"].includes(state.phase);
  if (fault?.active) return result(RANK[fault.severity] ? fault.severity : "alarm", className(fault.class), ms(fault.first_seen));
  if (state?.phase === "failed") return result("failed", state.reason, ms(state.since));
  if (busy) return result("busy", T.phase[state.phase], ms(state.since));
  if (state?.phase === "uncalibrated") return result("none", T.phase.uncalibrated, ms(state.since));
  if (stale && !fault) return result("away", T.link.nodeAway(T.link.nodeWord[nodeWord(own.node)] ?? T.link.nodeWord.unheard), null);
  if (isSign(own)) return result("sign", own.said.classification?.payload.smoothed ?? T.phase.monitoring, ms(state?.since));
  if (!fault || !fault.judged) return result("unjudged", fault?.reason ?? "", ms(state?.since));
  return result("ok", "", ms(fault.cleared) ?? ms(state?.since));
};

export const className = (name) => (name === null || name === undefined ? T.none : String(name).replaceAll("_", " "));
