// What state an asset is in: a word, how bad it is, and since when; pure but for what is live.
import { T } from "./texts.js";
import { ms } from "./format.js";
import { isLive, isSign, nodeWord } from "./store.js";

const RANK = { danger: 9, alarm: 8, warning: 7, watch: 6, failed: 5, unjudged: 4, away: 4, none: 3, busy: 2, sign: 1, ok: 0 };

/** As `state`, but an asset whose messages make no sense is not judged, and says so. */
export const judge = (own) => {
  try {
    return state(own);
  } catch {
    return { kind: "unjudged", stale: !isLive(own.node), text: T.undrawable, since: null, word: T.word.unjudged, rank: 4 * RANK.unjudged };
  }
};

const state = (own) => {
  const fault = own.said.fault?.payload;
  const said = own.said.state?.payload;
  const stale = !isLive(own.node);
  const result = (kind, text, since) => ({
    kind, stale, text, since, word: T.word[kind],
    rank: RANK[kind] * 4 + (fault?.active && !fault.acknowledged && !fault.shelved ? 2 : 0) + (stale ? 1 : 0),
  });
  const busy = said && ["recording", "queued", "searching", "deploying"].includes(said.phase);
  if (fault?.active) return result(RANK[fault.severity] ? fault.severity : "alarm", className(fault.class), ms(fault.first_seen));
  if (said?.phase === "failed") return result("failed", said.reason, ms(said.since));
  if (busy) return result("busy", T.phase[said.phase], ms(said.since));
  if (said?.phase === "uncalibrated") return result("none", T.phase.uncalibrated, ms(said.since));
  if (stale && !fault) return result("away", T.link.nodeAway(T.link.nodeWord[nodeWord(own.node)] ?? T.link.nodeWord.unheard), null);
  if (isSign(own)) return result("sign", own.said.classification?.payload.smoothed ?? T.phase.monitoring, ms(said?.since));
  if (!fault || !fault.judged) return result("unjudged", fault?.reason ?? "", ms(said?.since));
  return result("ok", "", ms(fault.cleared) ?? ms(said?.since));
};

export const className = (name) => (name === null || name === undefined ? T.none : String(name).replaceAll("_", " "));
