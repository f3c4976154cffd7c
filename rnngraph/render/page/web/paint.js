// @ts-check
// Paint a drawing of elements onto a canvas: the page's policy lets no picture be loaded, not even its own.

/** @param {any} drawing an SVG element in the page @param {CanvasRenderingContext2D} context */
export function paintOn(drawing, context) {
  for (const element of drawing.querySelectorAll("rect, path, circle, ellipse, text")) {
    const style = getComputedStyle(element), shape = outline(element);
    context.save();
    context.globalAlpha = Number(style.opacity) * (style.visibility === "hidden" ? 0 : 1);
    context.setLineDash(style.strokeDasharray === "none" ? [] : style.strokeDasharray.split(/[ ,]+/).map(parseFloat));
    context.lineWidth = parseFloat(style.strokeWidth) || 1;
    context.lineJoin = style.strokeLinejoin === "round" ? "round" : "miter";
    if (style.fill !== "none") context.fillStyle = style.fill;
    if (style.stroke !== "none") context.strokeStyle = style.stroke;
    if (element.localName === "text") write(element, style, context);
    else {
      if (style.fill !== "none") context.fill(shape);
      if (style.stroke !== "none") context.stroke(shape);
    }
    context.restore();
  }
}

/** @param {any} element */
function outline(element) {
  const number = (/** @type {string} */ name) => Number(element.getAttribute(name) ?? 0), shape = new Path2D();
  if (element.localName === "path") return new Path2D(element.getAttribute("d"));
  if (element.localName === "circle") shape.arc(number("cx"), number("cy"), number("r"), 0, 2 * Math.PI);
  else if (element.localName === "rect") shape.roundRect(number("x"), number("y"), Math.max(0, number("width")), Math.max(0, number("height")), number("rx"));
  return shape;
}

/** @param {any} element @param {CSSStyleDeclaration} style @param {CanvasRenderingContext2D} context */
function write(element, style, context) {
  const text = Array.from(element.childNodes).filter((node) => node.nodeType === 3).map((node) => node.textContent).join("");
  context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  context.textAlign = /** @type {CanvasTextAlign} */ ({ middle: "center", end: "right" }[style.textAnchor] ?? "left");
  const x = Number(element.getAttribute("x")), y = Number(element.getAttribute("y"));
  if (style.stroke !== "none") context.strokeText(text, x, y);
  context.fillText(text, x, y);
}
