// The page: takes the token, follows the stream, and has everything shown that it tells.

import { followChain } from "/page/chain.js";
import { Memory } from "/page/memory.js";
import { lasting } from "/page/numbers.js";
import { showCharts, showFigures, showTables } from "/page/panels.js";
import { Away, Refused, follow, forget, get, keep, token } from "/page/session.js";
import { by, rate, say } from "/page/tables.js";
import { offer, showTrading } from "/page/trading.js";

const STALE_MS = 5000;
const FILLS = 200;
const [PAUSE_MS, PAUSE_MAX_MS] = [1000, 4000];

let memory = null;
let glance = null;
let fills = [];
let fillsSeen = null; // how many the stream counted when they were asked for last
let asking = false;
let heardAt = null; // by the browser's own steady clock
let trouble = ""; // why the daemon tells nothing, in its own words
let stop = null;

// -- entering and leaving ---------------------------------------------------------------------------------------------

by("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  const shown = by("token").value.trim();
  by("token").value = "";
  say(by("refused"), "");
  try {
    await get("/v1/status", { shown });
  } catch (error) {
    say(by("refused"), error.message);
    by("token").focus();
    return;
  }
  keep(shown);
  begin();
});

by("leave").addEventListener("click", leave);

function leave() {
  forget();
  stop?.abort();
  location.replace("/"); // a fresh document: nothing that was shown stays in this one
}

function invite(why = "") {
  by("enter").hidden = false;
  say(by("refused"), why);
  by("token").focus();
}

async function begin() {
  by("enter").hidden = true;
  by("leave").hidden = false;
  stop = new AbortController();
  const { signal } = stop;
  for (let pause = PAUSE_MS; !signal.aborted; pause = Math.min(pause * 2, PAUSE_MAX_MS)) {
    try {
      memory = new Memory(await get("/v1/history", { signal }));
      fillsSeen = null; // a daemon that began anew may have counted as many, and others
      await follow("/v1/stream", signal, (told) => {
        pause = PAUSE_MS / 2;
        heard(told);
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status === 401) return leave();
      if (error instanceof Refused) trouble = error.message;
      else if (!(error instanceof Away)) reportError(error);
    }
    showLink();
    await new Promise((done) => setTimeout(done, pause));
  }
}

// -- showing ----------------------------------------------------------------------------------------------------------

function heard(told) {
  glance = told;
  heardAt = performance.now();
  trouble = "";
  by("shown").hidden = false;
  memory.add(told.status);
  show();
  followChain(told);
  if (told.fills !== fillsSeen) askFills(told.fills);
}

async function askFills(count) {
  if (asking) return; // the next event sees that there are more
  asking = true;
  try {
    const told = (await get(`/v1/fills?limit=${FILLS}`)).fills;
    if (!fills.length && told.length) by("instrument").value = told[0].instrument; // where there is something to see
    [fills, fillsSeen] = [told, count];
    show();
  } catch {
    // asked for again with the next event
  } finally {
    asking = false;
  }
}

function show() {
  const { status } = glance;
  showLink();
  showTrading(status);
  showFigures(status);
  offer(by("instrument"), memory.instruments);
  showTables(glance, fills);
  showCharts(memory, status, fills);
  say(by("about"), `quantd ${status.version}, configuration ${status.config_hash.slice(0, 12)}, journal ${status.journal_id}. Times are UTC.`);
}
by("instrument").addEventListener("change", () => showCharts(memory, glance.status, fills));

function showLink() {
  const silentMs = heardAt === null ? 0 : performance.now() - heardAt;
  const isOld = silentMs > STALE_MS;
  document.body.classList.toggle("stale", isOld);
  const text = isOld ? `no news for ${lasting(silentMs / 1000)}: what is shown is old` : "live";
  const before = token() ? "connecting" : "";
  say(by("link"), trouble || (heardAt === null ? before : text));
  rate(by("link"), trouble || isOld ? "bad" : heardAt === null ? "" : "good");
}
setInterval(showLink, 1000);

if (token()) begin();
else invite();
