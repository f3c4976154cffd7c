// @ts-check
// What the page knows, as it was written into it.

/** @type {any} */
export const data = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent || "");

export const last = data.timesteps - 1;

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);
