// From what the user typed to LogQL, and the state of the page in its address.

export const LEVELS = ["critical", "error", "warn", "info", "debug", "trace", "unknown"];

/** The level a row counts under; levels we do not know by name are "unknown". */
export function levelOf(row) {
  const level = row.metadata.detected_level ?? row.labels.detected_level ?? row.parsed.level ?? row.labels.level;
  const name = String(level ?? "").toLowerCase();
  if (name === "fatal") return "critical";
  if (name === "warning") return "warn";
  return LEVELS.includes(name) ? name : "unknown";
}

export function quote(text) {
  return JSON.stringify(text);
}

/** Whether the text is LogQL rather than plain words. */
export function isLogql(text) {
  return /^\s*[({]/.test(text) || /^\s*[a-z_]+\s*(by|without)?\s*\(/.test(text) && text.includes("{");
}

/** Whether a query yields numbers: then there is no list to show. */
export function isMetric(text) {
  return isLogql(text) && !/^\s*\(*\s*\{/.test(text);
}

/** Names that a label filter cannot have, because LogQL has them for itself. */
const RESERVED = /^(and|or|unless|by|without|on|ignoring|offset|bool|json|logfmt|regexp|pattern|unpack|unwrap|drop|keep|decolorize|distinct|line_format|label_format|group_left|group_right|ip)$/i;
const LEVEL_NAMES = { warning: "warn", wrn: "warn", err: "error", information: "info", inf: "info", dbg: "debug", trc: "trace" };

/** Plain words to LogQL, as the server's `q` does it: each must occur, in any case; "quoted words"
 * stay together; -word must not; name:value is a label, metadata, or a field of JSON or logfmt. */
export function plainQuery(text, service) {
  const matchers = service ? [`service_name=${quote(service)}`] : [];
  let [lines, parsers, fields] = ["", "", ""];
  for (const [, minus, phrase, name, quoted, value, word] of text.matchAll(
    /(-(?=\S))?(?:"([^"]+)"|([A-Za-z_][\w.]*):(?!\/\/)(?:"([^"]+)"|(\S+))|(\S+))/g)) {
    const equals = minus ? "!=" : "=";
    const label = name?.replace(/\./g, "_");
    const wanted = quoted ?? value;
    if (!name || RESERVED.test(label)) {
      const bare = phrase ?? word ?? `${name}:${wanted}`;
      const escaped = bare.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      lines += ` ${minus ? "!~" : "|~"} ${quote(`(?i)${escaped}`)}`;
    } else if (label === "service") {
      matchers.push(`service_name${equals}${quote(wanted)}`);
    } else if (label === "level" || label === "severity") {
      const level = wanted.toLowerCase();
      fields += ` | detected_level${equals}${quote(LEVEL_NAMES[level] ?? level)}`;
    } else {
      parsers = " | json | logfmt | drop __error__, __error_details__";
      fields += ` | ${label}${equals}${quote(wanted)}`;
    }
  }
  if (!matchers.some((matcher) => !matcher.includes("!="))) matchers.push('service_name=~".+"');
  return `{${matchers.join(", ")}}${lines}${parsers}${fields}`;
}

/** The LogQL of the state: typed query, chosen service, chosen levels. */
export function toLogql({ text, service, levels }) {
  let query = text.trim();
  if (!isLogql(query)) {
    query = plainQuery(query, service);
  } else if (service && !isMetric(query)) {
    query = query.replace(/\{/, `{service_name=${quote(service)}, `).replace(/,\s*\}/, "}");
  }
  if (levels.length && !isMetric(query)) {
    const names = levels.flatMap((level) => (level === "critical" ? ["critical", "fatal"] : [level]));
    query += ` | detected_level=~${quote(names.join("|"))}`;
  }
  return query;
}

/** Reads the state out of the address. */
export function readState() {
  const params = new URLSearchParams(location.search);
  return {
    view: params.get("view") === "alerts" ? "alerts" : "logs",
    text: params.get("query") ?? "",
    service: params.get("service") ?? "",
    levels: (params.get("levels") ?? "").split(",").filter((level) => LEVELS.includes(level)),
    since: Number(params.get("since")) || 3600,
    from: numberOrNull(params.get("start")),
    to: numberOrNull(params.get("end")),
  };
}

/** Seconds or nanoseconds since the epoch, as seconds. */
function numberOrNull(text) {
  if (!text) return null;
  const number = Number(text);
  if (!Number.isFinite(number)) return null;
  return number > 1e15 ? number / 1e9 : number;
}

export function writeState(state, { replace = false } = {}) {
  const params = new URLSearchParams();
  if (state.view !== "logs") params.set("view", state.view);
  if (state.text) params.set("query", state.text);
  if (state.service) params.set("service", state.service);
  if (state.levels.length) params.set("levels", state.levels.join(","));
  if (state.from !== null && state.to !== null) {
    params.set("start", state.from);
    params.set("end", state.to);
  } else if (state.since !== 3600) {
    params.set("since", state.since);
  }
  const address = `${location.pathname}?${params}`;
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
}

/** The range in seconds at this moment. */
export function rangeOf(state) {
  if (state.from !== null && state.to !== null) return { start: state.from, end: state.to };
  const end = Date.now() / 1000;
  return { start: end - state.since, end };
}
