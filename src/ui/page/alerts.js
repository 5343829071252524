// What fires, what is pending, and the rules behind it.

import * as api from "./api.js";
import { element, shortNumber } from "./row.js";

function since(text) {
  const secs = Math.max(0, (Date.now() - Date.parse(text)) / 1000);
  if (secs < 90) return `${Math.round(secs)} s`;
  if (secs < 5400) return `${Math.round(secs / 60)} min`;
  return `${(secs / 3600).toFixed(1)} h`;
}

/** How many alerts fire, for the badge of the tab. */
export async function firingCount() {
  return (await api.alerts()).filter((alert) => alert.state === "firing").length;
}

export async function showAlerts(container, { onQuery }) {
  const [alerts, groups] = await Promise.all([api.alerts(), api.rules()]);
  const rank = { firing: 0, pending: 1 };
  alerts.sort((a, b) => (rank[a.state] ?? 2) - (rank[b.state] ?? 2));
  const rulesByName = new Map(groups.flatMap((group) => group.rules).map((rule) => [rule.name, rule]));
  const card = (alert) => {
    const rule = rulesByName.get(alert.labels.alertname);
    const labels = Object.entries(alert.labels).filter(([name]) => name !== "alertname");
    return element("article", { class: `alert ${alert.state} severity-${alert.labels.severity ?? "none"}` },
      element("h3", {}, alert.labels.alertname, element("span", { class: "badge" }, alert.state)),
      element("p", {}, alert.annotations.summary ?? alert.annotations.description ?? ""),
      element("p", { class: "meta" }, `${labels.map(([name, value]) => `${name}=${value}`).join("  ")}  |  for ${since(alert.activeAt)}  |  value ${shortNumber(alert.value)}`),
      element("p", { class: "actions" },
        rule ? element("button", { type: "button", onclick: () => onQuery(rule.query) }, "show query") : null,
        /^https?:\/\//.test(alert.annotations.runbook_url ?? "") ? element("a", { href: alert.annotations.runbook_url }, "runbook") : null));
  };
  const ruleRow = (group) => (rule) => element("tr", {},
    element("td", {}, group.name),
    element("td", { title: rule.annotations?.description ?? "" }, rule.name),
    element("td", { class: `state ${rule.state ?? ""}` }, rule.state ?? rule.type),
    element("td", { class: rule.health === "err" ? "error" : "" }, rule.health, rule.lastError ? `: ${rule.lastError}` : ""),
    element("td", {}, element("details", {},
      element("summary", {}, rule.query.slice(0, 120)),
      element("code", {}, rule.query),
      rule.type === "alerting" ? element("button", { type: "button", onclick: () => onQuery(rule.query) }, "show query") : null)));
  container.replaceChildren(
    element("h2", {}, alerts.length ? "Alerts" : "No alert is pending or firing"),
    ...alerts.map(card),
    element("h2", {}, "Rules"),
    element("div", { class: "table" }, element("table", {},
      element("thead", {}, element("tr", {}, ...["Group", "Rule", "State", "Health", "Query"].map((name) => element("th", {}, name)))),
      element("tbody", {}, ...groups.flatMap((group) => group.rules.map(ruleRow(group)))))));
}
