// What the agent can do with a contact: hold, pass on, consult, keys, and what it was about. A button is there only while its call allows it.
import { call } from "./api.js";
import { byId, make } from "./show.js";
import { because, t } from "./words.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const CODES = ["resolved", "follow_up", "callback", "complaint", "wrong_number", "spam"];
const SHORTCUTS = { KeyH: "hold", KeyT: "to", KeyC: "consult", KeyB: "back", KeyK: "keypad", KeyN: "note", KeyR: "record" };

let now = { contact: null, consult: null, wrapUp: null };
// What was asked for and is not settled yet: whom the caller is being passed on to.
let passing = null;

const path = (verb) => `contacts/${now.contact?.id ?? now.wrapUp}/${verb}`;
const target = () => byId("to").value.trim();

// The contact that the agent talks in, whom they consult, and what they may still write a note about.
export function present(live, user, contact) {
  const agent = live.agents.get(user);
  const talks = contact?.state === "connected" && contact.agent === user ? contact : null;
  const asked = talks?.held ? [...live.contacts.values()].find((one) => one.by === user && one.id !== talks.id) : null;
  if (talks?.id !== now.contact?.id) passing = null;
  now = { contact: talks, consult: asked ?? null, wrapUp: agent?.state === "wrap_up" ? agent.contact : null };
  draw();
}

// The news of the stream that settle a transfer.
export function heard({ type, data }) {
  if (data.contact !== now.contact?.id) return;
  if (type === "contact.transferred") passing = null;
  if (type !== "contact.transfer_failed") return;
  passing = null;
  complain(t("transferFailed", { to: data.to, why: t(`status_${data.status}`, { n: data.status }) }));
}

function draw() {
  const { contact, consult, wrapUp } = now, free = contact && !consult && !passing;
  const recorded = contact?.recording?.state === "on";
  const shown = { record: contact && !recorded, pause: recorded, hold: free && !contact.held, resume: free && contact.held, where: free, consulting: consult, keys: contact && !passing && (consult || !contact.held), about: contact || wrapUp, "about-end": wrapUp, shortcuts: contact };
  byId("verbs").hidden = !contact && !wrapUp;
  for (const [id, visible] of Object.entries(shown)) byId(id).hidden = !visible;
  byId("consulted").textContent = consult ? t(consult.state === "connected" ? "consultTalks" : "consultRings", { to: consult.agent && consult.state === "connected" ? consult.agent : consult.dnis }) : "";
  byId("passing").textContent = passing && contact ? t("passing", { to: passing }) : "";
}

// Whom a caller can be passed on to, as suggestions; any number may be typed.
export function suggest(live, user) {
  const agents = [...live.agents.values()].filter((one) => one.id !== user).map((one) => [`agent:${one.id}`, `${one.name} · ${t(one.state)}`]);
  const queues = [...live.queues.keys()].map((name) => [`queue:${name}`, t("queue")]);
  const options = [...agents, ...queues].map(([value, label]) => make("option", { value, label }));
  const head = options.map((one) => `${one.value}${one.label}`).join();
  if (byId("targets").dataset.head !== head) { byId("targets").dataset.head = head; byId("targets").replaceChildren(...options); }
}

function complain(text) {
  byId("trouble").textContent = text ?? "";
  byId("trouble").hidden = !text;
}

async function ask(verb, body) {
  complain(null);
  try { await call("POST", path(verb), body); return true; } catch (problem) { complain(t("failed", { why: because(problem) })); return false; }
}

async function transfer() {
  const to = target();
  if (!to) { byId("to").focus(); complain(t("whereTo")); return; }
  passing = to;
  draw();
  if (!await ask("transfer", { to })) passing = null;
  draw();
}

async function consult() {
  if (!target()) { byId("to").focus(); complain(t("whereTo")); return; }
  await ask("consult", { to: target() });
}

async function confer() {
  if (!target()) { byId("to").focus(); complain(t("whereTo")); return; }
  await ask("conference", { to: target() });
}

async function dispose(end) {
  const note = byId("note").value.trim();
  const done = await ask("disposition", { code: byId("code").value, ...(note && { note }), ...(end && { end_wrap_up: true }) });
  byId("saved").textContent = done ? t("saved") : "";
  if (done && end) byId("note").value = "";
}

const act = {
  record: () => ask(now.contact?.recording?.state === "on" ? "pause-recording" : "resume-recording"),
  hold: () => ask(now.contact?.held ? "resume" : "hold"),
  consult: () => (now.consult ? ask("transfer", { mode: "complete" }) : consult()),
  back: () => now.consult && ask("resume"),
  to: () => byId("to").focus(),
  keypad: () => { byId("keys").open = !byId("keys").open; byId("keypad").querySelector("button").focus(); },
  note: () => byId("note").focus(),
};

// Where a shortcut acts: on nothing that is not to be seen.
const allowed = { record: ["record", "pause"], hold: ["hold", "resume"], to: ["where"], consult: ["where", "consulting"], back: ["consulting"], keypad: ["keys"], note: ["about"] };

function pressed(event) {
  const name = event.altKey && !event.ctrlKey && !event.metaKey ? SHORTCUTS[event.code] : null;
  if (name && !byId("verbs").hidden && allowed[name].some((id) => !byId(id).hidden)) { event.preventDefault(); act[name](); return; }
  const typing = event.target.closest?.("input, textarea, select");
  if (!byId("keys").hidden && byId("keys").open && !typing && !event.altKey && !event.ctrlKey && !event.metaKey && KEYS.includes(event.key)) press(event.key);
}

// One key after the other, in the order in which they were pressed.
let line = Promise.resolve();
function press(key) {
  byId("pressed").textContent = (byId("pressed").textContent + key).slice(-24);
  line = line.then(() => ask("dtmf", { digits: key }));
}

export function begin() {
  for (const id of ["record", "pause"]) byId(id).addEventListener("click", act.record);
  for (const id of ["hold", "resume"]) byId(id).addEventListener("click", act.hold);
  byId("where").addEventListener("submit", (event) => { event.preventDefault(); transfer(); });
  byId("consult").addEventListener("click", consult);
  byId("confer").addEventListener("click", confer);
  byId("add").addEventListener("click", () => now.consult && ask("conference"));
  byId("complete").addEventListener("click", act.consult);
  byId("back").addEventListener("click", act.back);
  byId("about").addEventListener("submit", (event) => { event.preventDefault(); dispose(false); });
  byId("about-end").addEventListener("click", () => dispose(true));
  byId("keypad").append(...KEYS.map((key) => make("button", { type: "button", onclick: () => press(key) }, key)));
  byId("keys").addEventListener("toggle", () => { byId("pressed").textContent = ""; });
  byId("code").append(...CODES.map((code) => make("option", { value: code, "data-t": `code_${code}` })));
  document.addEventListener("keydown", pressed);
}
