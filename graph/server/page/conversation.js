// The messages: one item of a list for each turn.

import { button, find, html, write } from "./dom.js";

const NEAR = 120; // pixels from the end within which the view follows new words
const ENDED = {
  stopped: "Stopped. Your message is kept: ask for the reply, or say more.",
  failed: "No reply came.",
  interrupted: "Waiting for a person's decision.",
};

export class Conversation {
  /**
   * @param onSelect Is told the turn whose analysis is asked for.
   * @param onTopic Is told a turn and the id of one of its topics.
   * @param onRetry Is told the turn whose message is to be sent again.
   */
  constructor({ onSelect, onTopic, onRetry }) {
    this.on = { onSelect, onTopic, onRetry };
    this.list = find("turns");
    this.scroller = find("scroll");
    this.items = new Map();
    this.isFollowing = true; // whether the end stays in view when something grows
    this.scroller.addEventListener("scroll", () => (this.isFollowing = this.isNearEnd));
    new ResizeObserver(() => this.isFollowing && this.toEnd()).observe(this.scroller);
  }

  clear() {
    this.items.clear();
    this.list.replaceChildren();
  }

  /** Show all turns; `styleOf` gives the class of an aspect. */
  show(turns, selected, styleOf) {
    const isOther = [...this.items.keys()].some((turn) => !turns.includes(turn));
    if (isOther) this.clear(); // it is another thread
    for (const [place, turn] of turns.entries()) {
      if (!this.items.has(turn)) this.add(turn, place + 1);
      this.fill(turn, turn === selected, styleOf);
    }
    if (this.isFollowing) this.toEnd();
  }

  get isNearEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }

  toEnd() {
    this.isFollowing = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  add(turn, number) {
    const item = { number, ...this.parts(turn, number) };
    const who = label("Cooper", html("span", { class: "badge" }, "AI"), item.degraded);
    const { working, text, guided, note, retry, inspect } = item;
    const said = html("div", { class: "said" }, label("You"), paragraph("text", turn.said));
    const reply = html("div", { class: "reply" }, who, working, text, guided, note, retry);
    const named = { class: "turn", "aria-label": `Turn ${number}` };
    item.box = html("article", named, turn.said !== null && said, reply, inspect);
    item.box.addEventListener("click", ({ target }) => {
      const isOwn = target !== inspect && target.closest("button, a");
      if (!isOwn && getSelection().isCollapsed) this.on.onSelect(turn, target === inspect);
    });
    this.items.set(turn, item);
    this.list.append(html("li", {}, item.box));
  }

  /** The parts of a turn that change. */
  parts(turn, number) {
    const dots = html("span", { class: "dots", "aria-hidden": "true" }, ...[1, 2, 3].map(dot));
    const retry = () => this.on.onRetry(turn);
    return {
      text: paragraph("text"),
      working: paragraph("working", dots, html("span", { class: "doing" })),
      degraded: html("span", { class: "badge degraded", hidden: true }, "Degraded"),
      guided: html("div", { class: "guided", hidden: true }),
      note: paragraph("note"),
      retry: button({ class: "quiet small", onclick: retry }, "Ask for the reply"),
      inspect: button({ class: "inspect" }, `Analysis of turn ${number}`),
    };
  }

  fill(turn, isSelected, styleOf) {
    const item = this.items.get(turn);
    item.box.classList.toggle("selected", isSelected);
    item.inspect.setAttribute("aria-pressed", String(isSelected));
    write(item.text, turn.text);
    item.text.hidden = !turn.text;
    item.working.hidden = !turn.isRunning || Boolean(turn.text);
    write(item.working.lastChild, doing(turn));
    item.degraded.hidden = !turn.isDegraded;
    const note = turn.error
      ? `No reply came: ${turn.error}`
      : ((turn.reply ? "" : ENDED[turn.status]) ?? "");
    write(item.note, note);
    item.note.hidden = !note;
    item.retry.hidden = turn.isRunning || !["stopped", "failed"].includes(turn.status);
    this.guide(turn, item, styleOf);
  }

  /** List the topics that the reply was made from. */
  guide(turn, item, styleOf) {
    const chosen = turn.text && !turn.isRunning ? turn.chosen : [];
    const key = chosen.map((one) => one.id).join();
    if (item.guided.dataset.key === key) return;
    item.guided.dataset.key = key;
    item.guided.hidden = !chosen.length;
    const topics = chosen.map((one) => {
      const onclick = () => this.on.onTopic(turn, one.id);
      const attributes = { class: `topic ${styleOf(one.aspect)}`, "data-candidate": one.id };
      return html("li", {}, button({ ...attributes, onclick }, one.topic ?? ""));
    });
    const head = html("p", { class: "caption", id: `guided-${item.number}` }, "Guided by");
    item.guided.replaceChildren(head, html("ul", { "aria-labelledby": head.id }, ...topics));
  }

  /** The elements of a turn's topics, by candidate. */
  topics(turn) {
    const found = this.items.get(turn)?.guided.querySelectorAll("[data-candidate]") ?? [];
    return new Map([...found].map((element) => [element.dataset.candidate, element]));
  }
}

const paragraph = (name, ...children) => html("p", { class: name }, ...children);
const label = (...children) => paragraph("who", ...children);
const dot = () => html("i");

/** Say what a turn that has no words yet is at. */
function doing(turn) {
  if (turn.isRanked) return "Writing the reply";
  const stages = [...turn.agents.values()];
  if (!stages.length) return "Reading your message";
  const isPast = (stage) => stages.every((one) => one[stage].status === "completed");
  if (isPast("progression")) return "Ranking the topics";
  if (isPast("promoter")) return "Estimating progress";
  return isPast("tracker") ? "Proposing topics" : "Tracking where things stand";
}
