import { Live, call, get, me, seldom } from "./api.js";
import { byId, cell, clock, connection, drawn, duration, make, percent, running, state, tile } from "./show.js";
import * as verbs from "./verbs.js";
import { because, languageButton, t } from "./words.js";

const REASONS = ["break", "lunch", "meeting", "training", "other"];
const who = await me();
let today = null;

const mine = () => live.agents.get(who.user);
const contact = () => [...live.contacts.values()].find((one) => one.agent === who.user && one.id === mine()?.contact) ?? [...live.contacts.values()].find((one) => one.agent === who.user);

function drawState() {
  const agent = mine();
  if (!agent) return;
  const reason = agent.reason && agent.state === "not_ready" ? ` · ${t(agent.reason)}` : "";
  const head = `${agent.state}${agent.reason}${agent.since}`;
  if (byId("state").dataset.head !== head + document.documentElement.lang) {
    byId("state").dataset.head = head + document.documentElement.lang;
    byId("state").replaceChildren(state(agent.state), `${reason}  `, running(agent.since));
  }
  byId("ready").setAttribute("aria-pressed", String(agent.state === "ready"));
  byId("not-ready").setAttribute("aria-pressed", String(agent.state === "not_ready"));
  byId("end-wrap-up").hidden = agent.state !== "wrap_up";
}

function drawContact() {
  const box = byId("contact"), one = contact();
  box.setAttribute("aria-label", t("contact"));
  box.classList.toggle("ringing", one?.state === "offered");
  if (!one) { box.replaceChildren(make("p", { class: "note" }, t("noContact"))); return; }
  const [first, ...others] = one.pop?.customers ?? [];
  const name = first?.name ?? t("unknown");
  const number = one.ani ?? (one.withheld ? t("withheld") : null);
  const diverted = (one.signalling?.diversions ?? []).map((by) => by.reason ? `${by.from} (${by.reason})` : by.from).join(", ");
  const facts = [[t("number"), number], [t("diverted"), diverted], [t("queue"), one.queue], ...Object.entries(one.flow_data ?? {}), [t("alsoHere"), others.map((other) => other.name).join(", ")]];
  box.replaceChildren(
    make("div", { class: "head" },
      first?.class ? make("span", { class: "class", title: t("valueClass", { n: first.class }), "aria-label": t("valueClass", { n: first.class }), role: "img" }, first.class) : null,
      make("h2", {}, name), state(one.held ? "held" : one.state), running(one.answered ?? one.arrived),
      one.recording && one.recording.state !== "off" ? make("span", { class: `state recording ${one.recording.state}`, id: "recording" }, t(`recording_${one.recording.state}`)) : null,
      ...(first?.tags ?? []).map((tag) => make("span", { class: "tag" }, tag)),
      make("span", { class: "grow" }),
      one.state === "connected" ? make("button", { type: "button", class: "stop", onclick: () => ask("POST", `contacts/${one.id}/hangup`) }, t("hangUp")) : null),
    make("dl", { class: "facts" }, ...facts.filter(([, value]) => value).flatMap(([label, value]) => [make("dt", {}, label), make("dd", {}, value)])),
    make("h3", {}, t("lastContacts")),
    lastContacts(one.pop?.last_contacts ?? []));
}

function lastContacts(list) {
  if (list.length === 0) return make("p", { class: "note" }, t("firstContact"));
  const head = make("tr", {}, ...["time", "queue", "agent", "outcome"].map((word) => make("th", { scope: "col" }, t(word))));
  const rows = list.map((last) => make("tr", {}, cell(clock(last.arrived)), cell(last.queue), cell(last.agent), cell(t(last.outcome))));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

function drawDay() {
  if (!today) return;
  const spent = today.today.state_seconds, kpi = today.kpi;
  byId("day").replaceChildren(
    tile(t("handled"), String(today.today.handled)), tile(t("talk"), duration(spent.connected)), tile(t("hold"), duration(spent.held)),
    tile(t("acw"), duration(spent.wrap_up)), tile(t("idle"), duration(spent.ready)), tile(t("aht"), duration(kpi["aht@1"])),
    tile(t("occupancy"), percent(kpi["occupancy@1"])), tile(t("answerRate"), percent(kpi["answer_rate@1"])));
}

const draw = drawn(() => { drawState(); drawContact(); verbs.present(live, who.user, contact()); verbs.suggest(live, who.user); drawDay(); });
const refresh = seldom(2000, async () => { today = await get(`agents/${who.user}`); draw(); });

async function ask(method, path, body) {
  byId("trouble").hidden = true;
  try { await call(method, path, body); } catch (problem) {
    byId("trouble").textContent = t("failed", { why: because(problem) });
    byId("trouble").hidden = false;
  }
}

function happened({ type, data }) {
  if (type === "contact.offered" && data.agent === who.user) {
    const name = data.pop?.customers[0]?.name ?? data.ani ?? t(data.withheld ? "withheld" : "unknown");
    byId("news").textContent = t("incoming", { name });
    document.title = `☎ ${name}`;
  } else if (["contact.answered", "contact.offer_ended", "contact.closed"].includes(type)) document.title = t("desk");
  verbs.heard({ type, data });
  refresh();
}

byId("name").textContent = `${who.name} (${who.user})`;
const wish = (body) => ask("PUT", `agents/${who.user}/state`, body);
byId("ready").addEventListener("click", () => wish({ state: "ready" }));
byId("not-ready").addEventListener("click", () => wish({ state: "not_ready", reason: byId("reason").value }));
byId("log-out").addEventListener("click", () => wish({ state: "logged_out" }));
byId("end-wrap-up").addEventListener("click", () => ask("POST", `agents/${who.user}/end-wrap-up`));
byId("sign-out").addEventListener("click", async (event) => { event.preventDefault(); await call("DELETE", "session").catch(() => {}); location.assign("/"); });
for (const reason of REASONS) byId("reason").append(make("option", { value: reason, "data-t": reason }));
verbs.begin();
const live = new Live({ changed: draw, happened, connected: connection(byId("connection")) });
languageButton(byId("language"), () => { document.title = t("desk"); draw(); });
document.title = t("desk");
if (who.role !== "agent") { byId("trouble").textContent = t("notAgent"); byId("trouble").hidden = false; }
refresh();
setInterval(refresh, 15000);
