import { Live, call, get, me, seldom } from "./api.js";
import { byId, cell, clock, connection, drawn, duration, make, percent, running, seconds, state, tile } from "./show.js";
import { because, languageButton, t } from "./words.js";

// More rows than this say nothing to a person; the API has them all.
const ROWS_MAX = 200;
const who = await me();
const ORDER = ["reserved", "connected", "held", "wrap_up", "occupied", "ready", "not_ready", "unreachable", "logged_out"];

function drawQueues() {
  const cards = [...live.queues.values()].map((queue) => {
    const kpi = queue.kpi, level = kpi["sl_long_abandon@1"], gone = kpi["abandonment@1"];
    const longest = make("dd", {}, queue.longest_since ? running(queue.longest_since) : "–");
    const late = queue.longest_wait_seconds > queue.target_seconds;
    return make("article", { class: "card", "aria-label": queue.name }, make("h3", {}, queue.name),
      make("dl", { class: "tiles" },
        tile(t("waiting"), String(queue.waiting), queue.waiting > 0 ? "warn" : ""),
        make("div", { class: late ? "bad" : "" }, make("dt", {}, t("longest")), longest),
        tile(`${t("sl")} (${queue.target_seconds} s)`, percent(level), level !== null && level < 0.8 ? "bad" : ""),
        tile(t("asa"), seconds(kpi["asa@1"])),
        tile(t("abandonment"), percent(gone), gone !== null && gone > 0.05 ? "warn" : ""),
        tile(t("offeredToday"), `${queue.today.offered}`),
        tile(t("answeredToday"), `${queue.today.answered}`),
        tile(t("aht"), duration(kpi["aht@1"]))));
  });
  byId("queues").replaceChildren(...cards);
}

function table(words, rows) {
  const head = make("tr", {}, ...words.map((word) => make("th", { scope: "col" }, t(word))));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}

function drawAgents() {
  const agents = [...live.agents.values()].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.id.localeCompare(b.id));
  const rows = agents.slice(0, ROWS_MAX).map((agent) => make("tr", {},
    make("th", { scope: "row" }, `${agent.name} `, make("span", { class: "note" }, agent.id)),
    cell(make("span", {}, state(agent.state), agent.reason && agent.state === "not_ready" ? ` ${t(agent.reason)}` : "")),
    cell(running(agent.since)), cell(agent.queue), cell(String(agent.today?.handled ?? "–")), cell(percent(agent.kpi?.["occupancy@1"] ?? null))));
  byId("agents").replaceChildren(table(["agent", "state", "inState", "queue", "handled", "occupancy"], rows));
  const ready = agents.filter((agent) => agent.state === "ready").length;
  const there = agents.filter((agent) => agent.state !== "logged_out").length;
  byId("counts").textContent = `${t("ready")} ${ready} / ${there} · ${t("contacts")} ${live.contacts.size}`;
}

// What a supervisor can do with a talk, and what this one does with which: by the audit events of the stream.
const HOWS = ["listen", "whisper", "barge", "take-over"];
const overseen = new Map();

function audited({ type, subject, data }) {
  if (type === "contact.closed") overseen.delete(subject);
  if (type !== "audit" || data.by !== who.user) return;
  if (data.action === "supervision_ended" || data.action === "take-over") overseen.delete(subject);
  else if (HOWS.includes(data.action)) overseen.set(subject, data.action);
  draw();
}

async function oversee(id, how) {
  byId("trouble").hidden = true;
  try { await call("POST", `contacts/${id}/${how}`); } catch (problem) { byId("trouble").textContent = t("failed", { why: because(problem) }); byId("trouble").hidden = false; }
}

function oversight(one) {
  if (one.state !== "connected" || one.agent === who.user) return null;
  const button = (how) => make("button", { type: "button", class: "plain", "data-contact": one.id, "data-how": how, "aria-pressed": String(overseen.get(one.id) === how), onclick: () => oversee(one.id, how) }, t(how));
  return make("span", { class: "oversight" }, ...HOWS.map(button));
}

function drawContacts() {
  const contacts = [...live.contacts.values()].sort((a, b) => a.arrived.localeCompare(b.arrived)).slice(0, ROWS_MAX);
  if (contacts.length === 0) { byId("contacts").replaceChildren(make("p", { class: "note" }, t("nobodyThere"))); return; }
  const { contact: focused, how } = document.activeElement?.dataset ?? {};
  const rows = contacts.map((one) => make("tr", {},
    cell(make("button", { type: "button", class: "plain", "data-contact": one.id, "aria-label": `${t("details")} ${one.ani ?? one.id}`, onclick: () => details(one) }, one.ani ?? one.id)), cell(one.class), cell(state(one.held ? "held" : one.state)), cell(running(one.arrived)), cell(one.queue), cell(one.agent), cell(oversight(one))));
  byId("contacts").replaceChildren(table(["number", "class", "state", "since", "queue", "agent", "oversee"], rows));
  if (focused) byId("contacts").querySelector(`[data-contact="${CSS.escape(focused)}"]${how ? `[data-how="${how}"]` : ":not([data-how])"}`)?.focus();
}

