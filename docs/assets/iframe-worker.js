// A page that is opened from disk may start no worker; the search runs in a frame that is not shown instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    /** @param {string | URL} script */
    constructor(script) {
      super();
      const frame = document.createElement("iframe");
      this.ready = new Promise((loaded) => frame.addEventListener("load", () => {
        const inside = frame.contentWindow;
        inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
        loaded(inside);
      }));
      frame.hidden = true;
      frame.srcdoc = `<script src="${script}"></script>`;
      document.body.append(frame);
    }

    /** @param {unknown} data */
    postMessage(data) {
      this.ready.then((inside) => inside.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
}
