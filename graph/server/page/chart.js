// The progress of each aspect over the turns, drawn by hand as SVG.

import { find, html, named, svg } from "./dom.js";

const HIGH = 190;
const PAD = { top: 12, right: 12, bottom: 26, left: 40 };
const LABEL = 110; // pixels for the names at the lines' ends, where there is room
const LINE = 15; // of a name
const EMPTY = "The lines begin with the first turn that the agents have read.";
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
    if (!this.given.values.some((one) => one.size)) {
      this.box.replaceChildren(html("p", { class: "empty" }, EMPTY));
      return;
    }
    const isWide = wide > 420;
    const right = wide - PAD.right - (isWide ? LABEL : 0);
    const room = { left: PAD.left, right, top: PAD.top, bottom: HIGH - PAD.bottom };
    const scale = this.scale(room);
    const lines = this.lines(scale);
    const size = { width: wide, height: HIGH, viewBox: `0 0 ${wide} ${HIGH}` };
    const picture = svg(
      "svg",
      { ...size, role: "img", "aria-label": this.summary() },
      ...grid(room, scale.y),
      ...this.columns(scale, room),
      ...lines.map(drawn),
      ...(isWide ? ends(lines, room) : []),
    );
    this.box.replaceChildren(picture, ...(isWide ? [] : [legend(lines)]));
  }

  /** Where a turn and a progress lie. */
  scale(room) {
    const step = (room.right - room.left) / Math.max(this.given.turns.length, 2);
    const x = (at) => room.left + step * (at + 0.5);
    const y = (share) => room.bottom - share * (room.bottom - room.top);
    return { step, x, y };
  }

  lines({ x, y }) {
    const { values, aspects, styleOf } = this.given;
    const point = (aspect) => (one, at) => (one.has(aspect) ? [[x(at), y(one.get(aspect))]] : []);
    const lines = aspects.map((aspect, at) => ({
      aspect,
      style: styleOf(aspect),
      mark: MARKS[at % MARKS.length],
      points: values.flatMap(point(aspect)),
    }));
    return lines.filter((line) => line.points.length);
  }

  /** A band for each turn, to click on. */
  columns({ step, x }, room) {
    const { turns, selected } = this.given;
    const every = Math.ceil(26 / step);
    const place = { y: room.top, width: step, height: room.bottom - room.top };
    const under = { y: room.bottom + 18, "text-anchor": "middle" };
    return turns.map((turn, at) => {
      const isSelected = turn === selected;
      const band = svg("rect", { class: "band", x: x(at) - step / 2, ...place });
      const number = svg("text", { class: "tick-label", x: x(at), ...under }, String(at + 1));
      const attributes = {
        class: isSelected ? "column selected" : "column",
        onclick: () => this.onSelect(turn),
      };
      return svg("g", attributes, band, (isSelected || at % every === 0) && number);
    });
  }

  summary() {
    const { values, aspects } = this.given;
    const last = values.findLast((one) => one.size);
    const told = aspects
      .filter((one) => last.has(one))
      .map((one) => `${named(one)} ${percent(last.get(one))}`);
    return `Progress over ${values.length} turns; at the last: ${told.join(", ")}.`;
  }

  tabulate() {
    const { values, aspects } = this.given;
    const head = html(
      "tr",
      {},
      html("th", { scope: "col" }, "Turn"),
      ...aspects.map((one) => html("th", { scope: "col" }, named(one))),
    );
    const rows = values.map((one, at) =>
      html(
        "tr",
        {},
        html("th", { scope: "row" }, at + 1),
        ...aspects.map((a) => html("td", {}, one.has(a) ? percent(one.get(a)) : "–")),
      ),
    );
    this.rows.replaceChildren(
      html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows)),
    );
  }
}

const percent = (share) => `${Math.round(share * 100)} %`;

const grid = (room, y) =>
  [0, 0.5, 1].flatMap((share) => [
    svg("line", { class: "grid", x1: room.left, x2: room.right, y1: y(share), y2: y(share) }),
    svg(
      "text",
      { class: "tick-label", x: room.left - 8, y: y(share) + 4, "text-anchor": "end" },
      percent(share),
    ),
  ]);

const drawn = (line) =>
  svg(
    "g",
    { class: `line ${line.style}` },
    svg("polyline", { points: line.points.map((point) => point.join()).join(" ") }),
    ...line.points.map(([x, y]) => line.mark(x, y)),
  );

/** Name the lines at their ends, so that no name covers another. */
function ends(lines, room) {
  const sorted = [...lines].sort((a, b) => a.points.at(-1)[1] - b.points.at(-1)[1]);
  let above = -Infinity;
  const places = sorted.map((line) => (above = Math.max(line.points.at(-1)[1] + 4, above + LINE)));
  const over = Math.max(0, places.at(-1) - room.bottom);
  return sorted.map((line, at) =>
    svg(
      "text",
      { class: `name ${line.style}`, x: room.right + 10, y: places[at] - over },
      named(line.aspect),
    ),
  );
}

const legend = (lines) =>
  html(
    "ul",
    { class: "legend" },
    ...lines.map((line) =>
      html(
        "li",
        { class: line.style },
        svg(
          "svg",
          { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" },
          line.mark(7, 7),
        ),
        named(line.aspect),
      ),
    ),
  );
