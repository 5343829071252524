// Lines over time, stacked by level. Drag over it to zoom in.

import { LEVELS } from "./query.js";

const SVG = "http://www.w3.org/2000/svg";
const BARS = 60;

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Whole seconds of a bar for a range. */
export function stepFor({ start, end }) {
  return Math.max(1, Math.ceil((end - start) / BARS));
}

/** The course of a series of [seconds, value] as a line over the whole range. */
export function sparkline(values, range) {
  const numbers = values.map(([at, value]) => [at, Number(value)]).filter(([, value]) => Number.isFinite(value));
  const low = Math.min(0, ...numbers.map(([, value]) => value));
  const span = Math.max(...numbers.map(([, value]) => value)) - low || 1;
  const points = numbers.map(([at, value]) =>
    `${((at - range.start) / (range.end - range.start || 1)) * 100},${29 - ((value - low) / span) * 28}`);
  return svg("svg", { class: "spark", viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("polyline", { points: points.join(" ") }));
}

export class Histogram {
  constructor(container, { onZoom }) {
    this.container = container;
    this.onZoom = onZoom;
    container.addEventListener("pointerdown", (event) => this.dragStart(event));
  }

  /** `series`: [{level, values: [[seconds, count]]}]; a value counts the step that ends there. */
  show(series, range, step) {
    this.range = range;
    const bars = new Map();
    for (const { level, values } of series) {
      for (const [at, count] of values) {
        const bar = bars.get(at) ?? {};
        bar[level] = (bar[level] ?? 0) + Number(count);
        bars.set(at, bar);
      }
    }
    const totals = [...bars.values()].map((bar) => Object.values(bar).reduce((a, b) => a + b, 0));
    const highest = Math.max(1, ...totals);
    const span = range.end - range.start || 1;
    const chart = svg("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img",
      "aria-label": `${totals.reduce((a, b) => a + b, 0)} lines, at most ${highest} in ${step} seconds` });
    for (const [at, bar] of bars) {
      let y = 100;
      const x = ((at - step - range.start) / span) * 1000;
      const width = Math.max(1, (step / span) * 1000 - 1);
      const title = LEVELS.filter((level) => bar[level]).map((level) => `${level}: ${bar[level]}`).join("\n");
      const group = svg("g", {});
      for (const level of [...LEVELS].reverse()) {
        if (!bar[level]) continue;
        const height = (bar[level] / highest) * 96;
        y -= height;
        group.append(svg("rect", { x, y, width, height, class: `bar level-${level}` }));
      }
      const text = svg("title", {});
      text.textContent = `${new Date((at - step) * 1000).toLocaleString()}\n${title}`;
      group.append(text);
      chart.append(group);
    }
    this.selection = svg("rect", { x: 0, y: 0, width: 0, height: 100, class: "selection" });
    chart.append(this.selection);
    this.container.replaceChildren(chart);
  }

  clear() {
    this.container.replaceChildren();
    this.selection = null;
  }

  dragStart(event) {
    if (!this.selection) return;
    const box = this.container.getBoundingClientRect();
    const fraction = (e) => Math.min(1, Math.max(0, (e.clientX - box.left) / box.width));
    const from = fraction(event);
    const move = (e) => {
      this.selection.setAttribute("x", Math.min(from, fraction(e)) * 1000);
      this.selection.setAttribute("width", Math.abs(fraction(e) - from) * 1000);
    };
    const end = (e) => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      const to = fraction(e);
      if (Math.abs(to - from) > 0.01) {
        const span = this.range.end - this.range.start;
        this.onZoom(this.range.start + Math.min(from, to) * span, this.range.start + Math.max(from, to) * span);
      }
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
  }
}
