// The page: state in the address, one search at a time, live rows when asked for.

import * as api from "./api.js";
import { firingCount, showAlerts } from "./alerts.js";
import { Histogram, sparkline, stepFor } from "./histogram.js";
import { List, ROWS_MAX } from "./list.js";
import { LEVELS, isLogql, isMetric, rangeOf, readState, toLogql, writeState } from "./query.js";
import { element, filterStage, shortNumber, timeParts } from "./row.js";

const PAGE_ROWS = 1000;
const SERIES_MAX = 200;
const $ = (id) => document.getElementById(id);

let state = readState();
let running = null; // AbortController of the search under way
let loadingMore = false;
let exhausted = true;
let stopFollowing = null;
let waiting = []; // live rows that came while the reader was scrolled down
let fromTop = false;

const list = new List($("list"), {
  onNearEnd: loadMore,
  onScrolledFromTop: (scrolled) => {
    fromTop = scrolled;
    if (!scrolled) showWaiting();
  },
  addFilter: (kind, name, op, value) => {
    const base = isLogql(state.text) ? state.text.trim() : toLogql({ ...state, levels: [] });
    state.text = `${base} ${filterStage(kind, name, op, value)}`;
    state.service = "";
    search();
  },
  showContext,
});
const histogram = new Histogram($("histogram"), {
  onZoom: (from, to) => {
    state.from = Math.floor(from);
    state.to = Math.ceil(to);
    search();
  },
});

/** Words of a plain search, to mark them in the lines. */
function highlightOf(text) {
  const words = isLogql(text)
    ? [...text.matchAll(/\|[=~]\s*"((?:[^"\\]|\\.)+)"/g)].map((match) => match[1].replace(/^\(\?i\)/, "").replace(/\\(.)/g, "$1"))
    : (text.match(/"[^"]+"|\S+/g) ?? []).filter((word) => !word.startsWith("-")).map((word) => word.replace(/"/g, ""));
  const escaped = words.filter(Boolean).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return escaped.length ? new RegExp(escaped.join("|"), "gi") : null;
}

/** The line of the query that the server found fault with, and a caret under the place. */
function withCaret(message, query) {
  const place = /\bat line (\d+), col (\d+)/.exec(message);
  const line = place && query ? query.split("\n")[place[1] - 1] : undefined;
  if (line === undefined) return message;
  const indent = [...line].slice(0, place[2] - 1).map((c) => (c === "\t" ? c : " ")).join("");
  return `${message}\n${line}\n${indent}^`;
}

function showError(message, query) {
  $("query-error").textContent = message ? withCaret(message, query) : "";
  $("query-error").hidden = !message;
}

function syncControls() {
  $("query").value = state.text;
  $("service").value = state.service;
  const custom = state.from !== null && state.to !== null;
  $("range").value = custom ? "custom" : String(state.since);
  $("custom-range").hidden = !custom;
  if (custom) {
    const local = (secs) => new Date(secs * 1000 - new Date(secs * 1000).getTimezoneOffset() * 60000).toISOString().slice(0, 19);
    $("from").value = local(state.from);
    $("to").value = local(state.to);
  }
  for (const chip of $("levels").children) {
    chip.setAttribute("aria-pressed", String(state.levels.includes(chip.dataset.level)));
  }
}

async function search({ remember = true } = {}) {
  follow(false);
  running?.abort();
  const mine = running = new AbortController();
  if (remember) writeState(state);
  syncControls();
  showError(null);
  const query = toLogql(state);
  const range = rangeOf(state);
  $("summary").textContent = "Searching ...";
  exhausted = true;
  const began = performance.now();
  const metric = isMetric(query);
  for (const id of ["histogram", "list"]) $(id).hidden = metric;
  $("series").hidden = !metric;
  drawHistogram(query, range, mine.signal);
  if (metric) {
    await showMetric(query, range, mine.signal);
    return;
  }
  try {
    const { rows, stats } = await api.logs({ query, start: nanos(range.start), end: nanos(range.end), limit: PAGE_ROWS, signal: mine.signal });
    list.setOptions({ highlight: highlightOf(state.text) });
    list.set(rows);
    list.search = { query, start: range.start };
    exhausted = rows.length < PAGE_ROWS;
    const bytes = (stats.totalBytesProcessed ?? 0) / 1e6;
    if (rows.length) {
      $("summary").textContent = `${rows.length}${exhausted ? "" : "+"} lines in ${Math.round(performance.now() - began)} ms, ${bytes.toFixed(1)} MB read`;
    } else {
      await showNearest(query, range, mine.signal);
    }
  } catch (error) {
    failed(error);
  }
}

