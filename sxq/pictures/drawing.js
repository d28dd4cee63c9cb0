"use strict";
// What the report and the explorer draw alike. Text becomes text nodes, so that no name is read as HTML.
const drawing = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "g", "path", "line", "circle", "text", "rect"].includes(tag);
    const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes))
      name === "style" ? element.style.cssText = value : element.setAttribute(name, value); // a policy may forbid the attribute
    element.append(...children);
    return element;
  }

  function arrowhead([x, y], [u, v], size = 8) {
    const length = Math.hypot(u - x, v - y) || 1;
    const [a, b] = [(u - x) / length, (v - y) / length], [p, q] = [u - a * size, v - b * size], half = size / 2;
    return `M${p} ${q}L${p - a * size - b * half} ${q - b * size + a * half}L${p - a * size + b * half} ${q - b * size - a * half}Z`;
  }

  // ---- the patterns of a class
  function drawPattern(pattern) {
    const { nodes, edges, arrows, relations } = pattern, svg = make("svg", { viewBox: "0 0 230 190", role: "img", "aria-label": `pattern ${pattern.number}` });
    const x = (node) => 115 + node.x * 85, y = (node) => 100 - node.y * 72;
    const at = (i) => `${x(nodes[i]).toFixed(1)} ${y(nodes[i]).toFixed(1)}`;
    svg.append(make("path", { class: "own", d: edges.map(([u, v]) => `M${at(u)}L${at(v)}`).join("") }));
    const directed = edges.filter((_, i) => arrows[i]);
    if (directed.length) svg.append(make("path", { class: "arrow", d: directed.map(([u, v]) => arrowhead([x(nodes[u]), y(nodes[u])], [x(nodes[v]), y(nodes[v])])).join("") }));
    edges.forEach(([u, v], i) => relations[i] && svg.append(make("text", { class: "on-edge", x: (x(nodes[u]) + x(nodes[v])) / 2, y: (y(nodes[u]) + y(nodes[v])) / 2 - 3 },
      relations[i].length > 20 ? `${relations[i].slice(0, 19)}…` : relations[i])));
    for (const node of nodes) svg.append(make("g", { class: "node", transform: `translate(${x(node)} ${y(node)})` },
      make("circle", { r: 7, fill: node.colour }), make("text", { y: -11 }, node.label.length > 14 ? `${node.label.slice(0, 13)}…` : node.label)));
    const more = pattern.alike > 1 ? ` ${pattern.alike - 1} more ${pattern.alike > 2 ? "patterns have" : "pattern has"} the same values.` : "";
    return make("article", { class: "member" }, make("h3", {}, make("span", { class: "badge" }, String(pattern.number)), pattern.title), svg,
      make("p", {}, pattern.sentence + more));
  }

  return { make, arrowhead, drawPattern };
})();
