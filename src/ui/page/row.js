// One row of the list, closed and open. Log text only ever becomes text nodes.

import { levelOf, quote } from "./query.js";

const LINE_CHARS_SHOWN = 2000;

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

/** Month and day, the time, and the milliseconds apart: a narrow screen shows the time alone. */
export function timeParts(ts, utc) {
  const date = new Date(Number(ts / 1000000n));
  const pad = (number, digits = 2) => String(number).padStart(digits, "0");
  const [month, day, hour, minute, second] = utc
    ? [date.getUTCMonth(), date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
    : [date.getMonth(), date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds()];
  const millis = pad(Number(ts / 1000000n % 1000n), 3);
  return [`${pad(month + 1)}-${pad(day)} `, `${pad(hour)}:${pad(minute)}:${pad(second)}`, `.${millis}`];
}

/** A number with four digits at most; exact ones are in titles and answers. */
export function shortNumber(text) {
  const number = Number(text);
  return text !== undefined && Number.isFinite(number) ? String(Number(number.toPrecision(4))) : String(text ?? "");
}

/** Splits a line at matches, so that they can be marked. */
function marked(text, highlight) {
  if (!highlight) return [text];
  const pieces = [];
  let from = 0;
  highlight.lastIndex = 0;
  for (let match; pieces.length < 200 && (match = highlight.exec(text));) {
    if (!match[0]) break;
    pieces.push(text.slice(from, match.index), element("mark", {}, match[0]));
    from = match.index + match[0].length;
  }
  pieces.push(text.slice(from));
  return pieces;
}

export function closedRow(row, { utc, highlight }) {
  const level = levelOf(row);
  const [day, time, millis] = timeParts(row.ts, utc);
  const line = row.line.length > LINE_CHARS_SHOWN ? `${row.line.slice(0, LINE_CHARS_SHOWN)}...` : row.line;
  return element("div", { class: `row level-${level}`, role: "button", "aria-expanded": "false" },
    element("time", { title: new Date(Number(row.ts / 1000000n)).toISOString() },
      element("span", { class: "wide" }, day), time, element("span", { class: "wide" }, millis)),
    element("span", { class: "level", title: level }, level === "unknown" ? "" : level),
    element("span", { class: "service" }, row.labels.service_name ?? row.labels.job ?? ""),
    element("span", { class: "line" }, ...marked(line.replace(/\n/g, " \u21b5 "), highlight)));
}

/** Fields of the line itself when it is JSON: one level flattened, as LogQL's json stage does. */
function jsonFields(line) {
  if (!line.startsWith("{")) return null;
  try {
    const fields = {};
    const walk = (value, path) => {
      for (const [key, inner] of Object.entries(value)) {
        const name = [...path, key].join("_").replace(/[^A-Za-z0-9_]/g, "_");
        if (inner !== null && typeof inner === "object" && !Array.isArray(inner)) walk(inner, [...path, key]);
        else fields[name] = typeof inner === "string" ? inner : JSON.stringify(inner);
      }
    };
    walk(JSON.parse(line), []);
    return fields;
  } catch {
    return null;
  }
}

function fieldTable(title, fields, addFilter, kind) {
  const names = Object.keys(fields).filter((name) => !name.startsWith("__error"));
  if (!names.length) return null;
  return element("section", { class: "fields" },
    element("h3", {}, title),
    ...names.slice(0, 200).map((name) => {
      const value = String(fields[name]);
      return element("div", { class: "field" },
        element("span", { class: "name" }, name),
        element("button", { type: "button", title: `Only ${name}=${value}`, onclick: () => addFilter(kind, name, "=", value) }, "+"),
        element("button", { type: "button", title: `Without ${name}=${value}`, onclick: () => addFilter(kind, name, "!=", value) }, "\u2212"),
        element("button", { type: "button", title: "Copy the value", onclick: () => navigator.clipboard?.writeText(value) }, "copy"),
        element("span", { class: "value" }, value.length > LINE_CHARS_SHOWN ? `${value.slice(0, LINE_CHARS_SHOWN)}...` : value));
    }));
}

export function openRow(row, { addFilter, showContext }) {
  const json = jsonFields(row.line);
  const more = row.line.length > LINE_CHARS_SHOWN * 10;
  const text = element("pre", { class: "full" }, more ? row.line.slice(0, LINE_CHARS_SHOWN * 10) : row.line);
  const showAll = more && element("button", { type: "button", onclick: (event) => {
    text.textContent = row.line;
    event.target.remove();
  } }, `show all ${row.line.length} characters`);
  return element("div", { class: "details" },
    text,
    showAll || undefined,
    element("p", { class: "actions" },
      element("button", { type: "button", class: "context", title: "Lines before and after this one in its stream", onclick: () => showContext(row) }, "context"),
      element("button", { type: "button", onclick: () => navigator.clipboard?.writeText(row.line) }, "copy line"),
      element("button", { type: "button", onclick: () => navigator.clipboard?.writeText(JSON.stringify({
        timestamp: String(row.ts), labels: row.labels, metadata: row.metadata, line: row.line })) }, "copy JSON"),
      element("span", {}, `${row.ts} ns`)),
    fieldTable("Stream labels", row.labels, addFilter, "label"),
    fieldTable("Structured metadata", row.metadata, addFilter, "field"),
    fieldTable("Parsed by the query", row.parsed, addFilter, "field"),
    json ? fieldTable("Fields of the line", json, addFilter, "json") : null);
}

/** The filter stage for a clicked field. */
export function filterStage(kind, name, op, value) {
  return `${kind === "json" ? "| json " : ""}| ${name}${op}${quote(value)}`;
}