/** Nothing in the range: says where the next lines are, and goes there on a click. */
async function showNearest(query, range, signal) {
  $("summary").textContent = "No line in this range.";
  const found = await api.nearest({ query, start: nanos(range.start), end: nanos(range.end), signal });
  const what = found.matches === "query" ? "lines" : "lines of these services";
  const links = ["before", "after"].filter((side) => found[side]).map((side) => {
    const ts = BigInt(found[side]);
    const [day, time] = timeParts(ts, $("utc").checked);
    return element("button", { type: "button", class: "go", "data-side": side, onclick: () => {
      const at = Number(ts / 1000000000n);
      const span = range.end - range.start;
      state.from = side === "before" ? Math.floor(at + 1 - span) : at;
      state.to = side === "before" ? at + 1 : Math.ceil(at + span);
      search();
    } }, `${side} it: ${day}${time}`);
  });
  if (links.length) $("summary").replaceChildren(`No line in this range. The nearest ${what} are `, ...links.flatMap((link) => [link, " "]));
  else $("summary").textContent = "No line in this range, nor at any other time.";
}

/** Shows the lines around one in place of the list; the search brings the list back. */
async function showContext(row) {
  follow(false);
  try {
    const rows = await api.around(row, 50);
    list.set(rows);
    exhausted = true;
    const at = rows.findIndex((one) => one.ts === row.ts && one.line === row.line);
    if (at >= 0) list.show(at);
    $("summary").replaceChildren(`${rows.length} lines around one of ${row.labels.service_name ?? "its stream"} `,
      element("button", { type: "button", class: "go", onclick: () => search({ remember: false }) }, "back to the search"));
  } catch (error) {
    failed(error);
  }
}

function failed(error) {
  if (error.name === "AbortError") return;
  showError(error.message, toLogql(state));
  $("summary").textContent = "";
  list.set([]);
  $("series").replaceChildren();
}

function nanos(secs) {
  return `${BigInt(Math.round(secs * 1000)) * 1000000n}`;
}

async function showMetric(query, range, signal) {
  try {
    const series = await api.matrix({ query, start: nanos(range.start), end: nanos(range.end), step: stepFor(range), signal });
    list.set([]);
    const shown = series.slice(0, SERIES_MAX);
    $("summary").textContent = series.length > shown.length ? `${shown.length} of ${series.length} series` : `${series.length} series`;
    $("series").replaceChildren(element("table", {}, ...shown.map(({ metric, values }) =>
      element("tr", {},
        element("td", {}, Object.entries(metric).map(([name, value]) => `${name}=${value}`).join(" ") || "{}"),
        element("td", {}, sparkline(values, range)),
        element("td", { title: values.at(-1)?.[1] }, shortNumber(values.at(-1)?.[1]))))));
  } catch (error) {
    failed(error);
  }
}

async function drawHistogram(query, range, signal) {
  const step = stepFor(range);
  const metric = isMetric(query) ? null : `sum by (detected_level) (count_over_time(${query} [${step}s]))`;
  if (!metric) {
    histogram.clear();
    return;
  }
  try {
    const series = await api.matrix({ query: metric, start: nanos(range.start), end: nanos(range.end), step, signal });
    histogram.show(series.map(({ metric: labels, values }) => ({
      level: levelName(labels.detected_level), values })), range, step);
  } catch (error) {
    if (error.name !== "AbortError") histogram.clear();
  }
}

function levelName(name) {
  if (name === "fatal") return "critical";
  return LEVELS.includes(name) ? name : "unknown";
}

/** The next, older rows. Entries of the oldest instant may come again and are left out. */
async function loadMore() {
  if (loadingMore || exhausted || !list.rows.length || list.rows.length >= ROWS_MAX) return;
  loadingMore = true;
  const { query, start } = list.search;
  const oldest = list.rows.at(-1).ts;
  const known = new Set();
  for (let at = list.rows.length - 1; at >= 0 && list.rows[at].ts === oldest; at -= 1) {
    known.add(`${JSON.stringify(list.rows[at].labels)} ${list.rows[at].line}`);
  }
  try {
    const { rows } = await api.logs({ query, start: nanos(start), end: `${oldest + 1n}`, limit: PAGE_ROWS, signal: running.signal });
    const fresh = rows.filter((row) => row.ts !== oldest || !known.has(`${JSON.stringify(row.labels)} ${row.line}`));
    exhausted = rows.length < PAGE_ROWS || !fresh.length;
    list.append(fresh);
    $("summary").textContent = `${list.rows.length}${exhausted ? "" : "+"} lines`;
  } catch (error) {
    if (error.name !== "AbortError") $("summary").textContent = error.message;
    exhausted = true;
  } finally {
    loadingMore = false;
  }
}

function showWaiting() {
  if (waiting.length) list.prepend(waiting);
  waiting = [];
  $("new-lines").hidden = true;
}

