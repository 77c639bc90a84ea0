// Small parts that the pages share. Text always goes in as text, never as markup.
import { t, locale } from "./words.js";

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
export const since = (time) => (time ? duration((Date.now() - Date.parse(time)) / 1000) : "–");
export const percent = (ratio) => (ratio === null || ratio === undefined ? "–" : new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 1 }).format(ratio));
export const seconds = (value) => (value === null || value === undefined ? "–" : `${new Intl.NumberFormat(locale(), { maximumFractionDigits: 1 }).format(value)} s`);
export const clock = (time) => new Intl.DateTimeFormat(locale(), { dateStyle: "short", timeStyle: "short" }).format(new Date(time));
export const state = (word) => make("span", { class: `state ${word}` }, t(word));
export const tile = (label, value, kind = "") => make("div", { class: kind }, make("dt", {}, label), make("dd", {}, value));

// A time that runs: refreshed every second without drawing the page anew.
export const running = (time) => make("span", { "data-since": time ?? "" }, since(time));
setInterval(() => { for (const one of document.querySelectorAll("[data-since]")) { const text = since(one.dataset.since); if (one.textContent !== text) one.textContent = text; } }, 1000);

export function cell(content, attributes = {}) { return make("td", attributes, content ?? "–"); }

export function connection(element) {
  return (up) => { element.textContent = up ? "" : t("lost"); element.hidden = up; };
}

// Draws once a frame, however often it is asked to.
export function drawn(work) {
  let asked = false;
  return () => { if (!asked) { asked = true; requestAnimationFrame(() => { asked = false; work(); }); } };
}
