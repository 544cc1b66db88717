// The dialog of one order: its signal, the checks, the way to the venue, its fills. It follows an order that is at work.

import { get } from "/page/session.js";
import { clock, exact, exactClock } from "/page/numbers.js";
import { by, make, rate, say } from "/page/tables.js";

const STAGE = {
  TargetSet: ["signal"],
  OperatorActionRecorded: ["by hand"],
  OrderIntended: ["checked", "good"],
  RequestDenied: ["denied", "bad"],
  AmendIntended: ["amend"],
  CancelIntended: ["cancel"],
  OrderReleased: ["released"],
  OperationSentRecorded: ["sent"],
  OperationLost: ["unknown", "bad"],
  OperationSettled: ["answered"],
  OrderAcknowledged: ["acknowledged", "good"],
  OrderAmended: ["amended"],
  OrderMoved: ["state"],
  FillRecorded: ["fill", "good"],
  FillCorrected: ["corrected", "warn"],
  ExternalOrderSeen: ["seen"],
};

let open = ""; // the order that is shown
let known = ""; // what the stream said of it last
let again = false; // the stream may be ahead of the journal by a commit: each change is asked for twice
let asking = false;

/** Shows an order's chain. */
export function openChain(id) {
  [open, known] = [id, ""];
  say(by("chain-title"), `Order ${id}`);
  say(by("chain-said"), "Asking…");
  by("chain-facts").replaceChildren();
  by("steps").replaceChildren();
  by("chain").showModal();
  ask(id);
}

/** Asks anew when the stream shows that something happened to the order on show. */
export function followChain(glance) {
  if (!open || asking) return;
  const row = glance.orders.find((one) => one.client_order_id === open);
  const now = row ? `${row.state} ${row.filled} ${row.operation} ${row.price} ${row.quantity}` : "ended";
  if (known !== now || again) ask(open);
  [again, known] = [known !== now, now];
}

by("chain").addEventListener("close", () => {
  if (!by("chain").open) open = ""; // told late: another order may be on show by now
});

async function ask(id) {
  asking = true;
  try {
    const chain = await get(`/v1/why/order/${encodeURIComponent(id)}`);
    if (open === id) show(chain);
  } catch (error) {
    if (open === id) say(by("chain-said"), error.message);
  } finally {
    asking = false;
  }
}

function show({ run, steps, truncated, archived }) {
  const facts = steps.length ? summary(steps, run) : [];
  by("chain-facts").replaceChildren(...facts.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]));
  by("steps").replaceChildren(...steps.map((step) => item(step, steps[0].at_ns)));
  const earlier = archived ? "Earlier steps lie in the journal's archive: quantd journal show --about finds them." : "";
  say(by("chain-said"), truncated ? "There are more steps than are shown." : earlier);
}

function summary(steps, run) {
  const intent = steps.find((step) => step.kind === "OrderIntended")?.fact;
  const filled = steps.findLast((step) => step.kind === "FillRecorded")?.fact.cumulative ?? "0";
  const found = [];
  if (intent) {
    const { spec, strategy, origin, why, input } = intent;
    const at = spec.price === null ? "" : ` at ${exact(spec.price)}`;
    found.push(
      ["Order", `${spec.kind} ${spec.side} ${exact(spec.quantity)} ${spec.instrument}${at}`],
      ["Strategy", strategy || origin],
      ["Signal", [why || "no reason given", input && `(${input})`].filter(Boolean).join(" ")],
      ["Filled", `${exact(filled)} of ${exact(spec.quantity)}`],
    );
  }
  found.push(["Began", `${clock(steps[0].at_ns, Date.now() * 1e6)} UTC`]);
  if (run) found.push(["Run", `version ${run.version}, configuration ${run.config_hash.slice(0, 12)}`]);
  return found;
}

function item({ at_ns: atNs, kind, summary: told }, beginNs) {
  const [name, level = ""] = STAGE[kind] ?? [kind];
  const stage = make("b", { title: kind }, name);
  rate(stage, level);
  const later = `+${((atNs - beginNs) / 1e6).toFixed(1)} ms`;
  return make("li", {}, make("time", { title: later }, exactClock(atNs)), stage, make("span", {}, told));
}
