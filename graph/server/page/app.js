// Puts the page together: the session changes, and every view shows what is known.

import { Api } from "./api.js";
import { Chart } from "./chart.js";
import { Conversation } from "./conversation.js";
import { askToken, askTopic, listThreads } from "./dialogs.js";
import { capital, find, html, named, write } from "./dom.js";
import { Help } from "./help.js";
import { Lanes } from "./lanes.js";
import { Links } from "./links.js";
import { Ranking } from "./ranking.js";
import { Session } from "./session.js";
import { PASSIVE } from "./turn.js";

const THREAD = /^#[0-9a-f]{32}$/; // its id in the address
const STYLES = 6; // colours of aspects
const STATES = {
  ready: "Ready",
  thinking: "Thinking",
  waiting: "Waiting",
  person: "Waiting for a person",
  stopping: "Stopping",
  reconnecting: "Reconnecting",
};

const TOLD = ["waiting", "person", "reconnecting"]; // to screen readers, too

const api = new Api(askToken);
const session = new Session(api, { onChange: show, onEvent: announce });
const help = new Help();
const lanes = new Lanes();
const ranking = new Ranking();
const links = new Links();
const chart = new Chart((turn) => session.select(turn));
const conversation = new Conversation({
  onSelect: choose,
  onRetry: (turn) => session.retry(turn),
  onTopic(turn, id) {
    choose(turn);
    turnTo("analysis");
    shown.then(() => ranking.point(id));
  },
});
let tasks = [];
let shown = null; // resolves when the views are up to date

// Showing ------------------------------------------------------------------------------------

/** Show all that changed, once in a frame. */
function show() {
  shown ??= new Promise((resolve) => {
    requestAnimationFrame(() => {
      shown = null;
      draw();
      resolve();
    });
  });
}

function draw() {
  const { turns, selected, running, thread } = session;
  const aspects = aspectsOf(turns);
  const styleOf = (aspect) =>
    aspect === PASSIVE ? "passive" : `a${Math.max(0, aspects.indexOf(aspect)) % STYLES}`;
  find("start").hidden = Boolean(turns.length || thread);
  help.show(session.help);
  conversation.show(turns, selected, styleOf);
  lanes.show(selected, aspects, styleOf);
  const lasts = ranking.show(selected, styleOf);
  chart.show(turns, selected, aspects, styleOf);
  link(selected, styleOf);
  if (lasts) links.follow(lasts);
  drawBars(turns, selected);
  drawComposer(running);
}

/** The aspects in the task's order; those that only events name follow. */
function aspectsOf(turns) {
  const known = taskNow()?.aspects ?? [];
  const heard = turns.flatMap((turn) => [...turn.agents.keys()]).sort();
  return [...new Set([...known, ...heard])];
}

function taskNow() {
  const name = session.thread?.task ?? document.querySelector("#tasks input:checked")?.value;
  return tasks.find((task) => task.name === name);
}

const titleOf = (name) => capital(tasks.find((task) => task.name === name)?.title ?? named(name));

function link(turn, styleOf) {
  const topics = turn ? conversation.topics(turn) : new Map();
  const pairs = [...topics].map(([id, topic]) => ({ topic, row: ranking.row(id) }));
  const candidates = new Map(turn?.ranking.map((one) => [one.id, one]));
  links.show(
    pairs
      .filter((pair) => pair.row)
      .map((pair) => {
        const one = candidates.get(pair.topic.dataset.candidate);
        return { ...pair, style: styleOf(one.aspect) };
      }),
  );
}

function drawBars(turns, selected) {
  const at = turns.indexOf(selected);
  write(find("analysis-title"), selected ? `Analysis of turn ${at + 1}` : "Analysis");
  find("earlier").disabled = at <= 0;
  find("later").disabled = at < 0 || at >= turns.length - 1;
  const isForkable =
    selected?.status === "completed" &&
    selected.said !== null &&
    selected.isRanked &&
    selected.reply?.by !== "guard" &&
    !session.running;
  find("fork").hidden = !isForkable;
  const lost = lossOf(selected);
  find("lost").hidden = !lost;
  write(find("lost"), lost);
  drawFaults(selected);
  const { task } = session.thread ?? {};
  write(find("task-title"), task ? titleOf(task) : "");
}

function lossOf(turn) {
  if (!turn || turn.isRunning) return "";
  if (turn.isMissed) return "The analysis could not be read. Choose the turn again to try again.";
  if (!turn.isRead) return "The analysis is being read.";
  if (!turn.isKept) return "The server no longer keeps the analysis of this turn.";
  if (turn.reply?.by === "guard") return "The safety guard answered this turn; no agent was asked.";
  return "";
}

function drawFaults(turn) {
  const faults = [...(turn?.faults.values() ?? [])];
  const list = find("faults");
  list.hidden = !faults.length;
  const key = faults.map((fault) => fault.id).join();
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(
    ...faults.map((fault) => {
      const where = fault.aspect ? `${named(fault.aspect)}, ${fault.step}` : named(fault.step);
      return html(
        "li",
        {},
        html("span", { class: "badge degraded" }, "Degraded"),
        ` ${where}: ${fault.message}`,
      );
    }),
  );
}

