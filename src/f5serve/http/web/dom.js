// Elements of the page, found and made.

/**
 * The element with this id; a missing one is a fault of the page.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found;
}

/**
 * A new element. Text is always text: nothing is ever parsed as HTML.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes] names beginning with "on" are listeners; false and
 *   null are left out
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children);
  return element;
}

/**
 * An icon of the sprite in index.html.
 * @param {string} name
 * @param {boolean} [small]
 */
export function icon(name, small = false) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", small ? "icon small" : "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * A button that shows an icon alone; its label is said and shown on hover.
 * @param {string} name of the icon
 * @param {string} label
 * @param {(event: MouseEvent) => void} onclick
 */
export function iconButton(name, label, onclick) {
  const attributes = { type: "button", class: "bare", "aria-label": label, title: label, onclick };
  return make("button", attributes, icon(name, true));
}

/**
 * Show another icon in a button.
 * @param {Element} button
 * @param {string} name
 */
export function setIcon(button, name) {
  button.querySelector("use")?.setAttribute("href", `#i-${name}`);
}

/**
 * Put other rows into a list; the button that has the focus keeps it, by its label.
 * @param {Element} list
 * @param {Element[]} rows
 */
export function replaceRows(list, rows) {
  const at = document.activeElement;
  const label = list.contains(at) ? at?.getAttribute("aria-label") : null;
  list.replaceChildren(...rows);
  for (const button of label ? list.querySelectorAll("button") : []) {
    if (button.getAttribute("aria-label") === label) button.focus();
  }
}

/**
 * Take a file that is dropped onto an area, which shows that it does.
 * @param {HTMLElement} area
 * @param {(file: File) => void} take
 */
export function acceptDrops(area, take) {
  const over = (/** @type {DragEvent} */ event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    area.classList.add("over");
  };
  area.addEventListener("dragenter", over);
  area.addEventListener("dragover", over);
  area.addEventListener("dragleave", () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    area.classList.remove("over");
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}
