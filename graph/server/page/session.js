// A conversation: its turns, the one that runs, and what the page shows of them.

import { ApiError } from "./api.js";
import { sentencesOf } from "./help.js";
import { follow, logged } from "./stream.js";
import { Turn } from "./turn.js";

const MOST_READ = 40; // turns whose events are read when a conversation is opened

/** An id for a message; unlike `randomUUID`, it can be made on pages without HTTPS, too. */
const newId = () =>
  [...crypto.getRandomValues(new Uint8Array(16))]
    .map((b) => b.toString(16).padStart(2, "0"))
    .join("");

export class Session {
  /**
   * @param api The server.
   * @param onChange Is called after every change.
   * @param onEvent Is told every event of a running turn, and the turn.
   */
  constructor(api, { onChange, onEvent }) {
    this.api = api;
    this.changed = onChange;
    this.heard = onEvent;
    this.reset();
  }

  reset(thread = null) {
    this.leaving?.abort(new DOMException("left", "AbortError"));
    this.leaving = new AbortController();
    this.thread = thread; // { id, task, parent }
    this.task = null; // of the thread that is made with the first turn
    this.family = null; // resolves to the thread and those that it was copied from
    this.turns = [];
    this.selected = null;
    this.help = [];
    this.problem = "";
    this.connection = "open"; // or "waiting", "reconnecting"
    this.stopping = false;
    this.reading = new Set(); // turns whose events are being read
  }

  get running() {
    return this.turns.find((turn) => turn.isRunning) ?? null;
  }

  select(turn) {
    this.selected = turn;
    this.changed();
    if (turn && !turn.isRead && !turn.isRunning) this.readLater(turn);
  }

  /** Read a turn that is older than those that were read when the conversation was opened. */
  async readLater(turn) {
    await this.read(turn, this.leaving.signal);
    this.changed();
  }

  // Turns ------------------------------------------------------------------------------------

  /** Say something, in a new thread if there is none; null lets the system open. */
  async send(message, task) {
    const turn = new Turn({ said: message, messageId: message === null ? null : newId() });
    this.task = task;
    this.turns.push(turn);
    await this.ask(turn);
  }

  /** Ask again for the reply to a message that was left without one. */
  async retry(turn) {
    if (this.running) return;
    turn.begin();
    turn.error = null;
    await this.ask(turn);
  }

  async ask(turn) {
    const { signal } = this.leaving;
    this.selected = turn;
    this.changed();
    try {
      if (!this.thread) await this.make(signal);
    } catch (error) {
      if (!signal.aborted) this.fail(turn, error);
      return;
    }
    if (signal.aborted) return;
    await this.run(turn, { message: turn.said, messageId: turn.messageId });
  }

  /** Make the thread; one that the person left meanwhile is not kept. */
  async make(signal) {
    const made = await this.api.create(this.task);
    if (signal.aborted) this.api.remove(made.id).catch(() => {});
    else this.thread = made;
  }

  async run(turn, asked) {
    const { signal } = this.leaving;
    const onState = (state) => {
      if (state === this.connection) return;
      this.connection = state;
      this.changed();
    };
    this.stopping = false;
    try {
      for await (const event of follow(this.api, this.thread.id, asked, { signal, onState })) {
        turn.apply(event);
        this.take(event);
        if (this.stopping === "wanted") await this.stop();
        this.heard(event, turn);
        this.changed();
      }
    } catch (error) {
      if (signal.aborted) return;
      this.fail(turn, error);
    }
    this.connection = "open";
    this.stopping = false;
    this.changed();
    await this.sync();
    if (!turn.isRead && !signal.aborted) await this.readLater(turn);
  }

  /** Keep help in view as the guard says. */
  take(event) {
    if (event.type === "help") this.help = sentencesOf(event.lines);
    if (event.type === "done") this.help = event.pinned ? [event.pinned] : [];
  }

  fail(turn, error) {
    turn.status = "failed";
    turn.error = error.message;
    this.connection = "open";
    this.changed();
  }

  async stop() {
    const turn = this.running;
    if (!turn || this.stopping === "asked") return;
    const isUnsent = !this.thread || this.connection !== "open";
    if (!turn.id && isUnsent) return this.giveUp(turn);
    this.stopping = turn.id ? "asked" : "wanted"; // its id is known with its first event
    this.changed();
    if (!turn.id) return;
    try {
      await this.api.stop(this.thread.id, turn.id);
    } catch (error) {
      this.stopping = false;
      this.tell(error);
    }
  }

  /** Leave a turn that the server has not begun. */
  giveUp(turn) {
    this.leaving.abort(new DOMException("left", "AbortError"));
    this.leaving = new AbortController();
    this.family = null; // it may have been cut
    this.stopping = false;
    this.fail(turn, new Error("it was stopped before the server answered."));
  }

  tell(error) {
    this.problem = error.message;
    this.changed();
  }

