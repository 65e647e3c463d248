// Lines from the winning topics of the ranking to the reply that they guided.

import { find, svg } from "./dom.js";

const APART = 6; // pixels between the lines in the gutter

export class Links {
  constructor() {
    this.layer = find("links");
    this.pairs = [];
    this.wanted = false;
    this.until = 0; // on the page's clock
    const again = () => this.draw();
    addEventListener("resize", again);
    for (const id of ["scroll", "analysis-scroll"]) find(id).addEventListener("scroll", again);
    new ResizeObserver(again).observe(find("ranking"));
    new ResizeObserver(again).observe(find("turns"));
  }

  /** @param pairs `{ topic, row, style }`: an element in the reply, one in the ranking, a class. */
  show(pairs) {
    this.pairs = pairs;
    this.draw();
  }

  draw() {
    if (this.wanted) return;
    this.wanted = true;
    requestAnimationFrame(() => {
      this.wanted = false;
      this.layer.replaceChildren(...this.pairs.flatMap((pair, at) => joined(pair, at) ?? []));
      if (performance.now() < this.until) this.draw();
    });
  }

  /** Keep up with rows that move for a while. */
  follow(milliseconds) {
    this.until = performance.now() + milliseconds + 100;
    this.draw();
  }

  /** Let the link of a candidate stand out, or none. */
  point(id) {
    for (const line of this.layer.children)
      line.classList.toggle("pointed", line.dataset.candidate === id);
  }
}

/** The line of a pair, if both ends are in view side by side. */
function joined({ topic, row, style }, at) {
  const [from, to] = [seen(topic), seen(row)];
  if (!from || !to || to.left < from.right) return null;
  const [x0, y0, x1, y1] = [from.right + 2, middle(from), to.left - 2, middle(to)];
  const gutter = Math.min(find("analysis").getBoundingClientRect().left - 34, x1 - 60);
  const bend = Math.max(gutter - APART * at, x0 + 4);
  const half = (bend + x1) / 2;
  const way = `M${x0} ${y0}H${bend}C${half} ${y0} ${half} ${y1} ${x1} ${y1}`;
  return svg(
    "g",
    { class: `link ${style}`, "data-candidate": row.dataset.candidate },
    svg("path", { d: way }),
    svg("circle", { cx: x0, cy: y0, r: 3 }),
    svg("circle", { cx: x1, cy: y1, r: 3 }),
  );
}

const middle = (box) => (box.top + box.bottom) / 2;

/** An element's place, if its middle is inside the scrolled part of its panel. */
function seen(element) {
  const panel = element.closest(".scroll");
  const box = element.getBoundingClientRect();
  if (!panel || !box.width) return null;
  const { top, bottom } = panel.getBoundingClientRect();
  const bar = panel.querySelector(".turn-bar")?.offsetHeight ?? 0;
  return middle(box) > top + bar && middle(box) < bottom ? box : null;
}
