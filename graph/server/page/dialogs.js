// The dialogs: a token, the list of conversations, another topic.

import { find, html, named } from "./dom.js";
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
export async function listThreads(api, current, { onOpen, onDelete, onError }) {
  const dialog = find("threads-dialog");
  const list = find("threads");
  const row = ({ id, task, used, parent }) => {
    const when = WHEN.format(new Date(used * 1000));
    const what = `${named(task)}${parent ? ", another topic" : ""}`;
    const open = html(
      "button",
      {
        type: "button",
        class: "thread",
        "aria-current": id === current && "true",
        onclick: () => {
          dialog.close();
          onOpen(id);
        },
      },
      html("span", {}, what),
      html("span", { class: "caption" }, when),
    );
    const remove = html(
      "button",
      {
        type: "button",
        class: "quiet small",
        "aria-label": `Delete the conversation of ${when}`,
        onclick: () => sure(remove, box, id),
      },
      "Delete",
    );
    const box = html("li", {}, open, remove);
    return box;
  };
  const sure = async (button, box, id) => {
    if (button.textContent === "Delete") {
      button.textContent = "Really delete";
      button.setAttribute("aria-label", `Really delete: ${box.textContent}`);
      return;
    }
    try {
      await api.remove(id);
    } catch (error) {
      return onError(error);
    }
    box.remove();
    if (!list.children.length) list.append(html("li", { class: "empty" }, "There are none yet."));
    find("threads-dialog").querySelector("form button").focus();
    onDelete(id);
  };
  const threads = await api.threads();
  list.replaceChildren(...threads.map(row));
  if (!threads.length) list.append(html("li", { class: "empty" }, "There are none yet."));
  dialog.showModal();
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