  /** Take up the replies that came for messages which an earlier turn had left without one. */
  async sync() {
    const open = this.turns.filter((turn) => !turn.isRunning && !turn.text);
    if (!open.length || !this.thread) return;
    const { signal } = this.leaving;
    const state = await this.api.thread(this.thread.id).catch(() => null);
    if (!state || signal.aborted) return;
    for (const { role, text, turn: id } of state.messages) {
      const turn = role === "assistant" && open.find((one) => one.id === id);
      if (turn) Object.assign(turn, { stored: text, status: "completed", error: null });
    }
    this.changed();
  }

  // Threads ----------------------------------------------------------------------------------

  /** Open a thread with its earlier turns. */
  async open(id) {
    this.reset();
    const { signal } = this.leaving;
    const state = await this.api.thread(id);
    if (signal.aborted) return;
    this.thread = state;
    this.turns = turnsOf(state);
    this.selected = this.turns.at(-1) ?? null;
    this.help = state.guard?.pinned ? [state.guard.pinned] : [];
    this.changed();
    const running = this.running;
    if (running) {
      running.isRead = !state.parent; // a reply that is written anew has its agents there
      this.run(running, { turn: running.id });
    }
    for (const turn of this.turns.toReversed().slice(0, MOST_READ)) {
      if (turn !== running) await this.read(turn, signal);
      if (signal.aborted) return;
      this.changed();
    }
  }

  /** Read the events of an earlier turn, here and in the threads that this one was copied from. */
  async read(turn, signal) {
    if (turn.isRead || this.reading.has(turn)) return;
    this.reading.add(turn);
    turn.isMissed = false;
    const { status, stored, error } = turn;
    const found = new Turn(turn); // so that the turn does not seem to run meanwhile
    try {
      const isKept = await this.replay(found, signal);
      if (turn.isRunning || signal.aborted) return;
      Object.assign(turn, found, { status, stored, isKept, error: error ?? found.error });
    } catch {
      if (!signal.aborted) turn.isMissed = true; // the replies are there all the same
    } finally {
      this.reading.delete(turn);
    }
  }

  /** Apply what is logged of a turn, the oldest thread's first; return whether anything is. */
  async replay(turn, signal) {
    this.family ??= this.ancestry(signal).catch((error) => {
      if (!signal.aborted) this.family = null; // to be asked again
      throw error;
    });
    let isKept = false;
    for (const { id, turns, opening } of await this.family) {
      const known = turn.id ?? opening;
      const events = turns.has(known) && (await logged(this.api, id, known, signal));
      for (const event of events || []) turn.apply(event);
      isKept ||= Boolean(events);
    }
    return isKept;
  }

  /** List the thread and those that it was copied from, the oldest first, with their turns. */
  async ancestry(signal) {
    const found = [];
    for (let next = this.thread; next && !signal.aborted; ) {
      const { id, parent, turns = [], messages = [] } = next;
      const opening = openingOf({ messages, turns });
      found.unshift({ id, turns: new Set(turns.map((turn) => turn.id)), opening });
      next = parent && (await this.api.thread(parent).catch(orNull));
    }
    return found;
  }

  /** Copy the thread up to a turn, whose reply is written anew around another topic. */
  async fork(turn, topic) {
    const { signal } = this.leaving;
    const before = this.turns.slice(0, this.turns.indexOf(turn));
    const copy = await this.api.fork(this.thread.id, { turn: turn.id, topic });
    if (signal.aborted) return;
    const { help } = this;
    this.reset(copy);
    const anew = new Turn({ said: turn.said, messageId: turn.messageId, id: turn.id });
    anew.agents = turn.agents;
    anew.rankingParts = new Map([[1, edited(turn.ranking, topic)]]);
    Object.assign(this, { turns: [...before, anew], selected: anew, help });
    this.changed();
    await this.run(anew, { message: null, messageId: null });
  }
}

const edited = ([first, ...rest], topic) => [
  { ...first, ...topic, id: "person", isEdited: true },
  ...rest,
];

/** Take a thread that is not there, such as one that was deleted, for none. */
function orNull(error) {
  if (error instanceof ApiError && error.status === 404) return null;
  throw error;
}

/** The id of the turn that no message began. */
function openingOf({ messages, turns }) {
  const named = new Set(messages.map((message) => message.turn));
  return turns.find((turn) => !named.has(turn.id))?.id ?? null;
}

/** The turns in a thread's messages. */
function turnsOf({ messages, turns }) {
  const status = new Map(turns.map((turn) => [turn.id, turn.status]));
  const opening = openingOf({ messages, turns });
  const found = [];
  for (const { id, role, text, turn } of messages) {
    if (role === "user") found.push(new Turn({ said: text, messageId: id, id: turn }));
    else if (found.length && found.at(-1).stored === null) found.at(-1).stored = text;
    else found.push(Object.assign(new Turn({ id: turn ?? opening }), { stored: text }));
  }
  for (const turn of found) {
    turn.status = status.get(turn.id) ?? (turn.stored === null ? "stopped" : "completed");
    turn.isRead = false;
  }
  return found;
}
