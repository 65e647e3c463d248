// Reads the events of a turn, and goes on after a lost connection.

import { ApiError, Dropped, pause } from "./api.js";

const SILENCE = 45_000; // the server says something at least every 15 seconds
const LONGEST = 10_000;

/** Whether the same request may succeed later. */
const passes = (error) => error instanceof Dropped || (error instanceof ApiError && error.passes);

/** The milliseconds until the next try, where the server names none. */
const waitAfter = (tries) => Math.min(LONGEST, 500 * 2 ** tries);

/** Read the events of a turn that has ended; null if the server keeps none. */
export async function logged(api, thread, turn, signal) {
  for (let tries = 0; ; tries += 1) {
    try {
      const response = await api.events(thread, turn, null, signal);
      if (response.status === 204) return null;
      const events = [];
      for await (const { data } of parsed(response, signal)) events.push(JSON.parse(data));
      return events.filter((event) => event.turn);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null;
      if (!passes(error)) throw error;
      await pause(error.wait ? error.wait * 1000 : waitAfter(tries), signal);
    }
  }
}

/** Yield the events of an SSE response as `{ id, data }`. */
export async function* parsed(response, signal) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let id = null;
  let data = [];
  try {
    for (;;) {
      const { value, done } = await heard(reader, signal);
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield { id, data: data.join("\n") };
          data = [];
        } else if (line.startsWith("id:")) id = line.slice(3).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function heard(reader, signal) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Dropped("the server fell silent")), SILENCE);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw error instanceof Dropped ? error : new Dropped("the connection was lost");
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Yield the events of a turn until it is done.
 *
 * Before the first event the message is sent again with its id, which answers it once. Later the
 * events are read on after the last one.
 *
 * @param asked The `message` with its `messageId`; or a `turn` that runs already.
 * @param onState Is told "open", "waiting" (for another turn, or a busy server), "reconnecting".
 */
export async function* follow(api, thread, asked, { signal, onState }) {
  const { message, messageId } = asked;
  let turn = asked.turn ?? null;
  let last = null;
  for (let tries = 0; ; tries += 1) {
    let wait = waitAfter(tries);
    try {
      const response = turn
        ? await api.events(thread, turn, last, signal)
        : await api.say(thread, message, messageId, signal);
      if (response.status === 204) throw new ApiError(410, "its last events are lost");
      for await (const { id, data } of parsed(response, signal)) {
        const event = JSON.parse(data);
        if (event.error?.message) throw new ApiError(500, event.error.message);
        if (!event.turn) continue;
        onState("open");
        tries = 0;
        last = id ?? last;
        turn = event.turn;
        yield event;
        if (event.type === "done") return;
      }
      throw new Dropped("the stream ended early");
    } catch (error) {
      if (!passes(error)) throw error;
      const isBusy = error instanceof ApiError && error.status !== 502 && error.status !== 504;
      onState(isBusy ? "waiting" : "reconnecting");
      if (error.wait) wait = error.wait * 1000;
    }
    await pause(wait, signal);
  }
}
