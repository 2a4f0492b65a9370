"use strict";

(() => {
  // Tables: a button in each heading sorts; misses and unknown values stay last either way.

  function sortKey(cell, numeric) {
    if (!numeric) return cell.textContent;
    return cell.dataset.value === undefined ? NaN : Number(cell.dataset.value);
  }

  function compareNumbers(a, b, sign) {
    const lastness = (value) => (Number.isNaN(value) ? 2 : value === Infinity ? 1 : 0);
    const order = lastness(a) - lastness(b);
    if (order !== 0) return order;
    return lastness(a) === 0 ? sign * (a - b) : 0;
  }

  function compareTexts(a, b, sign) {
    if (a === "" || b === "") return (a === "") - (b === "");
    return sign * a.localeCompare(b, "en", { numeric: true });
  }

  function sortTable(table, column) {
    const heads = [...table.tHead.rows[0].cells];
    const numeric = heads[column].classList.contains("number");
    const direction = heads[column].getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    const sign = direction === "ascending" ? 1 : -1;
    const compare = numeric ? compareNumbers : compareTexts;
    const rows = [...table.tBodies[0].rows].map((row) => [sortKey(row.cells[column], numeric), row]);
    rows.sort((a, b) => compare(a[0], b[0], sign));
    table.tBodies[0].append(...rows.map((entry) => entry[1]));
    heads.forEach((head, at) => head.setAttribute("aria-sort", at === column ? direction : "none"));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortTable(table, column));
      head.append(button);
      head.setAttribute("aria-sort", "none");
    });
  }

  // The tooltip stands at what the pointer or the keyboard chose, also while the page scrolls; screen readers hear it.

  const tooltip = document.createElement("div");
  tooltip.id = "tooltip";
  tooltip.setAttribute("role", "status");
  tooltip.hidden = true;
  document.body.append(tooltip);
  let active = [];
  let cursor = null;
  let anchor = null;

  function hide() {
    tooltip.hidden = true;
    active.forEach((element) => element.classList.remove("active"));
    active = [];
    if (cursor) cursor.remove();
    cursor = null;
  }

  // `where` gives the place in the window that the tooltip belongs to.
  function show(content, where, elements) {
    hide();
    anchor = where;
    active = elements;
    active.forEach((element) => element.classList.add("active"));
    tooltip.textContent = content;
    tooltip.hidden = false;
    placeTooltip();
  }

  function placeTooltip() {
    if (tooltip.hidden) return;
    const { x, y } = anchor();
    const { width, height } = tooltip.getBoundingClientRect();
    const room = document.documentElement.clientWidth;
    const left = x + 16 + width > room ? x - 16 - width : x + 16;
    tooltip.style.left = `${Math.max(4, Math.min(left, room - width - 4))}px`;
    tooltip.style.top = `${y + 20 + height > window.innerHeight ? Math.max(4, y - 14 - height) : y + 20}px`;
  }

  // Plots of lines. The points are read from the paths once; values follow from the ranges of the axes.

  class LinePlot {
    constructor(plot) {
      this.plot = plot;
      const range = (name) => plot.dataset[name].split(" ").map(Number);
      this.x = range("xRange");
      this.y = range("yRange");
      this.width = Number(plot.getAttribute("width"));
      this.height = Number(plot.getAttribute("height"));
      this.steps = plot.dataset.steps !== undefined;
      this.points = new Map();
      this.chosen = null;
    }

    lines() {
      return [...this.plot.querySelectorAll("path.line:not(.off)")];
    }

    pointsOf(line) {
      if (!this.points.has(line)) {
        const numbers = line.getAttribute("d").match(/-?[\d.]+/g).map(Number);
        const pairs = [];
        for (let at = 0; at < numbers.length; at += 2) pairs.push([numbers[at], numbers[at + 1]]);
        this.points.set(line, pairs);
      }
      return this.points.get(line);
    }

    // Where a pointer is nearest to a line, if it is near: [line, x, y].
    nearest(x, y) {
      let best = null;
      let least = 40 ** 2;
      for (const line of this.lines()) {
        for (const [px, py] of this.steps ? [this.levelAt(line, x)] : this.pointsOf(line)) {
          // Thin lines give way to bold ones.
          const distance = (px - x) ** 2 + (py - y) ** 2 + (line.classList.contains("thin") ? 30 : 0);
          if (py >= 0 && py <= this.height && distance <= least) {
            least = distance;
            best = [line, px, py];
          }
        }
      }
      return best;
    }

    levelAt(line, x) {
      const before = this.pointsOf(line).filter((point) => point[0] <= x);
      return [x, before.length ? before[before.length - 1][1] : this.pointsOf(line)[0][1]];
    }

    // Profiles often coincide: all lines of that height are named.
    linesAt(line, x, y) {
      return this.steps ? this.lines().filter((other) => Math.abs(this.levelAt(other, x)[1] - y) < 0.5) : [line];
    }

    describe([line, x, y]) {
      const lines = this.linesAt(line, x, y);
      lines.sort((a, b) => Number(a.dataset.submission) - Number(b.dataset.submission));
      const data = this.plot.dataset;
      const value = (range, share, digits) => (range[0] + share * (range[1] - range[0])).toFixed(Number(digits));
      const text = [
        ...lines.map((other) => other.dataset.name),
        `${data.xLabel}: ${value(this.x, x / this.width, data.xDigits)}`,
        `${data.yLabel}: ${value(this.y, 1 - y / this.height, data.yDigits)}`,
      ].join("\n");
      show(text, () => new DOMPoint(x, y).matrixTransform(this.plot.getScreenCTM()), lines);
      cursor = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      cursor.setAttribute("class", "cursor");
      cursor.setAttribute("cx", x);
      cursor.setAttribute("cy", y);
      cursor.setAttribute("r", 4);
      this.plot.append(cursor);
    }

    point(event) {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.plot.getScreenCTM().inverse());
      const found = this.nearest(place.x, place.y);
      if (found) this.describe(found);
      else hide();
    }

    // Left and right go along a line, up and down to the next line.
    move(columns, rows) {
      const lines = this.lines().sort(
        (a, b) =>
          Number(b.classList.contains("bold")) - Number(a.classList.contains("bold")) ||
          Number(a.dataset.submission) - Number(b.dataset.submission),
      );
      if (!lines.length) return hide();
      const old = this.chosen || [lines[0], 0];
      const line = lines[(Math.max(0, lines.indexOf(old[0])) + rows + lines.length) % lines.length];
      const inside = this.pointsOf(line).filter(([, y]) => y >= 0 && y <= this.height);
      const points = inside.length ? inside : this.pointsOf(line);
      const x = (this.chosen ? this.pointsOf(old[0])[old[1]] : points[points.length - 1])[0];
      let at = points.findIndex((point) => point[0] >= x);
      if (at < 0) at = points.length - 1;
      at += columns;
      // Two points of a step share a place.
      while (columns > 0 && points[at] && points[at][0] <= x) at += 1;
      at = Math.max(0, Math.min(points.length - 1, at));
      this.chosen = [line, this.pointsOf(line).indexOf(points[at])];
      const [px, py] = this.steps ? this.levelAt(line, points[at][0]) : points[at];
      return this.describe([line, px, py]);
    }
  }

  class CellPlot {
    constructor(plot) {
      this.plot = plot;
      this.chosen = [0, 0];
    }

    describe(cell) {
      const middle = () => {
        const box = cell.getBoundingClientRect();
        return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
      };
      this.chosen = [Number(cell.dataset.row), Number(cell.dataset.column)];
      show(`${cell.dataset.name}\n${cell.dataset.text}`, middle, [cell]);
    }

    point(event) {
      const cell = event.target.closest(".cell");
      if (cell) this.describe(cell);
      else hide();
    }

    move(columns, rows) {
      const [row, column] = [this.chosen[0] + rows, this.chosen[1] + columns];
      const place = (r, c) => this.plot.querySelector(`.cell[data-row="${r}"][data-column="${c}"]`);
      this.describe(place(row, column) || place(...this.chosen));
    }
  }

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  for (const plot of document.querySelectorAll(".plot")) {
    const handler = plot.classList.contains("lines") ? new LinePlot(plot) : new CellPlot(plot);
    plot.setAttribute("tabindex", "0");
    plot.setAttribute("role", "application");
    plot.setAttribute("aria-label", "Arrow keys read the values");
    // A pointer that focuses a plot has its own place already.
    plot.addEventListener("focus", () => plot.matches(":focus-visible") && handler.move(0, 0));
    // By then a pointer may have shown something elsewhere.
    plot.addEventListener("blur", () => active.some((element) => plot.contains(element)) && hide());
    plot.addEventListener("pointermove", (event) => handler.point(event));
    plot.addEventListener("pointerdown", (event) => handler.point(event));
    plot.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
    plot.addEventListener("keydown", (event) => {
      if (event.key in moves) {
        event.preventDefault();
        handler.move(...moves[event.key]);
      }
    });
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  document.addEventListener("pointerdown", (event) => event.target.closest(".plot") || hide());
  document.addEventListener("scroll", placeTooltip, { passive: true, capture: true });

  // The legend: boxes show and hide a submission everywhere, pointing at one brings it out.

  function toggle(number, visible) {
    for (const element of document.querySelectorAll(`[data-submission="${number}"]`)) {
      element.classList.toggle("off", !visible);
    }
    hide();
  }

  for (const legend of document.querySelectorAll(".legend")) {
    const boxes = [];
    for (const item of legend.querySelectorAll("li")) {
      const number = item.dataset.key;
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = true;
      box.autocomplete = "off";
      label.append(box, ...item.childNodes);
      item.append(label);
      box.addEventListener("change", () => toggle(number, box.checked));
      boxes.push([number, box]);
      const lines = document.querySelectorAll(`path.line[data-submission="${number}"]`);
      item.addEventListener("pointerenter", () => lines.forEach((line) => line.classList.add("active")));
      item.addEventListener("pointerleave", () => lines.forEach((line) => line.classList.remove("active")));
    }
    const buttons = document.createElement("div");
    buttons.className = "buttons";
    for (const [name, visible] of [["Show all", true], ["Hide all", false]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => {
        for (const [number, box] of boxes) {
          box.checked = visible;
          toggle(number, visible);
        }
      });
      buttons.append(button);
    }
    legend.append(buttons);
  }
})();
