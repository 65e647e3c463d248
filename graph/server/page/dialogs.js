// The dialogs: a token, the list of conversations, another topic.

import { THREADS } from "./api.js";
import { button, find, html } from "./dom.js";
import { PASSIVE } from "./turn.js";

/** Ask for the server's token. */
export function askToken(wasRefused) {
  const dialog = find("token-dialog");
  const note = find("token-note");
  const input = find("token");
  note.textContent = wasRefused
    ? "The server does not know that token. Try another one."
    : "It is kept until you close this tab.";
  input.value = "";
  return new Promise((resolve) => {
    find("token-form").onsubmit = () => {
      dialog.onclose = null;
      resolve(input.value.trim());
    };
    dialog.onclose = () => dialog.showModal(); // nothing can be shown without it
    dialog.showModal();
  });
}

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Show the conversations, to open one or delete it. */
export async function listThreads(api, current, on) {
  const dialog = find("threads-dialog");
  const onOpen = (id) => {
    dialog.close();
    on.onOpen(id);
  };
  const fail = (error) => {
    dialog.close();
    on.onError(error);
  };
  const onDelete = async (id, box) => {
    try {
      await api.remove(id);
    } catch (error) {
      return fail(error);
    }
    box.remove();
    fillThreads(boxes());
    dialog.querySelector("form button").focus();
    on.onDelete(id);
  };
  const { titleOf } = on;
  const item = (one) => threadItem(one, one.id === current, { titleOf, onOpen, onDelete });
  const more = find("more-threads");
  const read = async (known) => {
    const threads = await api.threads(known.length);
    more.hidden = threads.length < THREADS;
    const seen = new Set(known.map((box) => box.id)); // one that is used meanwhile comes twice
    fillThreads([...known, ...threads.map(item).filter((box) => !seen.has(box.id))]);
  };
  more.onclick = async () => {
    const known = boxes();
    await read(known).catch(fail);
    boxes().at(known.length)?.querySelector("button").focus(); // "More" may be gone
  };
  await read([]);
  dialog.showModal();
}

const boxes = () => [...find("threads").querySelectorAll("li:not(.empty)")];

const fillThreads = (items) =>
  find("threads").replaceChildren(
    ...(items.length ? items : [html("li", { class: "empty" }, "There are none yet.")]),
  );

function threadItem({ id, task, used, parent }, isCurrent, { titleOf, onOpen, onDelete }) {
  const when = WHEN.format(new Date(used * 1000));
  const what = `${titleOf(task)}${parent ? ", another topic" : ""}`;
  const open = button({ class: "thread", "aria-current": isCurrent && "true" }, what);
  open.append(html("span", { class: "caption" }, when));
  open.onclick = () => onOpen(id);
  const label = `Delete: ${what}, ${when}`;
  const remove = button({ class: "quiet small", "aria-label": label }, "Delete");
  const box = html("li", { id: `thread-${id}` }, open, remove);
  remove.onclick = () => {
    remove.textContent = "Really delete";
    remove.setAttribute("aria-label", `Really ${label}`);
    remove.onclick = () => onDelete(id, box);
  };
  return box;
}

/** Ask for a topic in place of a turn's first one; it begins as one of the candidates. */
export function askTopic(turn) {
  const dialog = find("fork-dialog");
  const [from, topic] = [find("fork-from"), find("fork-topic")];
  const candidates = turn.ranking.filter((one) => one.topic);
  from.replaceChildren(
    ...candidates.map((one, at) =>
      html("option", { value: at }, `${one.rank ?? at + 1}. ${one.topic}`),
    ),
  );
  const fill = () => (topic.value = candidates[Number(from.value)].topic);
  from.onchange = fill;
  fill();
  return new Promise((resolve) => {
    const close = (answer) => {
      dialog.close();
      resolve(answer);
    };
    find("fork-cancel").onclick = () => close(null);
    dialog.oncancel = () => resolve(null);
    find("fork-form").onsubmit = () => {
      const { aspect, strategy } = candidates[Number(from.value)];
      const served = aspect === PASSIVE ? [...turn.agents.keys()][0] : aspect;
      resolve({ topic: topic.value.trim(), strategy: strategy || undefined, aspect: served });
    };
    dialog.showModal();
    topic.focus();
  });
}
