"use strict";
(() => {
  const { make, drawPattern } = drawing;
  const about = JSON.parse(document.getElementById("data").textContent).explorer, { root } = about;
  const main = document.querySelector("main");
  const link = (href, text, attributes = {}) => make("a", { href: `${root}/${href}`, ...attributes }, text);
  const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
  const percent = (share) => share === null ? "" : `${(share * 100).toFixed(1)}%`;
  const pill = (text, kind = "") => make("span", { class: `pill ${kind}` }, text);
  const pageOf = (query, ordinal) => `query/${query}/target/${ordinal}`;

  async function ask(path, body) {
    const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(`${root}/api/${path}`, options), text = await answer.text();
    let found;
    try { found = JSON.parse(text); } catch { throw new Error(text); }
    if (!answer.ok) throw new Error(found.error);
    return found;
  }
  const bad = (error) => make("p", { class: "bad", role: "alert" }, error.message || String(error));
  const failing = (work) => work().catch((error) => main.append(bad(error)));

  // ---- above every page
  function theme() {
    const html = document.documentElement, kept = (value) => {
      try { return value ? localStorage.setItem("theme", value) : localStorage.getItem("theme"); } catch { return null; }
    };
    const set = (value) => { html.dataset.theme = value; };
    set(kept() || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
    const own = document.getElementById("theme"), button = own || make("button", { type: "button", "aria-label": "light or dark" }, "◐");
    button.addEventListener("click", () => {
      if (!own) set(html.dataset.theme === "dark" ? "light" : "dark"); // the report turns its own
      kept(html.dataset.theme);
    });
    dispatchEvent(new Event("resize")); // the report draws its cube in the colours of the theme
    return button;
  }
  function top() {
    const here = { target: "queries", query: "queries" }[about.page] || about.page;
    const entry = (page, path, text) => link(path, text, here === page ? { "aria-current": "page" } : {});
    document.body.prepend(
      make("a", { href: "#main", class: "skip" }, "to the content"),
      make("div", { class: "top" }, make("nav", { "aria-label": "pages" }, link("", "sxq", { class: "logo" }), make("span", { class: "file" }, about.file),
        entry("queries", "", "queries"), entry("compare", "compare", "compare"), entry("sql", "sql", "SQL"),
        ...(about.write ? [entry("explain", "explain", "EXPLAIN")] : []), theme())));
    main.id = "main";
  }

  // ---- a table that is sorted and filtered here
  // columns: { name, title, value(row), show(row, value), number, narrow }
  class List {
    constructor(columns, rows, most = 200) {
      Object.assign(this, { columns, rows, most, shown: most, order: null, down: false, keep: () => true });
      this.head = make("tr", {}, ...columns.map((column) => this.header(column)));
      this.body = make("tbody");
      this.count = make("p", { class: "hint", role: "status" });
      this.further = make("button", { type: "button" }, "show more");
      this.further.addEventListener("click", () => { this.shown += this.most * 5; this.draw(); });
      this.element = make("div", {}, this.count, make("div", { class: "list" }, make("table", {}, make("thead", {}, this.head), this.body)), make("div", { class: "row" }, this.further));
      this.body.addEventListener("keydown", (e) => this.move(e));
      this.draw();
    }
    kind(column) { return [column.number && "n", column.kind, column.narrow && "narrow-off"].filter(Boolean).join(" "); }
    header(column) {
      const button = make("button", { type: "button" }, column.title ?? column.name);
      button.addEventListener("click", () => this.sort(column.name, this.order === column.name ? !this.down : Boolean(column.number)));
      return make("th", { class: this.kind(column), scope: "col", "data-name": column.name }, button);
    }
    sort(name, down) {
      Object.assign(this, { order: name, down });
      for (const cell of this.head.children) {
        cell.removeAttribute("aria-sort");
        if (cell.dataset.name === name) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      }
      this.draw();
    }
    filter(keep) { this.keep = keep; this.shown = this.most; this.draw(); }
    sorted() {
      const column = this.columns.find((one) => one.name === this.order), kept = this.rows.filter(this.keep);
      if (!column) return kept;
      const empty = (v) => v === null || v === undefined || v === "", sign = this.down ? -1 : 1;
      return kept.map((row) => [row, column.value(row)]).sort(([, a], [, b]) => empty(a) || empty(b) ? empty(a) - empty(b)
        : sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }))).map(([row]) => row);
    }
    draw() {
      const rows = this.sorted();
      this.body.replaceChildren(...rows.slice(0, this.shown).map((row) => make("tr", {}, ...this.columns.map((column) => {
        const value = column.value(row), shown = column.show ? column.show(row, value) : value ?? "";
        return make("td", { class: this.kind(column) }, ...[shown].flat());
      }))));
      this.count.textContent = rows.length === this.rows.length ? counted(rows.length, "row") : `${rows.length.toLocaleString("en")} of ${counted(this.rows.length, "row")}`;
      this.further.hidden = rows.length <= this.shown;
    }
    move(event) { // arrows go from row to row
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], row = event.target.closest("tr");
      if (!step || !row) return;
      const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
      if (next) { event.preventDefault(); next.querySelector("a")?.focus(); }
    }
  }
  const meter = (share) => {
    const bar = make("i");
    bar.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
    return make("span", { class: "meter" }, bar);
  };
  const fact = (name, value) => make("span", {}, `${name} `, make("b", {}, String(value)));
  const field = (text, input) => make("label", {}, text, input);
  const choice = (entries) => make("select", {}, ...entries.map(([value, text]) => make("option", { value }, text)));

  // ---- the queries
  async function queries() {
    const found = await ask("queries");
    main.append(make("h1", {}, found.length ? "The stored answers" : "Nothing is explained yet"));
    if (!found.length) main.append(make("p", { class: "empty" }, about.write ? "EXPLAIN something above." : "Run EXPLAIN in sxq, or start the explorer with --write."));
    for (const query of found) main.append(link(`query/${query.query_id}`, "", { class: "card", "data-query": query.query_id }));
    for (const query of found) {
      main.querySelector(`[data-query="${query.query_id}"]`).append(
        make("h2", {}, `Query ${query.query_id}`), make("pre", {}, query.text), make("div", { class: "facts" }, ...factsOf(query)));
    }
  }
  function factsOf(query) {
    return [fact("model", query.model ?? "(dropped)"), fact("graph", query.graph ?? "(dropped)"), fact("targets", query.targets.toLocaleString("en")),
      fact("explanations", query.explanations.toLocaleString("en")), ...(query.coverage === null ? [] : [fact("covered", percent(query.coverage))]),
      ...(query.patterns ? [fact("patterns", query.patterns)] : []), ...(query.seconds === null ? [] : [fact("seconds", query.seconds.toFixed(1))]),
      fact("started", `${query.started_at.slice(0, 16)} UTC`), ...(query.status === "done" ? query.complete ? [] : [pill("not complete")] : [pill(query.status, "warn")])];
  }

  // ---- one query: its targets
  const FLAGS = [["", "any"], ["factual", "factual"], ["counterfactual", "counterfactual"], ["tie", "tie"], ["self_sufficient", "self-sufficient"],
    ["empty", "no explanation"], ["note", "with a note"]];
  const has = { factual: (t) => t.factual, counterfactual: (t) => t.counterfactual, tie: (t) => t.tie, self_sufficient: (t) => t.self_sufficient,
    empty: (t) => !t.members, note: (t) => t.note };

  async function query() {
    const found = await ask(`query/${about.query}`), own = found.query;
    main.append(make("h1", {}, `Query ${own.query_id}`), make("pre", { class: "query" }, own.text), make("div", { class: "facts" }, ...factsOf(own)));
    if (found.patterns.length) main.append(make("h2", {}, "The patterns of the class"), make("div", { id: "patterns" }, ...found.patterns.map(drawPattern)));
    main.append(make("h2", {}, "The targets"), ...targets(found.targets));
    main.append(make("details", { class: "more" }, make("summary", {}, "The plan"), make("pre", { id: "plan" }, found.plan)),
      make("div", { class: "row" }, link(`compare?a=${own.query_id}`, "compare with another query"), link(`sql?query=${own.query_id}`, "questions in SQL")));
  }
  function targets(rows) {
    const flags = (t) => [t.factual && pill("factual", "yes"), t.counterfactual && pill("counterfactual", "yes"), t.tie && pill("tie"),
      t.self_sufficient && pill("self-sufficient"), t.status !== "done" && pill(t.status, "warn")].filter(Boolean);
    const list = new List([
      { name: "ordinal", title: "#", value: (t) => t.ordinal, show: (t, v) => v + 1, number: true, narrow: true },
      { name: "key", value: (t) => t.target, kind: "key", show: (t) => link(pageOf(about.query, t.ordinal), String(t.target)) },
      ...(rows.some((t) => t.node_type) ? [{ name: "type", value: (t) => t.node_type ?? "" }] : []),
      { name: "class", value: (t) => t.class ?? t.prediction, number: true },
      { name: "probability", value: (t) => t.probability, number: true, show: (t, v) => v === null ? "" : [v.toFixed(3), meter(v)] },
      { name: "members", value: (t) => t.members, number: true, narrow: true },
      { name: "recommended", title: "look first", value: (t) => t.rank, number: true, narrow: true, show: (t, v) => v === null ? "" : `member ${v}` },
      { name: "size", value: (t) => t.size, number: true },
      { name: "flags", value: (t) => FLAGS.map(([name]) => name && has[name](t) ? name : "").join(" ").trim(), kind: "pills", show: flags },
      { name: "covered", value: (t) => t.coverage, number: true, narrow: true, show: (t, v) => percent(v) },
    ], rows);
    const classes = [...new Set(rows.map((t) => t.class ?? t.prediction))].filter((c) => c !== null).sort((a, b) => a - b);
    const number = (label, step) => make("input", { type: "number", step, min: 0, "aria-label": label });
    const inputs = { search: make("input", { type: "search", placeholder: "part of a key", "aria-keyshortcuts": "/" }),
      class: choice([["", "all"], ...classes.map((c) => [c, c])]), least: number("least probability", 0.05), most: number("greatest probability", 0.05),
      size: number("largest size", 1), rank: number("recommended member", 1), flag: choice(FLAGS) };
    const apply = () => {
      const [part, of, least, most, size, rank, flag] = ["search", "class", "least", "most", "size", "rank", "flag"].map((name) => inputs[name].value);
      const small = part.toLowerCase(), under = (value, limit) => limit === "" || (value !== null && value <= Number(limit));
      list.filter((t) => (!small || `${t.node_type ?? ""} ${t.target}`.toLowerCase().includes(small)) && (of === "" || String(t.class ?? t.prediction) === of)
        && (least === "" || (t.probability !== null && t.probability >= Number(least))) && under(t.probability, most) && under(t.size, size)
        && (rank === "" || t.rank === Number(rank)) && (!flag || has[flag](t)));
    };
    for (const input of Object.values(inputs)) input.addEventListener("input", apply);
    addEventListener("keydown", (e) => {
      if (e.key === "/" && !e.target.closest("input, textarea, select")) { e.preventDefault(); inputs.search.focus(); }
    });
    return [make("div", { class: "filters" }, field("search", inputs.search), field("class", inputs.class), field("probability from", inputs.least), field("to", inputs.most),
      field("size up to", inputs.size), field("look first at", inputs.rank), field("flag", inputs.flag)), list.element];
  }

  // ---- one target: the report's page, and ways to the others
  function target() {
    const { query, ordinal, targets } = about, step = (to, text, key) => to < 0 || to >= targets ? [] : [link(pageOf(query, to), text, { "aria-keyshortcuts": key })];
    document.querySelector("header").before(make("div", { class: "crumbs" }, link(`query/${query}`, `query ${query}`), make("span", {}, `target ${ordinal + 1} of ${targets.toLocaleString("en")}`),
      ...step(ordinal - 1, "← previous", "p"), ...step(ordinal + 1, "next →", "n")));
    if (!about.kept) document.querySelector("#front .hint").textContent = "The members of the answer; other candidates are drawn "
      + "where they were stored (SET sxq_keep_candidates = true). Scores: larger is better. Click a member to select it, drag the cube to turn it.";
    addEventListener("keydown", (e) => {
      if (e.target.closest("input, textarea, select, canvas") || e.ctrlKey || e.metaKey || e.altKey) return;
      document.querySelector(`.crumbs [aria-keyshortcuts="${CSS.escape(e.key)}"]`)?.click();
    });
  }

  // ---- two queries side by side
  async function compare() {
    const all = await ask("queries"), given = new URLSearchParams(location.search);
    main.append(make("h1", {}, "Two queries, target by target"));
    if (all.length < 2) return main.append(make("p", { class: "empty" }, "There are fewer than two queries."));
    const pick = () => choice(all.map((q) => [q.query_id, `${q.query_id}: ${q.model ?? "(dropped)"}, ${counted(q.targets, "target")}`])), [a, b] = [pick(), pick()], place = make("div");
    a.value = given.get("a") || all[1].query_id;
    b.value = given.get("b") || all.map((q) => String(q.query_id)).find((q) => q !== a.value);
    const show = () => ask(`compare?a=${encodeURIComponent(a.value)}&b=${encodeURIComponent(b.value)}`).then(
      (found) => place.replaceChildren(...compared(found, all)), (error) => place.replaceChildren(bad(error)));
    for (const select of [a, b]) select.addEventListener("change", show);
    main.append(make("div", { class: "filters" }, field("query a", a), field("query b", b)), place);
    await show();
  }
  function compared({ a, b, targets: rows }, all) {
    if (!rows.length) return [make("p", { class: "empty" }, "They have no target in common.")];
    const sum = (name) => rows.reduce((n, row) => n + (row[name] ?? 0), 0), known = rows.filter((row) => row.jaccard !== null);
    const text = (id) => all.find((q) => q.query_id === id).text;
    const measured = (name, title) => ({ name, title, value: (r) => r[name], number: true, narrow: true, show: (r, v) => v === null ? "" : typeof v === "number" ? v.toFixed(3) : String(v) });
    const list = new List([
      { name: "target", value: (r) => r.target, kind: "key", show: (r) => [link(pageOf(a, r.ordinal_a), String(r.target)), " ", link(pageOf(b, r.ordinal_b), "(in b)")] },
      ...(rows.some((r) => r.node_type) ? [{ name: "type", value: (r) => r.node_type ?? "" }] : []),
      { name: "class", title: "same class", narrow: true, value: (r) => r.same_class ? "yes" : "no", show: (r, v) => v === "yes" ? "yes" : pill("no", "warn") },
      { name: "members_a", title: "members a", value: (r) => r.members_a, number: true, narrow: true }, { name: "members_b", title: "members b", value: (r) => r.members_b, number: true, narrow: true },
      { name: "beaten_a", title: "beaten a", value: (r) => r.beaten_a, number: true }, { name: "beaten_b", title: "beaten b", value: (r) => r.beaten_b, number: true },
      measured("hypervolume_a", "hypervolume a"), measured("hypervolume_b", "hypervolume b"), measured("coverage_a", "covered a"), measured("coverage_b", "covered b"),
      { name: "jaccard", title: "alike", value: (r) => r.jaccard, number: true, show: (r, v) => v === null ? "" : [v.toFixed(2), meter(v)] },
    ], rows);
    return [make("pre", { class: "query" }, `a  ${text(a)}\nb  ${text(b)}`), make("div", { class: "facts" }, fact("targets of both", rows.length.toLocaleString("en")),
      fact("same class", rows.filter((row) => row.same_class).length.toLocaleString("en")), fact("members of a that b dominates", `${sum("beaten_a")} of ${sum("members_a")}`),
      fact("members of b that a dominates", `${sum("beaten_b")} of ${sum("members_b")}`),
      ...(known.length ? [fact("edges alike", (known.reduce((n, row) => n + row.jaccard, 0) / known.length).toFixed(2))] : [])), list.element];
  }

  // ---- SQL
  async function sql() {
    const all = await ask("queries"), text = make("textarea", { spellcheck: "false", "aria-label": "SQL" }), place = make("div", { "aria-live": "polite" });
    const run = make("button", { type: "button", class: "do" }, "Run"), buttons = make("div", { class: "questions" });
    text.value = "SELECT query_id, target, rank, size, factual, counterfactual\nFROM explanations\nORDER BY query_id DESC, target, rank\nLIMIT 100;";
    const show = async () => {
      run.disabled = true;
      place.replaceChildren(make("p", { class: "hint" }, "running ..."));
      try { place.replaceChildren(...rowsOf(await ask("sql", { text: text.value }))); } catch (error) { place.replaceChildren(bad(error)); } finally { run.disabled = false; }
    };
    run.addEventListener("click", show);
    text.addEventListener("keydown", (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); show(); } });
    const query = choice(all.map((q) => [q.query_id, `query ${q.query_id}`]));
    const asked = async () => buttons.replaceChildren(...(await ask(`questions?query=${encodeURIComponent(query.value)}`)).map(({ title, sql: own }) => {
      const button = make("button", { type: "button" }, title);
      button.addEventListener("click", () => { text.value = own; show(); });
      return button;
    }));
    main.append(make("h1", {}, "Ask in SQL"), make("p", { class: "hint" }, "Statements only read: SELECT, SHOW, DESCRIBE, PLAN EXPLAIN. At most 1,000 rows are shown. Ctrl+Enter runs."),
      text, make("div", { class: "row" }, run, ...(all.length ? [field("questions about", query)] : [])), buttons, place);
    if (!all.length) return;
    query.value = new URLSearchParams(location.search).get("query") || all[0].query_id;
    query.addEventListener("change", () => failing(asked));
    await asked();
  }
  function rowsOf({ columns, numeric, rows, cut }) {
    const list = new List(columns.map((name, i) => ({ name: `${i}`, title: name, number: numeric[i], value: (row) => row[i] })), rows, 1000);
    list.element.querySelector(".list").classList.add("sql");
    return [...(cut ? [make("p", { class: "bad" }, `Only the first ${rows.length.toLocaleString("en")} rows are shown; there are more.`)] : []), list.element];
  }

  // ---- EXPLAIN
  async function explain() {
    const last = (await ask("queries")).find((q) => q.model !== null && /^\s*EXPLAIN\b/i.test(q.text));
    const text = make("textarea", { spellcheck: "false", "aria-label": "EXPLAIN" }), place = make("div", { "aria-live": "polite" });
    const [run, stop, bar] = [make("button", { type: "button", class: "do" }, "Run"), make("button", { type: "button" }, "Stop"), make("progress", { max: 1, value: 0 })];
    let source = null;
    const running = (on) => { run.disabled = on; stop.disabled = !on; bar.hidden = !on; };
    const ended = (...parts) => { source?.close(); source = null; running(false); place.replaceChildren(...parts); };
    const follow = () => {
      running(true);
      source = new EventSource(`${root}/api/explain/events`);
      source.addEventListener("error", () => ended(bad("the server does not answer")));
      source.addEventListener("message", ({ data }) => {
        const event = JSON.parse(data);
        if (event.kind === "idle") return ended();
        if (event.kind === "error") return ended(bad(event.text));
        if (event.kind === "done") return ended(make("p", {}, event.text), ...event.notes.map((note) => make("p", { class: "hint" }, note)),
          ...(event.query === null ? [] : [make("p", {}, link(`query/${event.query}`, `open query ${event.query}`, { class: "open" }))]));
        if (event.share === null) bar.removeAttribute("value"); else bar.value = event.share;
        place.replaceChildren(make("p", { class: "hint" }, event.text));
      });
    };
    run.addEventListener("click", async () => {
      running(true);
      try { await ask("explain", { text: text.value }); follow(); } catch (error) { ended(bad(error)); }
    });
    stop.addEventListener("click", () => { stop.disabled = true; ask("explain/stop", {}).catch((error) => ended(bad(error))); });
    text.value = last?.text ?? "EXPLAIN NODE 0 USING MODEL name\n  OPTIMIZE fdl+, fdl-, conc TOP 5 BUDGET 2000 CANDIDATES;";
    main.append(make("h1", {}, "Explain"), make("p", { class: "hint" }, "One EXPLAIN or RESUME QUERY; its answer is stored. A stopped one keeps what it has found."),
      text, make("div", { class: "row" }, run, stop), bar, place);
    follow(); // one may be running
  }

  top();
  const page = { queries, query, target, compare, sql, explain }[about.page];
  failing(async () => page());
})();
