// Where help is. It stays in view as long as the guard keeps it there.

import { find, html } from "./dom.js";

const NUMBER = /\d(?:[ -]?\d){2,}(?![A-Za-z\d])|\b[a-z]+helpline\.com\b/g;

export class Help {
  constructor() {
    this.panel = find("help");
    this.text = find("help-text");
  }

  /** Show sentences, or nothing. */
  show(sentences) {
    const key = sentences.join("\n");
    if (key === this.key) return;
    this.key = key;
    this.panel.hidden = !sentences.length;
    this.text.replaceChildren(...sentences.map((one) => html("p", {}, ...linked(one))));
  }
}

/** The sentences of a help event: each line completes "Please ...". */
export const sentencesOf = (lines) => lines.map((line) => `Please ${line.replace(/[.]?$/, ".")}`);

/** Split a sentence into text and links: a number can be called by a touch. */
function linked(sentence) {
  const parts = [];
  let at = 0;
  for (const found of sentence.matchAll(NUMBER)) {
    const [words] = found;
    const isSite = words.endsWith(".com");
    const href = isSite ? `https://${words}` : `tel:${words.replaceAll(/\D/g, "")}`;
    const outside = isSite ? { target: "_blank", rel: "noopener noreferrer" } : {};
    parts.push(sentence.slice(at, found.index), html("a", { href, ...outside }, words));
    at = found.index + words.length;
  }
  return [...parts, sentence.slice(at)];
}
