// Speaks with the server. The token stays in this tab's session storage.

const TOKEN = "cooper-token";
const ATTEMPTS = 4; // of a request without a stream

export const THREADS = 100; // in a list: the most that the server gives at once

/** An answer of the server that is no success. */
export class ApiError extends Error {
  constructor(status, message, wait = 0) {
    super(message);
    this.status = status;
    this.wait = wait; // seconds, where the server names them
  }

  /** Whether the same request may succeed later. */
  get passes() {
    return [408, 409, 425, 429, 502, 503, 504].includes(this.status);
  }
}

/** The stream broke, or the server cannot be reached. */
export class Dropped extends Error {}

export const pause = (milliseconds, signal) =>
  new Promise((resolve, reject) => {
    const over = () => {
      clearTimeout(timer);
      removeEventListener("online", over);
      signal?.removeEventListener("abort", left);
      resolve();
    };
    const left = () => {
      over();
      reject(signal.reason);
    };
    const timer = setTimeout(over, milliseconds);
    addEventListener("online", over);
    signal?.addEventListener("abort", left);
  });

export class Api {
  /** @param askToken Asks the person for a token; its argument tells whether one was refused. */
  constructor(askToken) {
    this.askToken = askToken;
    this.asking = null;
  }

  async request(path, { method = "GET", body, headers = {}, signal } = {}) {
    for (;;) {
      const token = sessionStorage.getItem(TOKEN);
      const sent = { ...headers };
      if (token) sent.Authorization = `Bearer ${token}`;
      if (body !== undefined) sent["Content-Type"] = "application/json";
      const json = body === undefined ? undefined : JSON.stringify(body);
      let response;
      try {
        const url = new URL(path, document.baseURI);
        response = await fetch(url, { method, body: json, headers: sent, signal });
      } catch (error) {
        if (signal?.aborted) throw signal.reason;
        throw new Dropped("the server cannot be reached");
      }
      if (response.ok) return response;
      if (response.status !== 401) throw await asError(response);
      // Requests that are refused together ask once.
      this.asking ??= this.askToken(Boolean(token)).finally(() => (this.asking = null));
      sessionStorage.setItem(TOKEN, await this.asking);
    }
  }

  /** Request JSON; a server that cannot be reached for a moment is asked again. */
  async json(path, options) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const response = await this.request(path, options);
        return response.status === 204 ? null : await response.json();
      } catch (error) {
        const isLast = attempt === ATTEMPTS || (options?.method ?? "GET") !== "GET";
        if (!(error instanceof Dropped) || isLast) throw error;
        await pause(300 * 2 ** attempt);
      }
    }
  }

  tasks = async () => (await this.json("page/tasks")).tasks;
  threads = async (offset) =>
    (await this.json(`threads?limit=${THREADS}&offset=${offset}`)).threads;
  thread = (id) => this.json(`threads/${id}`);
  create = (task) => this.json("threads", { method: "POST", body: { task } });
  remove = (id) => this.json(`threads/${id}`, { method: "DELETE" });
  stop = (id, turn) => this.json(`threads/${id}/turns/${turn}/stop`, { method: "POST" });
  fork = (id, body) => this.json(`threads/${id}/fork`, { method: "POST", body });

  /** Send a message, or null to let the server finish or open; returns the stream of the turn. */
  say = (id, message, messageId, signal) =>
    this.request(`threads/${id}/turns`, {
      method: "POST",
      body: messageId ? { message, message_id: messageId } : { message },
      headers: { Accept: "text/event-stream" },
      signal,
    });

  /** Read a turn's events after one of them. */
  events = (id, turn, after, signal) =>
    this.request(`threads/${id}/turns/${turn}/events`, {
      headers: { Accept: "text/event-stream", ...(after ? { "Last-Event-ID": after } : {}) },
      signal,
    });
}

async function asError(response) {
  const wait = Number(response.headers.get("Retry-After")) || 0;
  let message = `the server answered with the status ${response.status}`;
  try {
    const body = await response.json();
    message = body.error?.message ?? body.detail ?? message;
  } catch {
    // not JSON: the status says it
  }
  return new ApiError(response.status, String(message), wait);
}
