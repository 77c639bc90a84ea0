// Calls to the API and the live stream. The session is a cookie that scripts cannot read.
export class Problem extends Error {
  constructor(status, body, retryAfter) { super(body?.detail ?? body?.title ?? String(status)); this.status = status; this.retryAfter = retryAfter; }
}

export async function call(method, path, body) {
  const options = { method, credentials: "same-origin", headers: {} };
  if (body !== undefined) { options.body = JSON.stringify(body); options.headers["Content-Type"] = "application/json"; }
  const response = await fetch(`/api/v1/${path}`, options);
  const json = (response.headers.get("content-type") ?? "").includes("json") ? await response.json() : null;
  if (!response.ok) throw new Problem(response.status, json, response.headers.get("retry-after"));
  return json;
}

export const get = (path) => call("GET", path);

// The signed-in user, or the sign-in page.
export async function me() {
  try { return await get("session"); } catch (problem) {
    if (problem.status === 401) { location.assign(`/?next=${encodeURIComponent(location.pathname)}`); await new Promise(() => {}); }
    throw problem;
  }
}

const RETRY_MS = [250, 1000, 2000, 5000];

// The present, kept by the stream: `state` is replaced by a snapshot and changed by each event after it.
export class Live {
  constructor({ changed, happened, connected }) {
    Object.assign(this, { changed, happened, connected, sequence: null, asOf: 0, tries: 0 });
    this.queues = new Map(); this.agents = new Map(); this.contacts = new Map();
    this.connect();
  }

  connect() {
    const url = new URL("/api/v1/stream", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (this.sequence !== null) url.searchParams.set("after", this.sequence);
    const socket = new WebSocket(url);
    socket.addEventListener("message", ({ data }) => this.take(JSON.parse(data)));
    socket.addEventListener("close", ({ code }) => {
      this.connected(false);
      if (code === 4001) { location.assign("/"); return; }
      setTimeout(() => this.connect(), RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)]);
    });
  }

  take(message) {
    this.sequence = message.sequence;
    if (message.type === "snapshot") {
      this.tries = 0;
      this.asOf = message.as_of;
      this.queues = new Map(message.queues.map((one) => [one.name, one]));
      this.agents = new Map(message.agents.map((one) => [one.id, one]));
      this.contacts = new Map(message.contacts.map((one) => [one.id, one]));
      this.connected(true);
    } else {
      if (message.sequence > this.asOf) apply(this, message);
      this.happened?.(message);
    }
    this.changed();
  }
}

function apply(live, { type, time, data }) {
  if (type === "agent.state") {
    const until = data.until ?? null;
    const fresh = { state: data.state, reason: data.reason ?? null, contact: data.contact ?? null, queue: data.queue ?? null, since: time, until };
    const known = live.agents.get(data.agent) ?? { id: data.agent, name: data.agent, group: data.group, today: null, kpi: {} };
    live.agents.set(data.agent, { ...known, ...fresh });
    return;
  }
  if (!data.contact) return;
  const contact = live.contacts.get(data.contact) ?? { id: data.contact, arrived: time, state: "in_ivr", customers: [] };
  const change = changes[type]?.(data, time, contact);
  if (type === "contact.closed") live.contacts.delete(data.contact);
  else if (change) live.contacts.set(data.contact, { ...contact, ...change });
}

const changes = {
  "contact.arrived": (d, time) => ({ arrived: time, ani: d.ani ?? null, withheld: d.withheld ?? false, signalling: d.signalling ?? null, dnis: d.dnis, direction: d.direction, agent: d.by ?? null, by: d.by ?? null }),
  "contact.identified": (d) => ({ customers: d.customers, customer: d.customers[0] ?? null, class: d.class }),
  "contact.queued": (d) => ({ state: "waiting", queue: d.queue, agent: null }),
  "contact.offered": (d, _, c) => ({ state: "offered", queue: d.queue, agent: d.agent, pop: d.pop ?? null, flow_data: d.flow_data ?? null, ani: d.ani ?? c.ani, withheld: d.withheld ?? c.withheld, signalling: d.signalling ?? c.signalling }),
  "contact.offer_ended": () => ({ state: "waiting", agent: null }),
  "contact.answered": (d, time) => ({ state: "connected", agent: d.agent, answered: time }),
  "contact.held": () => ({ held: true }),
  "contact.resumed": () => ({ held: false }),
  "contact.recording": (d) => ({ recording: { state: d.state } }),
  "contact.transferred": (d, _, c) => (d.from ? { agent: null, held: false, state: d.to.startsWith("flow:") ? "in_ivr" : c.state } : {}),
  "contact.disposition": (d) => ({ disposition: d.code }),
  "contact.left_queue": () => ({ state: "in_ivr" }),
};

// Calls `work` at most once in `ms`, and once more after the last wish.
export function seldom(ms, work) {
  let waiting = null, last = 0;
  return () => {
    if (waiting) return;
    waiting = setTimeout(async () => { waiting = null; last = Date.now(); try { await work(); } catch { /* the next wish tries again */ } }, Math.max(0, last + ms - Date.now()));
  };
}
