import { call, get } from "./api.js";
import { byId } from "./show.js";
import { languageButton, t } from "./words.js";

let who = null;

function show() {
  byId("sign-in").hidden = who !== null;
  byId("signed-in").hidden = who === null;
  if (!who) return;
  byId("welcome").textContent = t("welcome", { name: who.name });
  byId("to-desk").parentElement.hidden = who.role !== "agent";
  byId("to-wallboard").parentElement.hidden = who.role === "agent";
}

// Only our own pages are gone on to.
function next() {
  const wanted = new URLSearchParams(location.search).get("next");
  return wanted === "/desk" || wanted === "/wallboard" ? wanted : null;
}

document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, trouble = byId("trouble");
  trouble.hidden = true;
  try {
    who = await call("POST", "session", { user: form.user.value, password: form.password.value });
    if (next()) { location.assign(next()); return; }
    form.reset();
  } catch (problem) {
    trouble.textContent = problem.status === 429 ? t("wait", { n: problem.retryAfter }) : problem.status === 401 ? t("wrong") : t("failed", { why: problem.message });
    trouble.hidden = false;
    form.password.select();
  }
  show();
});
byId("sign-out").addEventListener("click", async () => { await call("DELETE", "session").catch(() => {}); who = null; show(); });
languageButton(byId("language"), show);
get("session").then((found) => { who = found; }).catch(() => {}).finally(show);
