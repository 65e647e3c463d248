// Makes elements. Texts become text nodes, so that no word of a message or a model is ever markup.

const SVG = "http://www.w3.org/2000/svg";

export const find = (id) => document.getElementById(id);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

/** An HTML element: `html("p", { class: "note" }, "text", child)`. */
export const html = (name, attributes = {}, ...children) =>
  filled(document.createElement(name), attributes, children);

/** A button that sends no form. */
export const button = (attributes, text) => html("button", { type: "button", ...attributes }, text);

/** An SVG element. */
export const svg = (name, attributes = {}, ...children) =>
  filled(document.createElementNS(SVG, name), attributes, children);

/** Write a text only where it changed: selections and screen readers stay undisturbed. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** A phrase for an identifier of a task, such as "personal-related-inquiry". */
export const named = (text) => capital(text.replaceAll(/[-_]+/g, " ").trim());

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
