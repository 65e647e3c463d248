// The progress of each aspect over the turns, drawn by hand as SVG.

import { find, html, named, svg } from "./dom.js";

const HIGH = 190;
const PAD = { top: 12, right: 12, bottom: 26, left: 40 };
const LABEL = 110; // pixels for the names at the lines' ends, where there is room
const LINE = 15; // of a name
const MARKS = [
  (x, y) => svg("circle", { cx: x, cy: y, r: 4 }),
  (x, y) => svg("rect", { x: x - 3.7, y: y - 3.7, width: 7.4, height: 7.4 }),
  (x, y) => svg("path", { d: `M${x} ${y - 5}l4.8 8.4h-9.6z` }),
  (x, y) => svg("path", { d: `M${x} ${y - 5.4}l5.4 5.4l-5.4 5.4l-5.4-5.4z` }),
];

export class Chart {
  /** @param onSelect Is told the turn that is clicked. */
  constructor(onSelect) {
    this.box = find("chart");
    this.rows = find("chart-rows");
    this.onSelect = onSelect;
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  /** Show the turns; `aspects` gives the order of the lines, `styleOf` their class. */
  show(turns, selected, aspects, styleOf) {
    const values = turns.map((turn) => turn.progress);
    const key = JSON.stringify([values.map((one) => [...one]), turns.indexOf(selected), aspects]);
    if (key === this.key) return;
    this.key = key;
    this.given = { turns, values, selected, aspects, styleOf };
    this.draw();
    this.tabulate();
  }

  draw() {
    const wide = this.box.clientWidth;
    if (!this.given || !wide) return;
    const { turns, values, selected, aspects, styleOf } = this.given;
    if (!values.some((one) => one.size)) {
      this.box.replaceChildren(html("p", { class: "empty" }, "The lines begin with the first turn that the agents have read."));
      return;
    }
    const isWide = wide > 420;
    const room = { left: PAD.left, right: wide - PAD.right - (isWide ? LABEL : 0), top: PAD.top, bottom: HIGH - PAD.bottom };
    const step = (room.right - room.left) / Math.max(turns.length, 2);
    const x = (at) => room.left + step * (at + 0.5);
    const y = (share) => room.bottom - share * (room.bottom - room.top);
    const lines = aspects.map((aspect, at) => ({
      aspect, style: styleOf(aspect), mark: MARKS[at % MARKS.length],
      points: values.flatMap((one, turn) => (one.has(aspect) ? [[x(turn), y(one.get(aspect))]] : [])),
    })).filter((line) => line.points.length);
    this.box.replaceChildren(
      svg("svg", { width: wide, height: HIGH, viewBox: `0 0 ${wide} ${HIGH}`, role: "img", "aria-label": this.summary() },
        ...grid(room, y),
        ...this.columns(turns, selected, x, step, room),
        ...lines.map(drawn),
        ...(isWide ? ends(lines, room) : [])),
      ...(isWide ? [] : [legend(lines)]),
    );
  }

  columns(turns, selected, x, step, room) {
    const every = Math.ceil(26 / step);
    return turns.map((turn, at) => {
      const left = x(at) - step / 2;
      const band = svg("rect", { class: "band", x: left, y: room.top, width: step, height: room.bottom - room.top });
      const isNumbered = turn === selected || at % every === 0;
      const number = isNumbered && svg("text", { class: "tick-label", x: x(at), y: room.bottom + 18, "text-anchor": "middle" }, String(at + 1));
      return svg("g", { class: turn === selected ? "column selected" : "column", onclick: () => this.onSelect(turn) }, band, number);
    });
  }

  summary() {
    const { values, aspects } = this.given;
    const last = values.findLast((one) => one.size);
    const told = aspects.filter((one) => last.has(one)).map((one) => `${named(one)} ${percent(last.get(one))}`);
    return `Progress over ${values.length} turns; at the last: ${told.join(", ")}. The table below holds all values.`;
  }

  tabulate() {
    const { values, aspects } = this.given;
    const head = html("tr", {}, html("th", { scope: "col" }, "Turn"), ...aspects.map((one) => html("th", { scope: "col" }, named(one))));
    const rows = values.map((one, at) =>
      html("tr", {}, html("th", { scope: "row" }, at + 1), ...aspects.map((a) => html("td", {}, one.has(a) ? percent(one.get(a)) : "–"))),
    );
    this.rows.replaceChildren(html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows)));
  }
}

const percent = (share) => `${Math.round(share * 100)} %`;

const grid = (room, y) =>
  [0, 0.5, 1].flatMap((share) => [
    svg("line", { class: "grid", x1: room.left, x2: room.right, y1: y(share), y2: y(share) }),
    svg("text", { class: "tick-label", x: room.left - 8, y: y(share) + 4, "text-anchor": "end" }, percent(share)),
  ]);

const drawn = (line) =>
  svg("g", { class: `line ${line.style}` },
    svg("polyline", { points: line.points.map((point) => point.join()).join(" ") }),
    ...line.points.map(([x, y]) => line.mark(x, y)));

/** Name the lines at their ends, so that no name covers another. */
function ends(lines, room) {
  const sorted = [...lines].sort((a, b) => a.points.at(-1)[1] - b.points.at(-1)[1]);
  let above = -Infinity;
  const places = sorted.map((line) => (above = Math.max(line.points.at(-1)[1] + 4, above + LINE)));
  const over = Math.max(0, places.at(-1) - room.bottom);
  return sorted.map((line, at) =>
    svg("text", { class: `name ${line.style}`, x: room.right + 10, y: places[at] - over }, named(line.aspect)));
}

const legend = (lines) =>
  html("ul", { class: "legend" }, ...lines.map((line) =>
    html("li", { class: line.style }, svg("svg", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" }, line.mark(7, 7)), named(line.aspect))));
