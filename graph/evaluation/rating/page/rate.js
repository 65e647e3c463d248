// The page for raters: a name, one pair after the other, and the counts at the end.

import { capital, find, html, named, write } from "./dom.js";

const NAME = "cooper-rater"; // in the tab's storage: a reload goes on
const ANSWERS = ["left", "tie", "right"];
const KEYS = { 1: "left", 2: "tie", 3: "right" };

const page = { work: null, rater: null, pairs: [], at: 0, shown: null, isBusy: false };

// The server --------------------------------------------------------------------------------------

async function call(path, options = {}) {
  const query = page.rater === null ? "" : `?rater=${encodeURIComponent(page.rater)}`;
  let answer;
  try {
    answer = await fetch(`rating/${path}${query}`, options);
  } catch {
    throw new Error("The server cannot be reached, so nothing was saved. Is it still running?");
  }
  const body = await answer.json().catch(() => null);
  if (answer.ok) return body;
  throw new Error(capital(body?.error?.message ?? "the server failed") + ".");
}

const put = (path, body) =>
  call(path, {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

// Views -------------------------------------------------------------------------------------------

function show(view) {
  for (const one of ["begin", "pair", "done"]) find(one).hidden = one !== view;
  find("person").hidden = view === "begin" || page.work.rater !== null;
  find("progress").hidden = view === "begin";
  if (view === "begin") write(find("place"), "");
  scrollTo(0, 0);
}

function tell(error) {
  write(find("problem"), error?.message ?? "");
  find("problem").hidden = !error;
}

/**
 * Do something that asks the server; an error is shown, and the page stays as it is. Meanwhile
 * nothing else is begun: a second click must not leave out a pair.
 */
async function trying(work) {
  if (page.isBusy) return;
  page.isBusy = true;
  try {
    await work();
    tell(null);
  } catch (error) {
    tell(error);
    scrollTo(0, 0);
  }
  page.isBusy = false;
}

function take({ rater, pairs, counts }) {
  Object.assign(page, { rater, pairs, counts });
  const done = pairs.filter((pair) => pair.done).length;
  Object.assign(find("progress"), { max: pairs.length, value: done });
  write(find("name-shown"), rater);
}

async function begin(name) {
  page.rater = name;
  try {
    take(await call("state"));
  } catch (error) {
    page.rater = null;
    show("begin");
    throw error;
  }
  sessionStorage.setItem(NAME, page.rater);
  await open(page.pairs.findIndex((pair) => !pair.done));
}

/** Show a pair, or the end where there is none. */
async function open(at) {
  if (at < 0 || at >= page.pairs.length) return end();
  page.shown = await call(`pairs/${page.pairs[at].id}`);
  page.at = at;
  write(find("place"), `Pair ${at + 1} of ${page.pairs.length}`);
  write(find("pair-title"), `Pair ${at + 1} of ${page.pairs.length}`);
  write(find("role-about"), page.shown.about.map(capital).join(" · "));
  write(find("role-situation"), page.shown.situation);
  find("role").hidden = !page.shown.situation && !page.shown.about.length;
  for (const side of ["left", "right"]) fill(side);
  for (const radio of find("questions").querySelectorAll("input"))
    radio.checked = page.shown.answers[radio.name] === radio.value;
  find("comment").value = page.shown.comment;
  find("back").disabled = at === 0;
  look("left");
  show("pair");
  find("pair-title").focus({ preventScroll: true });
}

function fill(side) {
  const list = find(side).querySelector(".talk");
  list.replaceChildren(
    ...page.shown[side].said.map(({ by, text }) =>
      html(
        "li",
        { class: by },
        html("p", { class: "caption" }, capital(page.work[by])),
        html("p", { class: "text" }, text),
      ),
    ),
  );
  list.scrollTop = 0;
}

/** On a narrow screen one side is shown at a time. */
function look(side) {
  find("pair").dataset.view = side;
  for (const one of document.querySelectorAll(".switch button"))
    one.setAttribute("aria-pressed", one.dataset.view === side);
}

function end() {
  const done = page.pairs.filter((pair) => pair.done).length;
  const isWhole = done === page.pairs.length;
  write(find("place"), "");
  write(find("done-title"), isWhole ? "Done. Thank you!" : "That was the last pair");
  write(
    find("done-text"),
    `You rated ${done} of ${page.pairs.length} pairs. You can still change every answer.`,
  );
  find("skipped").hidden = isWhole;
  find("counts").replaceChildren(
    ...Object.entries(page.counts).map(([dimension, counts]) =>
      html(
        "tr",
        {},
        html("th", { scope: "row" }, named(dimension)),
        ...ANSWERS.map((answer) => html("td", {}, counts[answer])),
      ),
    ),
  );
  show("done");
  find("done-title").focus({ preventScroll: true });
}

// Questions ---------------------------------------------------------------------------------------

function ask() {
  find("questions").replaceChildren(
    ...Object.entries(page.work.dimensions).map(([dimension, question]) =>
      html(
        "fieldset",
        {},
        html("legend", {}, html("strong", {}, named(dimension)), html("span", {}, question)),
        html("div", { class: "choices" }, ...ANSWERS.map((answer) => choice(dimension, answer))),
      ),
    ),
  );
}

const choice = (dimension, answer) =>
  html(
    "label",
    {},
    html("input", { type: "radio", name: dimension, value: answer, required: true }),
    capital(answer),
  );

/** Answer the question that has the focus by a number, and go on to the next one. */
function press(event) {
  const answer = KEYS[event.key];
  const asked = event.target.closest("fieldset");
  if (!answer || !asked || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const radio = asked.querySelector(`input[value=${answer}]`);
  radio.checked = true;
  const next = asked.nextElementSibling;
  if (!next) return find("comment").focus();
  (next.querySelector(":checked") ?? next.querySelector("input")).focus();
}

async function save() {
  const answers = {};
  for (const radio of find("questions").querySelectorAll(":checked"))
    answers[radio.name] = radio.value;
  const body = { left: page.shown.left.id, answers, comment: find("comment").value };
  take(await put(`pairs/${page.shown.id}`, body));
  write(find("told"), "Saved.");
  await open(page.at + 1);
}

// Beginning ---------------------------------------------------------------------------------------

function listen() {
  const submitting = (form, work) =>
    find(form).addEventListener("submit", (event) => {
      event.preventDefault();
      trying(work);
    });
  const clicking = (id, work) => find(id).addEventListener("click", () => trying(work));
  submitting("begin", () => begin(find("name").value));
  submitting("answers", save);
  clicking("back", () => open(page.at - 1));
  clicking("skip", () => open(page.at + 1));
  clicking("again", () => open(page.pairs.length - 1));
  clicking("skipped", () => open(page.pairs.findIndex((pair) => !pair.done)));
  clicking("leave", () => {
    sessionStorage.removeItem(NAME);
    page.rater = null;
    show("begin");
    find("name").focus();
  });
  for (const one of document.querySelectorAll(".switch button"))
    one.addEventListener("click", () => look(one.dataset.view));
  find("questions").addEventListener("keydown", press);
}

listen();
trying(async () => {
  page.work = await call("work");
  const { title, system } = page.work;
  write(find("about"), `Each one is ${title}. The questions are about the ${system}.`);
  ask();
  const name = page.work.rater ?? sessionStorage.getItem(NAME);
  if (name === null) show("begin");
  else await begin(name);
});
