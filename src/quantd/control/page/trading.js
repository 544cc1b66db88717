// The trading state: what is halted, by whom and why, and the buttons that halt, reduce and resume.

import { Refused, post } from "/page/session.js";
import { clock, lasting } from "/page/numbers.js";
import { by, make, rate, say } from "/page/tables.js";

const MEANING = {
  active: "Strategies trade within their limits.",
  reducing: "Only what reduces exposure is sent. Cancels are.",
  halted: "Nothing is sent but cancels; exits are not sent either.",
};
const WITHOUT_DAEMON = "On the machine itself, quantd halt works even when the daemon hangs.";
const LEVEL = { active: "good", reducing: "warn", halted: "bad" };

/** Shows the trading state in the header, the title and the panel. */
export function showTrading(status) {
  const latched = status.latches.filter((latch) => latch.state !== "active").sort(widestFirst);
  const told = new Set(latched.map((latch) => `halted ${latch.scope}: ${latch.why}`)); // shown as latches already
  const reasons = [...status.reasons.filter((reason) => !told.has(reason)), ...status.failures];
  const all = latched.find((latch) => latch.scope === "all")?.state ?? "active";
  const [word, level] = wording(all, latched, reasons);
  say(by("state"), word);
  document.body.dataset.level = level;
  document.title = level === "good" ? "quantd" : `${word} · quantd`;
  const isPartly = all === "active" && latched.length;
  say(by("meaning"), isPartly ? "Some scopes are stopped; the others trade within their limits." : MEANING[all]);
  showLatches(latched, status.now_ns);
  list(by("reasons"), reasons);
  offer(by("scope"), [
    "all",
    ...status.venues.map((one) => `venue:${one.name}`),
    ...status.strategies.map((one) => `strategy:${one.id}`),
    ...status.feeds.map((one) => `instrument:${one.instrument}`),
    ...latched.map((one) => one.scope),
  ]);
}

function widestFirst(one, other) {
  return (other.scope === "all") - (one.scope === "all") || one.at_ns - other.at_ns;
}

function wording(all, latched, reasons) {
  if (all !== "active") return [all, LEVEL[all]];
  if (reasons.length) return ["not ready", "warn"];
  if (!latched.length) return ["active", "good"];
  const halted = latched.some((latch) => latch.state === "halted") ? "halted" : "reducing"; // the worst of them
  return [`${latched.length} ${latched.length === 1 ? "scope" : "scopes"} ${halted}`, "warn"];
}

function showLatches(latched, nowNs) {
  const place = by("latches");
  const wanted = latched.map((one) => `${one.scope} ${one.state} ${one.at_ns}`);
  if (wanted.join("\n") !== place.dataset.shown) {
    place.dataset.shown = wanted.join("\n");
    place.replaceChildren(...latched.map(latchItem));
  }
  latched.forEach((one, index) => {
    const since = `since ${clock(one.at_ns, nowNs)} UTC, ${lasting((nowNs - one.at_ns) / 1e9)}`;
    say(place.children[index].querySelector(".since"), since);
  });
}

function latchItem(latch) {
  const lift = make("button", { type: "button", onclick: () => prepare(latch.scope) }, "Resume…");
  lift.setAttribute("aria-label", `Resume ${latch.scope}…`);
  const item = make(
    "li", {},
    make("strong", {}, latch.state), make("span", { className: "scope" }, latch.scope),
    make("span", { className: "why" }, latch.why || "no reason given"),
    make("span", { className: "who" }, `by ${latch.by}, `, make("span", { className: "since" })), lift,
  );
  rate(item, LEVEL[latch.state]);
  return item;
}

/** Chooses a scope and asks for the reason; nothing is sent yet. */
function prepare(scope) {
  by("scope").value = scope;
  say(by("answer"), "");
  by("why").focus();
}

function list(place, texts) {
  if (place.dataset.shown === texts.join("\n")) return;
  place.dataset.shown = texts.join("\n");
  place.replaceChildren(...texts.map((one) => make("li", {}, one)));
}

/** Offers names in a select, and keeps what is chosen even when its name has gone: "all" must not take its place unasked. */
export function offer(select, names) {
  const chosen = select.value;
  const wanted = [...new Set(chosen ? [...names, chosen] : names)];
  if (wanted.join("\n") === [...select.options].map((one) => one.value).join("\n")) return;
  select.replaceChildren(...wanted.map((name) => make("option", { value: name }, name)));
  if (chosen) select.value = chosen;
}

async function steer(path, decided) {
  const why = by("why").value.trim();
  const scope = by("scope").value || "all";
  if (path === "/v1/resume" && !why) {
    tell("Say why it is safe to resume; the journal keeps it.", "warn");
    by("why").focus();
    return;
  }
  tell("Sent…");
  try {
    const told = await post(path, { scope, why: why || "from the web page", ...decided });
    tell(`${told.scope} is ${told.state}, by ${told.by}${told.done ? "." : "; the engine will follow."}`);
    by("why").value = "";
  } catch (error) {
    const refused = error instanceof Refused;
    tell(refused ? `Refused: ${error.message}` : `Perhaps not done: ${error.message}. ${WITHOUT_DAEMON}`, "bad");
  }
}

function tell(text, level = "") {
  say(by("answer"), text);
  rate(by("answer"), level);
}

by("halt").addEventListener("click", () => steer("/v1/halt", { state: "halted" }));
by("reduce").addEventListener("click", () => steer("/v1/halt", { state: "reducing" }));
by("resume").addEventListener("click", () => steer("/v1/resume", {}));
by("steer").addEventListener("submit", (event) => event.preventDefault()); // Enter in the reason decides nothing
