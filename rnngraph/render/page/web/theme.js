// @ts-check
// Light or dark: as the system says, until somebody chooses.

/** @type {(() => void)[]} */
const painters = [];
let theme = "auto";
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

/** Call a function whenever the colours change. @param {() => void} painter */
export function whenThemed(painter) { painters.push(painter); }

export const isDark = () => document.documentElement.dataset.theme === "dark";

/** @type {Map<string, string>} */
const colours = new Map(); // asking for a computed style is slow
/** A colour of the page in the theme of now. @param {string} name @returns {string} */
export function themed(name) {
  const key = `${isDark()} ${name}`, known = colours.get(key) ?? getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  colours.set(key, known);
  return known;
}

/** @param {string} wanted "auto", "light" or "dark" */
export function setTheme(wanted) {
  theme = wanted;
  document.documentElement.dataset.theme = theme === "dark" || (theme === "auto" && darkSystem.matches) ? "dark" : "light";
  for (const painter of painters) painter();
}

/** @param {string} wanted */
export function startTheme(wanted) {
  setTheme(wanted);
  darkSystem.addEventListener("change", () => setTheme(theme));
}