function drawComposer(running) {
  const state = stateOf(running);
  const status = find("status");
  if (state !== status.dataset.state && TOLD.includes(state)) tell(STATES[state]);
  status.dataset.state = state;
  write(find("status-text"), STATES[state]);
  const hadFocus = document.activeElement;
  find("send").hidden = Boolean(running);
  find("stop").hidden = !running;
  // Not `disabled`: it would lose the focus.
  find("stop").setAttribute("aria-disabled", String(Boolean(session.stopping)));
  if (hadFocus === find("stop") && !running) find("message").focus();
  find("problem").hidden = !session.problem;
  write(find("problem"), session.problem);
}

function stateOf(running) {
  if (!running) return session.turns.at(-1)?.status === "interrupted" ? "person" : "ready";
  if (session.connection !== "open") return session.connection;
  return session.stopping ? "stopping" : "thinking";
}

/** Tell screen readers of a reply as a whole, and of help at once. */
function announce(event, turn) {
  if (event.type === "turn_started") remember();
  if (event.type === "reply") tell(`Cooper says: ${turn.text}`);
  if (event.type === "help")
    find("alarm").replaceChildren(`Help: ${session.help.join(" ")}`);
  if (event.type === "done" && event.status !== "completed") {
    tell(event.error ?? `The turn was ${event.status}.`);
  }
}

const tell = (text) => find("told").replaceChildren(text); // the same text twice, too

// Doing --------------------------------------------------------------------------------------

function choose(turn, isAsked = false) {
  session.select(turn);
  if (isAsked) turnTo("analysis");
}

/** Show one of the two panels where there is room for one. */
function turnTo(view) {
  find("main").dataset.view = view;
  for (const button of document.querySelectorAll(".switch button")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === view));
  }
  links.draw();
}

async function attempt(work) {
  session.problem = "";
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") session.tell(error);
  }
}

async function send() {
  const box = find("message");
  const message = box.value.trim();
  if (!message || session.running) return;
  box.value = "";
  fit(box);
  turnTo("conversation");
  await attempt(() => sending(message));
}

async function sending(message) {
  const task = document.querySelector("#tasks input:checked")?.value ?? null;
  const sent = session.send(message, task);
  show();
  await shown;
  conversation.toEnd();
  await sent;
  remember();
}

/** Keep the thread in the address, so that the page can be opened again. */
function remember() {
  const { thread } = session;
  if (thread && location.hash !== `#${thread.id}`) history.replaceState(null, "", `#${thread.id}`);
}

function begin() {
  session.reset();
  history.replaceState(null, "", " "); // without a thread
  show();
  find("message").focus();
}

async function open(id) {
  await attempt(async () => {
    const opened = session.open(id);
    history.replaceState(null, "", `#${id}`);
    await opened;
    conversation.toEnd();
  });
}

async function fork() {
  const turn = session.selected;
  const topic = await askTopic(turn);
  if (!topic?.topic) return;
  await attempt(async () => {
    const forked = session.fork(turn, topic);
    turnTo("conversation");
    await forked;
    remember();
  });
}

/** Let a text box grow with its text. */
function fit(box) {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

function offer(list) {
  tasks = list;
  const choices = list.map((task, at) => {
    const input = html("input", {
      type: "radio",
      name: "task",
      value: task.name,
      checked: at === 0,
      onchange: offerOpening,
    });
    return html("label", { class: "choice" }, input, titleOf(task.name));
  });
  find("tasks").append(...choices);
  find("tasks").hidden = !list.length;
  offerOpening();
}

function offerOpening() {
  find("begin").hidden = taskNow()?.opens !== "system";
  show();
}

/** Whether a key belongs to an input method; Safari says so by the code 229 alone. */
const isComposing = (event) => event.isComposing || event.keyCode === 229;

function wire() {
  find("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  find("message").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
    event.preventDefault();
    send();
  });
  find("message").addEventListener("input", (event) => fit(event.target));
  find("stop").addEventListener("click", () => session.stop());
  find("begin").addEventListener("click", () => attempt(() => sending(null)));
  find("new").addEventListener("click", begin);
  find("fork").addEventListener("click", fork);
  find("open-threads").addEventListener("click", () => attempt(list));
  for (const [id, by] of [
    ["earlier", -1],
    ["later", 1],
  ]) {
    find(id).addEventListener("click", () => {
      session.select(session.turns[session.turns.indexOf(session.selected) + by]);
    });
  }
  for (const button of document.querySelectorAll(".switch button")) {
    button.addEventListener("click", () => turnTo(button.dataset.view));
  }
  find("whole").addEventListener("click", ({ target }) => {
    const isWhole = find("lanes").classList.toggle("whole");
    target.setAttribute("aria-pressed", String(isWhole));
  });
  for (const id of ["ranking", "turns"]) point(find(id));
  addEventListener("hashchange", () => {
    if (THREAD.test(location.hash) && location.hash !== `#${session.thread?.id}`)
      open(location.hash.slice(1));
  });
}

/** Let the link of a topic stand out while the pointer or the focus is on one of its ends. */
function point(list) {
  const on = ({ target }) =>
    links.point(target.closest("[data-candidate]")?.dataset.candidate ?? null);
  list.addEventListener("pointerover", on);
  list.addEventListener("pointerleave", () => links.point(null));
  list.addEventListener("focusin", on);
  list.addEventListener("focusout", () => links.point(null));
}

const list = () =>
  listThreads(api, session.thread?.id, {
    titleOf,
    onOpen: open,
    onError: (error) => session.tell(error),
    onDelete: (id) => id === session.thread?.id && begin(),
  });

async function start() {
  wire();
  show();
  await attempt(async () => offer(await api.tasks()));
  if (THREAD.test(location.hash)) await open(location.hash.slice(1));
  else find("message").focus();
}

start();
