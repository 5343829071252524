// What the page asks the server. Everything goes through Loki's own API, so what the page can
// do, Grafana and logcli can do too.

/** An answer that was not a success; `message` is the server's own text. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const base = new URL("./", document.baseURI);

// Who asks, where the server keeps several tenants apart. Kept for the next visit.
let tenant = localStorage.getItem("tenant") ?? "";
let onTenantMissing = () => {};

export function tenantName() {
  return tenant;
}

export function setTenant(name) {
  tenant = name.trim();
  if (tenant) localStorage.setItem("tenant", tenant);
  else localStorage.removeItem("tenant");
}

/** Calls back when the server refuses to answer without a tenant. */
export function whenTenantMissing(callback) {
  onTenantMissing = callback;
}

async function ask(path, params, signal) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(params ?? {})) {
    if (value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  let response;
  try {
    response = await fetch(url, {
      signal,
      headers: {
        "X-Loki-Response-Encoding-Flags": "categorize-labels",
        ...(tenant ? { "X-Scope-OrgID": tenant } : {}),
      },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server cannot be reached.");
  }
  if (!response.ok) {
    const message = (await response.text()).trim();
    if (response.status === 401 && message === "no org id") {
      onTenantMissing();
      throw new ApiError(401, "This server keeps tenants apart: name yours above.");
    }
    throw new ApiError(response.status, message);
  }
  return response.json();
}

/** Log entries of a range as flat rows, newest first. */
export async function logs({ query, start, end, limit, signal }) {
  const answer = await ask("loki/api/v1/query_range",
    { query, start, end, limit, direction: "backward" }, signal);
  return { rows: rowsOf(answer.data.result), stats: answer.data.stats?.summary ?? {} };
}

/** Turns Loki's streams into rows with exact times (nanoseconds as BigInt), newest first. */
export function rowsOf(streams) {
  const rows = [];
  for (const { stream, values } of streams) {
    for (const [ts, line, extra] of values) {
      rows.push({
        ts: BigInt(ts),
        line,
        labels: stream,
        metadata: extra?.structuredMetadata ?? {},
        parsed: extra?.parsed ?? {},
      });
    }
  }
  rows.sort((a, b) => (a.ts < b.ts ? 1 : a.ts > b.ts ? -1 : 0));
  return rows;
}

/** Lines around one of a stream: as rows, newest first. */
export async function around(row, count) {
  const labels = `{${Object.entries(row.labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ")}}`;
  const { data } = await ask("stockade/api/v1/context", { labels, ts: String(row.ts), before: count, after: count });
  return [...data.before, ...data.at, ...data.after].reverse().map(({ timestamp, line, labels: stream, metadata }) => (
    { ts: BigInt(timestamp), line, labels: stream, metadata: metadata ?? {}, parsed: {} }));
}

/** Where the nearest lines are when a range has none: nanoseconds as text, or null. */
export async function nearest({ query, start, end, signal }) {
  return (await ask("stockade/api/v1/nearest", { query, start, end }, signal)).data;
}

export async function matrix({ query, start, end, step, signal }) {
  return (await ask("loki/api/v1/query_range", { query, start, end, step }, signal)).data.result;
}

export async function labelValues(name) {
  const now = Date.now() / 1000;
  const answer = await ask(`loki/api/v1/label/${encodeURIComponent(name)}/values`,
    { start: Math.floor(now - 86400), end: Math.ceil(now) });
  return answer.data ?? [];
}

export async function alerts() {
  return (await ask("prometheus/api/v1/alerts")).data.alerts;
}

export async function rules() {
  return (await ask("prometheus/api/v1/rules")).data.groups;
}

export async function ready() {
  const response = await fetch(new URL("ready", base));
  return { ok: response.ok, text: (await response.text()).trim() };
}

/** Follows a log query. Calls back with rows (newest first) and with the number of dropped entries. */
export function follow(query, { onRows, onDropped, onEnd }) {
  const url = new URL("loki/api/v1/tail", base);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("query", query);
  url.searchParams.set("limit", "100");
  // A browser cannot give a WebSocket headers of its own.
  if (tenant) url.searchParams.set("X-Scope-OrgID", tenant);
  url.searchParams.set("start", `${BigInt(Date.now() - 60000) * 1000000n}`);
  const socket = new WebSocket(url);
  let ended = false;
  socket.onmessage = (event) => {
    const frame = JSON.parse(event.data);
    for (const { labels } of frame.dropped_entries ?? []) onDropped(Number(labels?.dropped ?? 1));
    if (frame.streams?.length) onRows(rowsOf(frame.streams));
  };
  socket.onclose = (event) => {
    if (!ended) onEnd(event.reason || "The live connection ended.");
  };
  return () => {
    ended = true;
    socket.close();
  };
}