function follow(on) {
  stopFollowing?.();
  stopFollowing = null;
  waiting = [];
  $("new-lines").hidden = true;
  $("tail").setAttribute("aria-pressed", String(on));
  if (!on) return;
  running?.abort();
  const query = toLogql(state);
  if (isMetric(query)) {
    showError("Live follows log lines; this query yields numbers.");
    follow(false);
    return;
  }
  let dropped = 0;
  exhausted = true;
  $("series").hidden = true;
  for (const id of ["histogram", "list"]) $(id).hidden = false;
  list.setOptions({ highlight: highlightOf(state.text) });
  list.set([]);
  $("summary").textContent = "Following ...";
  stopFollowing = api.follow(query, {
    onRows: (rows) => {
      if (fromTop) {
        waiting = [...rows, ...waiting].slice(0, ROWS_MAX);
        $("new-lines").textContent = `${waiting.length} new lines`;
        $("new-lines").hidden = false;
      } else {
        list.prepend(rows);
      }
      $("summary").textContent = `Following, ${list.rows.length} lines${dropped ? `, ${dropped} dropped` : ""}`;
    },
    onDropped: (count) => { dropped += count; },
    onEnd: (reason) => {
      follow(false);
      $("summary").textContent = reason;
    },
  });
}

function showView(view) {
  state.view = view;
  for (const name of ["logs", "alerts"]) {
    $(`view-${name}`).hidden = name !== view;
    $(`tab-${name}`).setAttribute("aria-selected", String(name === view));
  }
  if (view === "alerts") {
    follow(false);
    showAlerts($("alerts"), {
      onQuery: (query) => {
        state.text = query;
        showView("logs");
        search();
      },
    }).catch((error) => $("alerts").replaceChildren(element("p", { class: "error" }, error.message)));
  }
}

async function refreshHeader() {
  try {
    const { ok, text } = await api.ready();
    $("health").textContent = ok ? "" : text;
    const firing = await firingCount();
    $("alert-count").textContent = firing;
    $("alert-count").hidden = !firing;
  } catch {
    $("health").textContent = "server unreachable";
  }
}

function fillLevels() {
  $("levels").replaceChildren(...LEVELS.map((level) => element("button", {
    type: "button", class: `chip level-${level}`, "aria-pressed": "false", "data-level": level,
    onclick: () => {
      state.levels = state.levels.includes(level) ? state.levels.filter((one) => one !== level) : [...state.levels, level];
      search();
    },
  }, level)));
}

async function fillServices() {
  try {
    const names = await api.labelValues("service_name");
    $("service").replaceChildren(element("option", { value: "" }, "all"), ...names.map((name) => element("option", { value: name }, name)));
    $("service").value = state.service;
  } catch {
    // The list of services is a convenience; the search works without it.
  }
}

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  state.text = $("query").value;
  search();
});
$("service").addEventListener("change", () => {
  state.service = $("service").value;
  search();
});
$("range").addEventListener("change", () => {
  if ($("range").value === "custom") {
    const { start, end } = rangeOf(state);
    state.from = Math.floor(start);
    state.to = Math.ceil(end);
  } else {
    state.since = Number($("range").value);
    state.from = state.to = null;
  }
  search();
});
for (const id of ["from", "to"]) {
  $(id).addEventListener("change", () => {
    const [from, to] = [Date.parse($("from").value), Date.parse($("to").value)];
    if (!Number.isFinite(from) || !Number.isFinite(to)) return;
    state.from = from / 1000;
    state.to = to / 1000;
    search();
  });
}
for (const option of ["wrap", "utc"]) {
  $(option).checked = localStorage.getItem(option) === "true";
  list.setOptions({ [option]: $(option).checked });
  $(option).addEventListener("change", () => {
    localStorage.setItem(option, String($(option).checked));
    list.setOptions({ [option]: $(option).checked });
  });
}
$("tail").addEventListener("click", () => {
  state.text = $("query").value;
  follow(!stopFollowing);
});
$("new-lines").addEventListener("click", () => {
  showWaiting();
  $("list").scrollTop = 0;
});
$("tab-logs").addEventListener("click", () => { showView("logs"); writeState(state); });
$("tab-alerts").addEventListener("click", () => { showView("alerts"); writeState(state); });
addEventListener("popstate", () => {
  state = readState();
  showView(state.view);
  search({ remember: false });
});
addEventListener("keydown", (event) => {
  if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    $("query").focus();
    event.preventDefault();
  } else if (event.key === "f") {
    follow(!stopFollowing);
  }
});

function showTenant() {
  $("tenant").value = api.tenantName();
  $("tenant-field").hidden = false;
}
api.whenTenantMissing(showTenant);
if (api.tenantName()) showTenant();
$("tenant").addEventListener("change", () => {
  api.setTenant($("tenant").value);
  follow(false);
  fillServices();
  showView(state.view);
  search();
  refreshHeader();
});

fillLevels();
fillServices();
showView(state.view);
search({ remember: false });
refreshHeader();
setInterval(refreshHeader, 15000);
