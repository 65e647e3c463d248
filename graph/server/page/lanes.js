// A lane for each agent, which fills from its tracker to its progression analysis.

import { find, html, named, write } from "./dom.js";
import { STAGES, candidatesOf } from "./turn.js";

const NAMES = { tracker: "Tracker", promoter: "Promoter", progression: "Progression" };
const STATES = { idle: "has not begun", running: "works", completed: "is done" };
const UNSEEN = "Nothing was said about it yet.";

export class Lanes {
  constructor() {
    this.list = find("lanes");
    this.lanes = new Map();
  }

  /** Show a turn's agents; `aspects` gives their order, `styleOf` the class of an aspect. */
  show(turn, aspects, styleOf) {
    if (this.lanes.size !== aspects.length || aspects.some((one) => !this.lanes.has(one))) {
      this.lanes = new Map(aspects.map((aspect) => [aspect, lane(aspect, styleOf(aspect))]));
      this.list.replaceChildren(...[...this.lanes.values()].map((one) => one.box));
    }
    const chosen = new Set(turn?.chosen.map((one) => one.id));
    for (const [aspect, cells] of this.lanes) {
      const agent = turn?.agents.get(aspect);
      for (const stage of STAGES) {
        const known = agent?.[stage] ?? { status: "idle" };
        mark(cells[stage], stage, known);
        FILL[stage](cells[stage].body, known, chosen);
      }
    }
  }
}

function lane(aspect, style) {
  const cells = Object.fromEntries(STAGES.map((stage) => [stage, cell(stage)]));
  const name = html("h4", {}, named(aspect));
  cells.box = html(
    "li",
    { class: `lane ${style}` },
    name,
    html("ol", { class: "cells" }, ...STAGES.map((s) => cells[s].box)),
  );
  return cells;
}

function cell(stage) {
  const state = html("span", { class: "hidden" });
  const replaced = html("span", { class: "badge degraded", hidden: true }, "Replaced");
  const body = html("div", { class: "body" });
  const tick = html("span", { class: "tick", "aria-hidden": "true" });
  const head = html("p", { class: "stage" }, tick, html("span", {}, NAMES[stage]), state);
  const box = html("li", { class: `cell ${stage}` }, head, html("div", {}, body, replaced));
  return { box, body, state, replaced };
}

function mark(cell, stage, known) {
  cell.box.dataset.status = known.status;
  write(cell.state, ` ${STATES[known.status]}`);
  cell.replaced.hidden = !known.isReplaced;
}

const FILL = {
  tracker(body, known) {
    text(body, known.status === "completed" ? known.text || UNSEEN : "");
  },
  promoter(body, known, chosen) {
    const candidates = candidatesOf(known);
    const key = candidates.map((one) => one.id + chosen.has(one.id)).join();
    if (body.dataset.key === key) return;
    body.dataset.key = key;
    const items = candidates.map((one) =>
      html(
        "li",
        { class: chosen.has(one.id) && "won" },
        one.topic,
        chosen.has(one.id) && html("span", { class: "hidden" }, " (chosen)"),
      ),
    );
    body.replaceChildren(...(items.length ? [html("ul", {}, ...items)] : []));
  },
  progression(body, known) {
    const key = `${known.progress}|${known.text}`;
    if (body.dataset.key === key) return;
    body.dataset.key = key;
    if (known.progress == null) return body.replaceChildren();
    const percent = Math.round(known.progress * 100);
    const fill = html("span", { class: "fill" });
    fill.style.width = `${percent}%`;
    const meter = html("div", { class: "meter", "aria-hidden": "true" }, fill);
    const near =
      known.text &&
      html("p", {}, html("span", { class: "caption" }, "Nearest target: "), known.text);
    body.replaceChildren(
      html("p", { class: "percent" }, `${percent} %`),
      meter,
      ...(near ? [near] : []),
    );
  },
};

function text(body, words) {
  if (body.dataset.key === words) return;
  body.dataset.key = words;
  body.replaceChildren(...(words ? [html("p", {}, words)] : []));
}
