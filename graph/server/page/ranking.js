// The candidates as a list that re-sorts itself when the scores come.

import { find, html, isStill, named, write } from "./dom.js";
import { PASSIVE } from "./turn.js";

const EASE = { duration: 600, easing: "cubic-bezier(.2,.8,.2,1)" };

export class Ranking {
  constructor() {
    this.list = find("ranking");
    this.caption = find("ranking-caption");
    this.rows = new Map();
  }

  /** Show a turn's candidates; returns how long they move. `styleOf`: the class of an aspect. */
  show(turn, styleOf) {
    const candidates = turn?.ranking ?? [];
    const before = this.places();
    const scores = candidates.map((one) => one.score ?? 0);
    const [least, most] = [Math.min(...scores), Math.max(...scores)];
    const chosen = new Set(turn?.chosen.map((one) => one.id));
    const kept = new Map();
    for (const one of candidates) {
      const row = this.rows.get(one.id) ?? newRow(one);
      fill(row, one, {
        isChosen: chosen.has(one.id),
        share: share(one.score, least, most),
        style: styleOf(one.aspect),
      });
      kept.set(one.id, row);
    }
    this.rows = kept;
    this.place([...kept.values()].map((row) => row.box));
    this.list.classList.toggle("ranked", Boolean(turn?.isRanked));
    write(this.caption, captionOf(turn, candidates, chosen));
    return this.move(before);
  }

  /** Put the rows in order, touching only what is elsewhere. */
  place(boxes) {
    for (const box of [...this.list.children]) if (!boxes.includes(box)) box.remove();
    boxes.forEach((box, at) => {
      if (this.list.children[at] !== box)
        this.list.insertBefore(box, this.list.children[at] ?? null);
    });
  }

  places() {
    const rows = [...this.rows].map(([id, row]) => [id, row.box.offsetTop]);
    return new Map(rows);
  }

  /** Let the rows glide from where they were; returns for how many milliseconds. */
  move(before) {
    if (isStill()) return 0;
    let lasts = 0;
    for (const [id, { box }] of this.rows) {
      const from = before.get(id);
      if (from === undefined) box.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 250 });
      else if (from !== box.offsetTop) {
        const way = `translateY(${from - box.offsetTop}px)`;
        box.animate([{ transform: way }, { transform: "none" }], EASE);
        lasts = EASE.duration;
      }
    }
    return lasts;
  }

  /** The row of a candidate. */
  row(id) {
    return this.rows.get(id)?.box;
  }

  /** Bring a row into view and let it stand out for a moment. */
  point(id) {
    const row = this.row(id);
    if (!row) return;
    row.scrollIntoView({ block: "center", behavior: isStill() ? "auto" : "smooth" });
    row.classList.add("pointed");
    setTimeout(() => row.classList.remove("pointed"), 1600);
  }
}

const share = (score, least, most) =>
  score === undefined ? 0 : most > least ? 0.04 + (0.96 * (score - least)) / (most - least) : 1;

function newRow(one) {
  const row = {
    rank: html("span", { class: "rank" }),
    topic: html("p", { class: "candidate" }),
    made: html("p", { class: "caption" }),
    score: html("span", { class: "score" }),
    bar: html("span", { class: "fill" }),
    won: html("span", { class: "hidden", hidden: true }, "guides the reply"),
  };
  const words = html(
    "div",
    { class: "words" },
    row.topic,
    html("div", { class: "made" }, row.made, row.won),
  );
  const meter = html("span", { class: "meter", "aria-hidden": "true" }, row.bar);
  row.box = html(
    "li",
    { "data-candidate": one.id },
    row.rank,
    words,
    html("div", { class: "scored" }, row.score, meter),
  );
  return row;
}

function fill(row, one, { isChosen, share, style }) {
  row.box.className = `${style}${isChosen ? " chosen" : ""}`;
  write(row.rank, one.rank ? String(one.rank) : "·");
  write(row.topic, one.topic ?? "(a topic that is not kept)");
  const aspect = one.aspect === PASSIVE ? "Outside the agents" : named(one.aspect);
  write(row.made, one.strategy ? `${aspect}, ${named(one.strategy).toLowerCase()}` : aspect);
  write(row.score, one.score === undefined ? "" : one.score.toFixed(2).replace("-", "−"));
  row.bar.style.width = `${Math.round(share * 100)}%`;
  row.won.hidden = !isChosen;
}

function captionOf(turn, candidates, chosen) {
  if (!candidates.length) return "the agents' proposals, when they are made";
  if (!turn.isRanked) return `${candidates.length} proposals, not ranked yet`;
  return chosen.size
    ? `best first; ${chosen.size} of ${candidates.length} guide the reply`
    : "best first";
}
