// The list of rows: only what is on the screen exists in the document, so 100,000 rows are as
// light as fifty. Rows are of one height until they are opened; open ones are measured.

import { closedRow, element, openRow } from "./row.js";

export const ROWS_MAX = 100000;
const OVERSCAN_ROWS = 20;

export class List {
  constructor(container, { onNearEnd, onScrolledFromTop, addFilter, showContext }) {
    this.container = container;
    this.onNearEnd = onNearEnd;
    this.onScrolledFromTop = onScrolledFromTop;
    this.addFilter = addFilter;
    this.showContext = showContext;
    this.rows = [];
    this.open = new Map(); // row object -> height of its details in pixels
    this.options = { utc: false, wrap: false, highlight: null };
    this.canvas = element("div", { class: "canvas" });
    container.append(this.canvas);
    this.rowHeight = 22;
    container.addEventListener("scroll", () => this.schedule(), { passive: true });
    container.addEventListener("click", (event) => this.clicked(event));
    container.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.schedule()).observe(container);
    this.cursor = -1;
  }

  set(rows) {
    this.rows = rows;
    this.open.clear();
    this.cursor = -1;
    this.container.scrollTop = 0;
    this.schedule();
  }

  /** Scrolls to a row and opens it. */
  show(at) {
    this.open.set(this.rows[at], 200);
    this.cursor = at;
    this.container.scrollTop = Math.max(0, at - 3) * this.rowHeight;
    this.schedule();
  }

  append(rows) {
    this.rows.push(...rows.slice(0, Math.max(0, ROWS_MAX - this.rows.length)));
    this.schedule();
  }

  /** New rows on top; the view stays where it is unless it is at the top. */
  prepend(rows) {
    const atTop = this.container.scrollTop < this.rowHeight;
    this.rows.unshift(...rows);
    if (this.rows.length > ROWS_MAX) this.rows.length = ROWS_MAX;
    if (!atTop) this.container.scrollTop += rows.length * this.rowHeight;
    if (this.cursor >= 0) this.cursor += rows.length;
    this.schedule();
  }

  setOptions(options) {
    Object.assign(this.options, options);
    this.container.classList.toggle("wrapped", Boolean(this.options.wrap));
    this.schedule();
  }

  schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.render();
    });
  }

  /** Open rows with their index, in order of the list. */
  openAt() {
    if (!this.open.size) return [];
    const found = [];
    this.rows.forEach((row, at) => {
      if (this.open.has(row)) found.push([at, this.open.get(row)]);
    });
    return found;
  }

  topOf(at, openAt) {
    let top = at * this.rowHeight;
    for (const [index, height] of openAt) if (index < at) top += height;
    return top;
  }

  render() {
    const openAt = this.openAt();
    const total = this.topOf(this.rows.length, openAt);
    const { scrollTop, clientHeight } = this.container;
    let first = Math.floor(scrollTop / this.rowHeight);
    for (const [index, height] of openAt) {
      if (this.topOf(index, openAt) < scrollTop) first -= Math.ceil(height / this.rowHeight);
    }
    first = Math.max(0, first - OVERSCAN_ROWS);
    let last = first;
    const fragment = document.createDocumentFragment();
    let height = this.topOf(first, openAt);
    const start = height;
    while (last < this.rows.length && height < scrollTop + clientHeight + OVERSCAN_ROWS * this.rowHeight) {
      const row = this.rows[last];
      const node = closedRow(row, this.options);
      node.dataset.at = last;
      if (last === this.cursor) node.classList.add("current");
      fragment.append(node);
      height += this.rowHeight;
      if (this.open.has(row)) {
        node.setAttribute("aria-expanded", "true");
        const details = openRow(row, { addFilter: this.addFilter, showContext: this.showContext });
        details.dataset.details = last;
        fragment.append(details);
        height += this.open.get(row);
      }
      last += 1;
    }
    this.canvas.replaceChildren(element("div", { class: "spacer" }), fragment, element("div", { class: "spacer" }));
    this.canvas.firstChild.style.height = `${start}px`;
    this.canvas.lastChild.style.height = `${Math.max(0, total - height)}px`;
    this.measure();
    if (last >= this.rows.length - OVERSCAN_ROWS) this.onNearEnd();
    this.onScrolledFromTop(scrollTop > this.rowHeight);
  }

  /** Takes the real heights of rows and open details; renders again when they were guessed wrong. */
  measure() {
    const sample = this.canvas.querySelector(".row");
    let changed = false;
    if (sample && !this.options.wrap && Math.abs(sample.offsetHeight - this.rowHeight) > 0.5) {
      this.rowHeight = sample.offsetHeight;
      changed = true;
    }
    for (const node of this.canvas.querySelectorAll(".details")) {
      const row = this.rows[Number(node.dataset.details)];
      if (row && Math.abs(this.open.get(row) - node.offsetHeight) > 1) {
        this.open.set(row, node.offsetHeight);
        changed = true;
      }
    }
    if (changed) this.schedule();
  }

  toggle(at) {
    const row = this.rows[at];
    if (!row) return;
    if (this.open.has(row)) this.open.delete(row);
    else this.open.set(row, 200);
    this.cursor = at;
    this.schedule();
  }

  clicked(event) {
    const node = event.target.closest(".row");
    if (!node || String(getSelection())) return;
    this.toggle(Number(node.dataset.at));
  }

  key(event) {
    if (event.target !== this.container) return;
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (step) {
      this.cursor = Math.min(Math.max(0, this.cursor + step), this.rows.length - 1);
      const top = this.topOf(this.cursor, this.openAt());
      if (top < this.container.scrollTop) this.container.scrollTop = top;
      if (top > this.container.scrollTop + this.container.clientHeight - 2 * this.rowHeight) {
        this.container.scrollTop = top - this.container.clientHeight + 2 * this.rowHeight;
      }
      event.preventDefault();
      this.schedule();
    } else if (event.key === "Enter" && this.cursor >= 0) {
      this.toggle(this.cursor);
      event.preventDefault();
    }
  }
}
