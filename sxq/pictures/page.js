"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { make, arrowhead, drawPattern } = drawing;
  const $ = (id) => document.getElementById(id);
  const state = { target: data.targets[0], selected: null, turn: [-0.62, 0.42], cards: [] };

  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  const plain = (scene) => scene.nodes.every((node) => node.label === null); // nothing is known of any node
  const colour = (label) => label === null ? data.unknown : data.classes[label % data.classes.length];
  const short = (value) => value === null ? "" : value && Math.abs(value) < 1e-3 ? value.toExponential(1)
    : Number(value.toPrecision(4)).toString();
  const score = (member, name) => member.measures.find((m) => m.name === name)?.score ?? 0;
  function domain(name) {  // the scores shown on an axis, with room around them
    const { examined, members } = state.target;
    const values = [...(examined[name] || []), ...members.map((m) => score(m, name))];
    const [low, high] = [Math.min(1, ...values), Math.max(0, ...values)], room = Math.max(1e-3, (high - low) * 0.1);
    return [low - room, high + room];
  }
  function ticks([low, high]) {  // round numbers, about five
    const rough = (high - low) / 5, unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * unit).find((n) => n >= rough);
    const first = Math.ceil(Math.max(0, low) / step), last = Math.floor(Math.min(1, high) / step + 1e-9);
    return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  }
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function tip(event, text) {
    const box = $("tip");
    box.textContent = text;
    box.style.opacity = text ? 0.97 : 0;
    if (!text) return;
    const right = event.clientX + 16 + box.offsetWidth > innerWidth;
    box.style.left = `${right ? event.clientX - box.offsetWidth - 12 : event.clientX + 16}px`;
    box.style.top = `${Math.min(event.clientY + 14, innerHeight - box.offsetHeight - 8)}px`;
  }
  const untip = () => { $("tip").style.opacity = 0; };
  const counted = (n) => `${n} ${n === 1 ? data.over.slice(0, -1) : data.over}`;
  const described = (m) => [`member ${m.rank}: ${counted(m.size)}${data.over === "edges" ? `, ${m.nodes} nodes` : ""}`,
    [m.factual && "factual", m.counterfactual && "counterfactual"].filter(Boolean).join(" and "),
    ...m.measures.map((v) => `${v.name}  ${short(v.raw)}`)].filter(Boolean).join("\n");

  function select(rank, scroll) {
    state.selected = rank;
    for (const card of state.cards) card.element.classList.toggle("selected", card.member.rank === rank);
    for (const point of document.querySelectorAll(".point"))
      point.classList.toggle("selected", Number(point.dataset.rank) === rank);
    const card = state.cards.find((c) => c.member.rank === rank);
    if (scroll && card) card.element.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
    space.draw();
  }

  // ---- the front in a plane
  const plane = { left: 60, right: 14, top: 12, bottom: 44, width: 480, height: 400 };
  const within = ([low, high], v) => (v - low) / (high - low);
  const atX = (v) => plane.left + within(plane.x, v) * (plane.width - plane.left - plane.right);
  const atY = (v) => plane.height - plane.bottom - within(plane.y, v) * (plane.height - plane.top - plane.bottom);

  function drawPlane() {
    const [x, y] = [$("axis-x").value, $("axis-y").value], svg = $("plane"), target = state.target;
    svg.replaceChildren();
    [plane.x, plane.y] = [domain(x), domain(y)];
    const [left, right, foot, top] = [...plane.x, ...plane.y];
    for (const v of ticks(plane.x))
      svg.append(make("line", { class: "grid", x1: atX(v), x2: atX(v), y1: atY(foot), y2: atY(top) }),
        make("text", { class: "tick", x: atX(v), y: atY(foot) + 16, "text-anchor": "middle" }, short(v)));
    for (const w of ticks(plane.y))
      svg.append(make("line", { class: "grid", x1: atX(left), x2: atX(right), y1: atY(w), y2: atY(w) }),
        make("text", { class: "tick", x: atX(left) - 7, y: atY(w) + 4, "text-anchor": "end" }, short(w)));
    svg.append(make("text", { class: "name", x: atX((left + right) / 2), y: plane.height - 8, "text-anchor": "middle" }, `score of ${x}`),
      make("text", { class: "name", x: 0, y: 0, "text-anchor": "middle",
        transform: `translate(12 ${atY((foot + top) / 2)}) rotate(-90)` }, `score of ${y}`));
    const seen = (target.examined[x] || []).map((v, i) => [v, target.examined[y][i]]);
    svg.append(make("path", { class: "seen", d: seen.map(([a, b]) => `M${atX(a).toFixed(1)} ${atY(b).toFixed(1)}h0`).join("") }));
    const points = [...seen, ...target.members.map((m) => [score(m, x), score(m, y)])].sort((a, b) => b[0] - a[0] || b[1] - a[1]);
    let best = -1, stairs = "";
    for (const [a, b] of points) if (b > best) {
      stairs += best < 0 ? `M${atX(a)} ${atY(foot)}V${atY(b)}` : `H${atX(a)}V${atY(b)}`;
      best = b;
    }
    svg.append(make("path", { class: "stairs", d: stairs ? `${stairs}H${atX(left)}` : "M0 0" }));
    for (const member of [...target.members].reverse()) {
      const [cx, cy] = [atX(score(member, x)), atY(score(member, y))];
      const point = make("g", { class: "point", "data-rank": member.rank, tabindex: 0, role: "button",
        "aria-label": `member ${member.rank}` }, make("circle", { cx, cy, r: 9.5 }),
        make("text", { x: cx, y: cy + 4 }, String(member.rank)));
      point.addEventListener("click", () => select(member.rank, true));
      point.addEventListener("keydown", (e) => { if (e.key === "Enter") select(member.rank, true); });
      point.addEventListener("pointermove", (e) => tip(e, described(member)));
      point.addEventListener("pointerleave", untip);
      svg.append(point);
    }
    if (state.selected !== null) select(state.selected, false);
  }

  // ---- the front in space
  const space = {
    canvas: $("space"), spots: [],
    spot(value) { return this.project(this.names.map((name) => within(this.domains[name], value(name)))); },
    project([x, y, z]) {
      const [a, b] = state.turn, s = Math.min(this.width, this.height) * 0.5;
      const [u, v, w] = [x - 0.5, y - 0.5, z - 0.5];
      const [p, q] = [u * Math.cos(a) - v * Math.sin(a), u * Math.sin(a) + v * Math.cos(a)];
      const [r, depth] = [w * Math.cos(b) - q * Math.sin(b), w * Math.sin(b) + q * Math.cos(b)];
      const near = 1 / (1 + depth * 0.28);
      return [this.width / 2 + p * s * near * 1.12, this.height / 2 - r * s * near * 1.12, depth];
    },
    draw() {
      const names = this.names = data.objectives.slice(0, 3);
      if (names.length < 3) return;
      this.domains = Object.fromEntries(names.map((name) => [name, domain(name)]));
      const ratio = devicePixelRatio || 1, canvas = this.canvas;
      this.width = canvas.clientWidth; this.height = canvas.clientHeight;
      canvas.width = this.width * ratio; canvas.height = this.height * ratio;
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      this.cube(pen, names);
      const { examined, members } = state.target;
      const seen = (examined[names[0]] || []).map((_, i) => this.spot((n) => examined[n][i]));
      pen.fillStyle = css("--grey");
      for (const [x, y, depth] of seen.sort((a, b) => b[2] - a[2])) {
        pen.globalAlpha = 0.45 - depth * 0.35;
        pen.beginPath(); pen.arc(x, y, 2.3 - depth, 0, 7); pen.fill();
      }
      pen.globalAlpha = 1;
      this.spots = members.map((m) => [...this.spot((n) => score(m, n)), m]).sort((a, b) => b[2] - a[2]);
      for (const [x, y, depth, member] of this.spots) this.member(pen, x, y, 9.5 - depth * 3, member, names);
    },
    cube(pen, names) {
      const corners = [...Array(8).keys()].map((i) => [i & 1, (i >> 1) & 1, (i >> 2) & 1]);
      pen.strokeStyle = css("--line"); pen.lineWidth = 1;
      for (const a of corners) for (const b of corners) {
        if (a.reduce((n, v, i) => n + Math.abs(v - b[i]), 0) !== 1 || a.join() > b.join()) continue;
        const [p, q] = [this.project(a), this.project(b)];
        pen.beginPath(); pen.moveTo(p[0], p[1]); pen.lineTo(q[0], q[1]); pen.stroke();
      }
      pen.fillStyle = css("--ink"); pen.font = "600 12px system-ui, sans-serif"; pen.textAlign = "center";
      names.forEach((name, axis) => {
        const end = [0, 0, 0].map((_, i) => i === axis ? 1 : 0), [p, q] = [this.project([0, 0, 0]), this.project(end)];
        pen.strokeStyle = css("--soft"); pen.lineWidth = 1.6;
        pen.beginPath(); pen.moveTo(p[0], p[1]); pen.lineTo(q[0], q[1]); pen.stroke();
        const out = this.project(end.map((v) => v * 1.09));
        pen.fillText(name, out[0], out[1] + 4);
      });
    },
    member(pen, x, y, radius, member, names) {
      const foot = this.spot((n) => n === names[2] ? this.domains[n][0] : score(member, n));
      pen.strokeStyle = css("--accent"); pen.globalAlpha = 0.3; pen.lineWidth = 1;
      pen.beginPath(); pen.moveTo(x, y); pen.lineTo(foot[0], foot[1]); pen.stroke();
      pen.globalAlpha = 1;
      const chosen = member.rank === state.selected;
      pen.fillStyle = css("--accent"); pen.strokeStyle = chosen ? css("--ink") : css("--card"); pen.lineWidth = chosen ? 2.5 : 2;
      pen.beginPath(); pen.arc(x, y, chosen ? radius + 2 : radius, 0, 7); pen.fill(); pen.stroke();
      pen.fillStyle = document.documentElement.dataset.theme === "dark" ? "#1a1014" : "#fff";
      pen.font = "700 11px system-ui, sans-serif"; pen.textAlign = "center";
      pen.fillText(String(member.rank), x, y + 4);
    },
    under(event) {
      const box = this.canvas.getBoundingClientRect(), [x, y] = [event.clientX - box.left, event.clientY - box.top];
      return [...this.spots].reverse().find((s) => Math.hypot(s[0] - x, s[1] - y) < 12)?.[3];
    },
    listen() {
      const canvas = this.canvas;
      let held = null, moved = 0;
      canvas.addEventListener("pointerdown", (e) => { held = [e.clientX, e.clientY]; moved = 0; canvas.setPointerCapture(e.pointerId); });
      canvas.addEventListener("pointermove", (e) => {
        if (!held) { const m = this.under(e); return tip(e, m ? described(m) : ""); }
        const [dx, dy] = [e.clientX - held[0], e.clientY - held[1]];
        moved += Math.abs(dx) + Math.abs(dy);
        state.turn = [state.turn[0] - dx / 140, Math.max(-1.5, Math.min(1.5, state.turn[1] + dy / 140))];
        held = [e.clientX, e.clientY];
        this.draw();
      });
      canvas.addEventListener("pointerup", (e) => {
        const member = this.under(e);
        if (moved < 5 && member) select(member.rank, true);
        held = null;
      });
      canvas.addEventListener("pointerleave", untip);
      canvas.addEventListener("keydown", (e) => {
        const step = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[e.key];
        if (!step) return;
        e.preventDefault();
        state.turn = [state.turn[0] + step[0], state.turn[1] + step[1]];
        this.draw();
      });
    },
  };

  // ---- the members
  const W = 320, H = 270, placeX = (n) => W / 2 + n.x * (W / 2 - 22), placeY = (n) => H / 2 - n.y * (H / 2 - 22);

  class Card {
    constructor(member, i, scene) {
      const [own, widths, leftOut, facts] = [scene.members[i], scene.widths[i], scene.left_out[i], scene.facts[i]];
      const relations = scene.relations?.[i] ?? []; // of edges that have types
      Object.assign(this, { member, own, widths, leftOut, facts, relations, scene, view: home(scene) });
      this.inside = new Set([...Array.from({ length: scene.rooted }, (_, n) => n), ...own.flat(), ...scene.own[i]]);
      const most = Math.max(...scene.members.map((edges) => new Set(edges.flat()).size)); // one size of dots in all members
      this.crowd = most > 100 ? 2 : most > 40 ? 1 : 0;
      this.graph = make("svg", { class: "graph", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `graph of member ${member.rank}` });
      this.layer = make("g");
      this.graph.append(this.layer);
      this.build();
      this.element = make("article", { class: "member", tabindex: 0, "data-rank": member.rank }, this.head(), ...(scene.nodes.length ? [this.graph, this.zooms()] : []), ...this.reasons(), ...this.bars(), ...this.table());
      this.element.addEventListener("click", () => select(member.rank, false));
      this.element.addEventListener("keydown", (e) => { if (e.key === "Enter") select(member.rank, false); });
      this.listen();
    }
    head() {
      const m = this.member, pill = (text, yes) => make("span", { class: yes ? "pill yes" : "pill" }, text);
      const flags = [m.recommended && data.targets.some((t) => t.members.length > 1) && pill("look first", true), m.factual && pill("factual", true), m.counterfactual && pill("counterfactual", true), m.tie && pill("tie")];
      return make("h3", {}, make("span", { class: "badge" }, String(m.rank)), counted(m.size), ...flags.filter(Boolean));
    }
    reasons() { // the features, worth most first
      if (data.over !== "features") return [];
      const rows = this.member.reasons.slice(0, 12).map(([name, share, needed]) => {
        const fill = make("b");
        fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
        return make("div", { class: "measure reason" }, make("span", {}, name), make("i", {}, fill), make("span", {}, needed ? "needed" : ""));
      });
      const more = this.member.reasons.length - rows.length;
      return [make("div", { class: "reasons" }, ...rows, ...(more > 0 ? [make("div", { class: "by" }, `and ${more} more`)] : []))];
    }
    bars() {
      const best = (name) => Math.max(...state.target.members.map((m) => score(m, name)));
      const rows = this.member.measures.map((v) => {
        const fill = make("b");
        fill.style.width = `${Math.max(0, Math.min(1, v.score ?? 0)) * 100}%`;
        const row = make("div", { class: "measure" }, make("span", {}, v.name), make("i", {}, fill), make("span", {}, short(v.raw)));
        row.classList.toggle("best", v.score !== null && v.score === best(v.name));
        return row;
      });
      return [...rows, make("div", { class: "by" }, `covers ${this.member.covers.toLocaleString("en")} candidates · found by ${this.member.generator}`
        + (this.leftOut ? ` · ${this.leftOut.toLocaleString("en")} edges further away are not drawn` : ""))];
    }
    zooms() {
      const button = (text, label, act) => {
        const b = make("button", { type: "button", "aria-label": label }, text);
        b.addEventListener("click", (e) => { e.stopPropagation(); act(); });
        return b;
      };
      return make("div", { class: "zoom" }, button("+", "nearer", () => this.zoom(1.3)), button("−", "further", () => this.zoom(1 / 1.3)),
        button("⟲", "reset", () => { this.view = home(this.scene); this.place(); }));
    }
    build() {
      const { nodes } = this.scene;
      this.truthPath = make("path", { class: "truth" });
      this.contextPath = make("path", { class: "context" });
      this.ownPaths = this.widths.map(() => make("path", { class: "own" }));
      this.arrows = make("path", { class: "arrow" });
      this.labels = this.own.map(() => make("text", { class: "on-edge" }));
      this.hits = this.own.map(([u, v], i) => {
        const line = make("line", { class: "hit" }), said = this.relations[i] ? [this.relations[i]] : [], facts = this.facts[i];
        line.addEventListener("pointermove", (e) => tip(e, [this.edge([u, v]), ...said, ...facts.map(([name, value]) => `${name}  ${value}`)].join("\n")));
        line.addEventListener("pointerleave", untip);
        return line;
      });
      this.dots = nodes.map((node, i) => this.dot(node, i));
      const order = [...this.dots.keys()].sort((a, b) => this.inside.has(a) - this.inside.has(b) || b - a);
      this.layer.append(this.truthPath, this.contextPath, ...this.ownPaths, this.arrows, ...this.hits, ...order.map((i) => this.dots[i]), ...this.labels);
      this.label($("edge-label").value);
      this.place();
    }
    edge([u, v]) { return `${this.scene.nodes[u].key} ${this.scene.directed ? "→" : "–"} ${this.scene.nodes[v].key}`; }
    label(name) { // one fact of each edge beside it
      const few = (text) => { // digits; the table has all of them
        const value = Number(text.replaceAll(",", ""));
        return text.length > 5 && Number.isFinite(value) ? value.toLocaleString("en", { maximumSignificantDigits: Math.abs(value) < 1e4 ? 3 : 6, maximumFractionDigits: 3 }) : text;
      };
      this.labels.forEach((label, i) => { label.textContent = few(this.facts[i].find((fact) => fact[0] === name)?.[1] ?? ""); });
    }
    table() { // the edges in words
      if (!this.own.length) return [];
      const names = [...new Set(this.facts.flatMap((facts) => facts.map(([name]) => name)))];
      const row = (tag, cells) => make("tr", {}, ...cells.map((text) => make(tag, {}, text)));
      const rows = this.own.map((edge, i) => row("td", [this.edge(edge), ...names.map((name) => this.facts[i].find((fact) => fact[0] === name)?.[1] ?? "")]));
      const most = 200, more = rows.length > most ? [make("div", { class: "by" }, `and ${rows.length - most} more`)] : [];
      const table = make("table", {}, make("thead", {}, row("th", ["edge", ...names])), make("tbody", {}, ...rows.slice(0, most)));
      const details = make("details", { class: "edges" }, make("summary", {}, `edges, their worth and attributes`), make("div", { class: "wide" }, table), ...more);
      details.addEventListener("click", (e) => e.stopPropagation());
      details.addEventListener("keydown", (e) => e.stopPropagation());
      return [details];
    }
    dot(node, i) {
      const inside = this.inside.has(i), many = this.crowd > 0, target = i < this.scene.rooted;
      const dot = make("g", { class: inside ? "node" : "node out", "data-node": i });
      if (target) dot.append(make("circle", { class: "ring", r: 11, style: "stroke: var(--target)" }));
      dot.append(make("circle", { r: inside ? [6.5, 5, 3][this.crowd] : this.crowd < 2 ? 3.5 : 2, fill: node.fill ?? (plain(this.scene) ? data.classes[0] : colour(node.label)) }));
      if (inside && (!many || target)) dot.append(make("text", { y: target ? -15 : -11 }, node.key.length > 14 ? `${node.key.slice(0, 13)}…` : node.key));
      const text = [node.key, ...node.facts.map(([name, value]) => `${name}  ${value}`)].join("\n");
      dot.addEventListener("pointermove", (e) => tip(e, text));
      dot.addEventListener("pointerenter", () => near(i, true));
      dot.addEventListener("pointerleave", () => { near(i, false); untip(); });
      return dot;
    }
    place() {
      const { nodes, context, truth, directed } = this.scene, [dx, dy, zoom] = this.view;
      const at = (i) => `${placeX(nodes[i]).toFixed(1)} ${placeY(nodes[i]).toFixed(1)}`;
      const less = zoom ** -0.7; // dots, names and lines grow less than distances, so that names come apart
      this.layer.setAttribute("transform", `translate(${dx} ${dy}) scale(${zoom})`);
      this.contextPath.setAttribute("d", context.map(([u, v]) => `M${at(u)}L${at(v)}`).join(""));
      this.truthPath.setAttribute("d", truth.map(([u, v]) => `M${at(u)}L${at(v)}`).join(""));
      this.own.forEach(([u, v], i) => {
        this.ownPaths[i].setAttribute("d", `M${at(u)}L${at(v)}`);
        this.ownPaths[i].style.strokeWidth = this.widths[i] * [2.4, 1.8, 0.8][this.crowd] * less;
      });
      if (directed) this.arrows.setAttribute("d", this.own.map(([u, v]) => arrow(nodes[u], nodes[v], 8 * less)).join(""));
      this.own.forEach(([u, v], i) => {
        for (const [name, value] of Object.entries({ x1: placeX(nodes[u]), y1: placeY(nodes[u]), x2: placeX(nodes[v]), y2: placeY(nodes[v]) }))
          this.hits[i].setAttribute(name, value);
        const middle = [placeX, placeY].map((place) => ((place(nodes[u]) + place(nodes[v])) / 2).toFixed(1));
        this.labels[i].setAttribute("transform", `translate(${middle.join(" ")}) scale(${less}) translate(0 -3)`);
      });
      this.dots.forEach((dot, i) => dot.setAttribute("transform", `translate(${at(i)}) scale(${less})`));
    }
    zoom(factor, x = W / 2, y = H / 2) {
      const [dx, dy, zoom] = this.view, next = Math.max(0.4, Math.min(12, zoom * factor)), f = next / zoom;
      this.view = [x - (x - dx) * f, y - (y - dy) * f, next];
      this.place();
    }
    at(event) {
      const box = this.graph.getBoundingClientRect(), scale = Math.min(box.width / W, box.height / H);
      return [(event.clientX - box.left - (box.width - W * scale) / 2) / scale, (event.clientY - box.top - (box.height - H * scale) / 2) / scale];
    }
    listen() {
      let held = null;
      this.graph.addEventListener("pointerdown", (e) => {
        const node = e.target.closest(".node");
        held = { node: node && Number(node.dataset.node), from: this.at(e) };
        this.graph.setPointerCapture(e.pointerId);
      });
      this.graph.addEventListener("pointermove", (e) => {
        if (!held) return;
        const [x, y] = this.at(e), [dx, dy, zoom] = this.view;
        if (held.node !== null) {
          const node = this.scene.nodes[held.node];
          node.x = ((x - dx) / zoom - W / 2) / (W / 2 - 22);
          node.y = (H / 2 - (y - dy) / zoom) / (H / 2 - 22);
          requestAnimationFrame(() => state.cards.forEach((card) => card.place()));
        } else {
          this.view = [dx + x - held.from[0], dy + y - held.from[1], zoom];
          this.place();
        }
        held.from = [x, y];
      });
      for (const name of ["pointerup", "pointercancel"]) this.graph.addEventListener(name, () => { held = null; });
      this.graph.addEventListener("wheel", (e) => {
        if (state.selected !== this.member.rank) return;
        e.preventDefault();
        this.zoom(e.deltaY < 0 ? 1.15 : 1 / 1.15, ...this.at(e));
      }, { passive: false });
    }
  }
  function home(scene) { // the view at first, the same for all members: near what they hold, so that names come apart
    const held = [...new Set([...Array.from({ length: scene.rooted }, (_, n) => n), ...scene.members.flat(2), ...scene.own.flat()])].map((i) => scene.nodes[i]);
    if (!held.length) return [0, 0, 1];
    const part = (place, size) => {
      const all = held.map(place), least = Math.min(...all), most = Math.max(...all);
      return [(least + most) / 2, (size - 64) / Math.max(most - least, 1)];
    };
    const [[x, wide], [y, high]] = [part(placeX, W), part(placeY, H)], zoom = Math.min(2.4, wide, high);
    if (zoom < 1.15) return [0, 0, 1];
    const kept = (middle, size) => Math.min(0, Math.max(size - size * zoom, size / 2 - middle * zoom)); // no empty margin
    return [kept(x, W), kept(y, H), zoom];
  }
  const arrow = (from, to, size) => arrowhead([placeX(from), placeY(from)], [placeX(to), placeY(to)], size);
  function near(i, on) {
    for (const card of state.cards) card.dots[i].classList.toggle("near", on);
  }

  // ---- the page
  function show(target) {
    state.target = target; state.selected = null;
    $("meaning").textContent = target.meaning;
    const { scene, members } = target;
    const facts = [...new Set((scene ? scene.facts : []).flat(2).map(([name]) => name))], label = $("edge-label"), before = label.value;
    label.replaceChildren(make("option", { value: "" }, "nothing"), ...facts.map((name) => make("option", { value: name }, name)));
    label.value = facts.includes(before) ? before : "";
    $("edge-label-choice").hidden = !facts.length;
    state.cards = members.map((member, i) => new Card(member, i, scene));
    $("members").replaceChildren(...state.cards.map((card) => card.element));
    const labels = scene && !plain(scene) ? [...new Set(scene.nodes.map((n) => n.label))].sort() : [];
    const named = labels.map((label) => [label === null ? "no label" : `label ${label}`, colour(label)]);
    $("legend").replaceChildren(...(scene?.legend ?? named).map(([name, fill]) => {
      const dot = make("i");
      dot.style.background = fill;
      return make("span", {}, dot, name);
    }));
    if (scene && scene.truth.length) $("legend").append(make("span", {}, make("i", { class: "band" }), "named by the ground truth"));
    $("proof").replaceChildren(...target.proof.map(([what, much]) => make("tr", {}, make("td", {}, what), make("td", {}, much))));
    drawPlane();
    space.draw();
  }
  function copyable(text) {
    const button = make("button", { type: "button" }, "copy");
    button.addEventListener("click", () => navigator.clipboard?.writeText(text).then(() => { button.textContent = "copied"; }));
    return make("div", { class: "copy" }, make("pre", {}, text), button);
  }
  function begin() {
    document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    $("theme").addEventListener("click", () => {
      const root = document.documentElement;
      root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
      space.draw();
    });
    $("text").textContent = data.text || "(no text)";
    $("summary").textContent = data.summary + (data.left_out ? ` (${data.left_out} targets are not on this page)` : "");
    $("notes").replaceChildren(...data.notes.map((note) => make("li", {}, note)));
    $("plan").textContent = data.plan;
    $("recurring").hidden = !data.patterns.length;
    $("patterns").replaceChildren(...data.patterns.map(drawPattern));
    $("sql").replaceChildren(...(data.sql.length ? data.sql.map(copyable) : [make("p", { class: "hint" }, "This answer was not stored.")]));
    data.targets.forEach((target, i) => $("target").append(make("option", { value: i }, `${data.kind} ${target.key}`)));
    $("target").hidden = data.targets.length < 2;
    $("target").addEventListener("change", (e) => show(data.targets[Number(e.target.value)]));
    ["axis-x", "axis-y"].forEach((id, place) => {
      data.objectives.forEach((name) => $(id).append(make("option", { value: name }, name)));
      $(id).selectedIndex = Math.min(place, data.objectives.length - 1);
      $(id).addEventListener("change", drawPlane);
    });
    $("edge-label").addEventListener("change", (e) => state.cards.forEach((card) => card.label(e.target.value)));
    $("space-figure").hidden = data.objectives.length < 3;
    $("front").hidden = !data.objectives.length;
    space.listen();
    addEventListener("resize", () => space.draw());
    if (data.targets.length) show(data.targets[0]);
  }
  begin();
})();