async function details(one) {
  byId("details-title").textContent = `${one.ani ?? ""} · ${one.id}`;
  byId("details-body").replaceChildren();
  byId("details").showModal();
  const [why, ladder] = await Promise.all([get(`contacts/${one.id}/why`), get(`contacts/${one.id}/ladder`)].map((answer) => answer.catch(() => null)));
  const messages = ladder?.messages ?? [];
  byId("details-body").replaceChildren(
    make("h3", {}, t("why")), ...decisions(why?.decisions ?? []),
    make("h3", {}, t("ladder")), messages.length ? make("pre", { tabindex: "0" }, messages.map(timed).join("\n")) : make("p", { class: "note" }, t("noLadder")));
}

// The last contacts that were recorded. What plays goes on while the list is drawn anew.
function drawRecordings(contacts) {
  const recorded = contacts.filter((one) => one.recording?.state === "saved");
  if (recorded.length === 0) { byId("recordings").replaceChildren(make("p", { class: "note" }, t("noRecordings"))); return; }
  const rows = recorded.map((one) => make("tr", {},
    cell(clock(one.recording.began)), cell(one.ani ?? one.id), cell(one.queue), cell((one.recording.agents ?? []).join(", ")), cell(`${duration(one.recording.length_ms / 1000)}${one.recording.complete ? "" : ` · ${t("incomplete")}`}`),
    cell(make("button", { type: "button", "data-recording": one.id, onclick: () => play(one) }, t("listen")))));
  byId("recordings").replaceChildren(table(["time", "number", "queue", "agent", "length", ""], rows));
}

function play(one) {
  const audio = make("audio", { controls: "", autoplay: "", src: `/api/v1/contacts/${encodeURIComponent(one.id)}/recording` });
  audio.addEventListener("error", () => { byId("trouble").textContent = t("failed", { why: one.id }); byId("trouble").hidden = false; });
  byId("player").replaceChildren(`${one.ani ?? one.id} · ${clock(one.recording.began)}`, audio);
  byId("player").hidden = false;
}

const recordings = seldom(1000, async () => drawRecordings((await get("contacts?state=closed&limit=100")).items));

// One line of the ladder: time of day, whose leg, which way, what.
function timed(message) {
  const time = new Date(message.at).toLocaleTimeString(undefined, { hour12: false, fractionalSecondDigits: 3, hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return `${time} ${message.party.padEnd(8)} ${message.direction === "in" ? "→" : "←"} ${message.summary}`;
}

function decisions(list) {
  if (list.length === 0) return [make("p", { class: "note" }, t("noDecision"))];
  return list.map((one) => {
    const terms = (candidate) => Object.entries(candidate.terms).map(([name, value]) => `${name} ${Math.round(value * 100) / 100}`).join(" + ");
    const candidates = one.candidates.map((candidate) => make("tr", {}, make("th", { scope: "row" }, candidate.agent), cell(String(Math.round(candidate.score * 100) / 100)), cell(terms(candidate))));
    const facts = [
      [t("chosen"), one.chosen], [t("runnerUp"), one.runner_up], [t("step"), String(one.step)],
      [t("excluded"), one.excluded.map((some) => `${some.reason}: ${some.count} (${some.examples.join(", ")})`).join("; ")], [t("overtaken"), one.overtaken.join(", ")],
    ];
    return make("div", {},
      make("p", {}, `${new Date(one.at).toLocaleTimeString()} · ${one.queue}`),
      make("dl", { class: "facts" }, ...facts.filter(([, value]) => value).flatMap(([label, value]) => [make("dt", {}, label), make("dd", {}, value)])),
      make("div", { class: "scroll" }, table(["agent", "score", ""], candidates)));
  });
}

const draw = drawn(() => { drawQueues(); drawAgents(); drawContacts(); });
// Ratios are the server's: asked for after something has happened, at most once a second.
const refresh = seldom(1000, async () => {
  const [queues, agents] = await Promise.all([get("queues"), get("agents?limit=500")]);
  for (const queue of queues.items) live.queues.set(queue.name, queue);
  for (const agent of agents.items) live.agents.set(agent.id, { ...agent, ...pick(live.agents.get(agent.id)) });
  draw();
});
// What the stream says of a state is never older than what was asked for.
const pick = (known) => (known?.since ? { state: known.state, reason: known.reason, contact: known.contact, queue: known.queue, since: known.since, until: known.until } : {});

byId("close").addEventListener("click", () => byId("details").close());
byId("sign-out").addEventListener("click", async (event) => { event.preventDefault(); await call("DELETE", "session").catch(() => {}); location.assign("/"); });
const live = new Live({ changed: draw, happened: (message) => { audited(message); refresh(); if (message.type.startsWith("recording.")) recordings(); }, connected: connection(byId("connection")) });
languageButton(byId("language"), () => { document.title = t("wallboard"); draw(); });
document.title = t("wallboard");
if (who.role === "agent") { byId("trouble").textContent = t("notSupervisor"); byId("trouble").hidden = false; }
recordings();
setInterval(refresh, 10000);
