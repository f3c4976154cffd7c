// @ts-check
// What the page knows, as it was written into it.

/** @type {any} */
export const data = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent || "");

export const last = data.timesteps - 1;

/** The first number at which something holds, below one at which it is taken to hold; once it holds, it goes on to.
 * @param {number} stop @param {(number: number) => boolean} holds */
export function firstOf(stop, holds) {
  let low = 0, high = stop;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle; else low = middle + 1;
  }
  return low;
}

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);
