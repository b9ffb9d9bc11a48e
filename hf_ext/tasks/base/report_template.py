"""The content of the page of an error report, as a Jinja template that needs no network, and its rules."""

STYLE = """\
:root { --line: #8885; --soft: #8881; }
* { box-sizing: border-box; }
body { max-width: 76rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { margin: .3rem 0; }
h2 { font-size: 1.15rem; margin: 1.6rem 0 .5rem; }
.scores, .row { display: flex; flex-wrap: wrap; gap: .5rem; margin: .6rem 0; align-items: center; }
.scores div { background: var(--soft); border-radius: 8px; padding: .3rem .8rem; }
.scores b { display: block; font-size: 1.1rem; font-variant-numeric: tabular-nums; }
details { border-top: 1px solid var(--line); padding: .5rem 0; }
summary { cursor: pointer; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: start; white-space: normal; min-width: 8rem; max-width: 16rem; }
"""
"""Rules that reports share, after those of the frame: tables and what unfolds."""

REPORT_STYLE = (
    STYLE
    + """\
button, select, input { font: inherit; max-width: 100%; padding: .2rem .6rem; border: 1px solid var(--line);
                        border-radius: 8px; background: var(--soft); color: inherit; }
button { cursor: pointer; text-align: start; overflow-wrap: anywhere; }
button[aria-pressed=true] { outline: 2px solid currentColor; }
button:disabled { opacity: .4; cursor: default; }
td button { border: 0; background: none; padding: 0; text-decoration: underline dotted; }
#controls { position: sticky; top: 0; background: Canvas; padding: .4rem 0; border-bottom: 1px solid var(--line);
            z-index: 1; }
#controls .row { margin: .3rem 0; }
article { border: 1px solid var(--line); border-radius: 10px; padding: .6rem .8rem; margin: .7rem 0; }
header { font-size: .85rem; opacity: .75; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: .3rem 1rem; }
.sides > * { min-width: 0; }
.text { white-space: pre-wrap; unicode-bidi: plaintext; margin: .2rem 0; line-height: 2; }
.name { font-size: .75rem; opacity: .7; display: block; }
.items { margin: .4rem 0; }
.items .sides { border-top: 1px solid var(--line); padding: .15rem 0; }
.item { cursor: pointer; }
.none { opacity: .5; }
mark { color: inherit; background: hsl(var(--hue) 80% 50% / .2); border-bottom: 2px solid hsl(var(--hue) 70% 45%);
       border-radius: 3px; padding: .1em 0; }
.tag { font-size: .7em; opacity: .85; margin: 0 .4em 0 .15em; color: hsl(var(--hue) 70% 38%); white-space: normal; }
@media (prefers-color-scheme: dark) { .tag { color: hsl(var(--hue) 80% 72%); } }
.right { --hue: 140; } .label { --hue: 215; } .cut { --hue: 40; } .both { --hue: 285; }
.missed { --hue: 355; } .invented { --hue: 20; } .place { --hue: 180; }
mark.right { background: none; } mark.label { border-bottom-style: double; border-bottom-width: 4px; }
mark.cut { border-bottom-style: dashed; } mark.missed { border-bottom-style: dotted; }
button.kind, .chip { border-inline-start: 6px solid hsl(var(--hue) 70% 50%); }
.chip { display: inline-block; padding: 0 .5em; border-radius: 4px; background: hsl(var(--hue) 80% 50% / .15); }
@media (max-width: 40rem) {
  body { padding: .6rem; }
  .scores div { padding: .1rem .5rem; font-size: .8rem; }
  .texts .sides, .marks .sides { grid-template-columns: 1fr; }
  #controls { position: static; }
}
"""
)
"""Rules of an error report."""

BODY = r"""<div>{{ report.number }} examples
{%- if report.layout != "texts" %}, {{ report.wrong }} with something wrong{% endif %}</div>
<div class="scores">
{% for name, value in scores.items() %}<div>{{ name }} <b>{{ value }}</b></div>
{% endfor %}</div>
{% if report.layout != "texts" %}<div>{{ report.total.true }} true, {{ report.total.found }} found</div>{% endif %}
{% for heading, first, groups, filters in tables %}
<details{% if loop.first %} open{% endif %}><summary>{{ heading }}</summary><div class="wide"><table>
<tr><th>{{ first }}</th>{% for column in columns(groups) %}<th>{{ column }}</th>{% endfor %}</tr>
{% for name, group in groups.items() %}<tr><td>
{%- if filters %}<button data-label="{{ name }}"><bdi>{{ name }}</bdi></button>
{%- else %}<bdi>{{ name }}</bdi>{% endif %}</td>
{%- for value in cells(group, groups) %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</table></div></details>
{% endfor %}
{% if report.confusions %}<details><summary>Taken for another</summary><div class="wide"><table>
<tr><th>true</th><th>found</th><th>number</th></tr>
{% for one in report.confusions[:200] %}<tr><td><bdi>{{ one.true }}</bdi></td><td><bdi>{{ one.found }}</bdi></td><td>
<button data-true="{{ one.true }}" data-found="{{ one.found }}">{{ one.number }}</button></td></tr>
{% endfor %}</table></div>
{% if report.confusions|length > 200 %}<p>Rarer ones, {{ report.confusions|length - 200 }}, are in report.json.</p>
{% endif %}</details>{% endif %}
<h2 id="list">Examples</h2>
{% if left_out %}<p>The {{ left_out }} that are least wrong are not shown here; report.json has them.</p>{% endif %}
<noscript><p>Showing examples needs JavaScript; report.json has them too.</p></noscript>
<div id="controls"></div>
<div id="examples" class="{{ report.layout }}"></div>
<div id="pages" class="row"></div>
<script type="application/json" id="report">{{ data|tojson }}</script>
<script>
"use strict";
const {examples, layout, kinds} = JSON.parse(document.getElementById("report").textContent);
const PER_PAGE = 20, LONG = 400, AROUND = 60;
const state = {kind: "wrong", label: "", pair: null, words: "", order: "worst", page: 0};
const make = (tag, props = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name in node) node[name] = value; else node.setAttribute(name, value);
  }
  node.append(...children.filter(child => child !== null));
  return node;
};
const number = value => Number.isInteger(value) ? String(value) : value.toFixed(3);
const sidesOf = item => [item.true, item.found].filter(Boolean);
const nameOf = side => side.role ? side.label + "|" + side.role : side.label;
const words = example => [...Object.values(example.parts), example.true ?? "", example.found ?? ""];

function fits(item) {
  if (state.kind === "wrong" ? item.kind === "right" : state.kind && item.kind !== state.kind) return false;
  if (state.label && !sidesOf(item).some(one => [one.label, nameOf(one)].includes(state.label))) return false;
  return !state.pair || (item.true && item.found && item.kind !== "right" &&
    nameOf(item.true) === state.pair[0] && nameOf(item.found) === state.pair[1]);
}

function chosen() {
  const wanted = state.words.toLowerCase();
  const found = examples.filter(example => {
    const items = example.items ?? [];
    const all = !state.label && !state.pair && (!state.kind || layout === "texts");
    if (!all && !items.some(fits)) return false;
    return !wanted || words(example).some(text => text.toLowerCase().includes(wanted));
  });
  const size = example => Object.values(example.parts).reduce((sum, text) => sum + text.length, 0);
  if (state.order === "file") found.sort((a, b) => a.number - b.number);
  if (state.order === "long") found.sort((a, b) => size(b) - size(a));
  if (state.order === "short") found.sort((a, b) => size(a) - size(b));
  return found;
}

// Offsets count characters, of which JavaScript's strings may have two for one.
function marked(text, places, whole, near = places) {
  const box = make("div", {className: "text", dir: "auto"}), letters = Array.from(text);
  const shown = whole || letters.length <= LONG ? [[0, letters.length]] : excerpts(near, letters.length);
  const clip = (start, end) => letters.slice(start, end).join("");
  let before = 0;
  for (const [from, to] of shown) {
    if (from > before) box.append(" … ");
    const inside = places.filter(one => one.start < to && one.end > from);
    const ends = new Set([from, to]);
    for (const one of inside) for (const end of [one.start, one.end]) if (end > from && end < to) ends.add(end);
    const borders = [...ends].sort((a, b) => a - b);
    for (let i = 0; i + 1 < borders.length; i++) {
      const [start, end] = [borders[i], borders[i + 1]];
      const over = inside.filter(one => one.start <= start && one.end >= end);
      over.sort((a, b) => (b.end - b.start) - (a.end - a.start));
      let node = document.createTextNode(clip(start, end));
      for (const one of over.reverse()) node = make("mark", {className: one.kind, title: one.title}, node);
      box.append(node);
      for (const one of over) if (one.end === end) {
        box.append(make("bdi", {className: "tag " + one.kind}, one.label));
      }
    }
    before = to;
  }
  if (before < letters.length) box.append(" … ");
  return box;
}

function excerpts(places, length) {
  const shown = places.filter(one => one.kind !== "right" || state.kind === "right" || !state.kind);
  const parts = (shown.length ? shown : [{start: 0, end: LONG / 2}])
    .map(one => [Math.max(0, one.start - AROUND), Math.min(length, one.end + AROUND)])
    .sort((a, b) => a[0] - b[0]);
  const joined = [parts[0]];
  for (const part of parts.slice(1)) {
    const last = joined[joined.length - 1];
    if (part[0] <= last[1] + 20) last[1] = Math.max(last[1], part[1]); else joined.push(part);
  }
  return joined;
}

const title = (kind, side) => kinds[kind] + ": " + nameOf(side) + (side.score == null ? "" : " " + number(side.score));
const placesOf = (example, name) => (example.items ?? []).filter(item => item[name]).flatMap(item =>
  (item[name].spans ?? []).map(span => ({...span, kind: item.kind, label: nameOf(item[name]),
                                         title: title(item.kind, item[name])})));

function side(name, ...children) { return make("div", {}, make("span", {className: "name"}, name), ...children); }

function showMarks(example, whole) {
  const text = Object.values(example.parts).at(-1);
  // Both sides show the same parts of a long text.
  const near = ["true", "found"].flatMap(name => placesOf(example, name));
  const sides = [["true", "true"], ["found", "predicted"]].map(([name, heading]) => {
    // What stands nowhere in the text is said below it.
    const apart = (example.items ?? []).filter(item => item[name] && !(item[name].spans ?? []).length);
    return side(heading, marked(text, placesOf(example, name), whole, near),
      ...apart.map(item => chip(item, name)));
  });
  return make("div", {className: "sides"}, ...sides);
}

function chip(item, name) {
  const own = item[name];
  if (!own) return make("span", {className: "none"}, "—");
  const score = own.score == null ? "" : " " + number(own.score);
  return make("span", {className: "chip " + item.kind, title: kinds[item.kind]},
    make("bdi", {}, nameOf(own)), own.text ? ": " : "", make("bdi", {}, own.text ?? ""), score);
}

function showItems(example, point) {
  const heading = make("div", {className: "sides"}, side("true"), side("predicted"));
  const rows = (example.items ?? []).map(item => {
    const row = make("div", {className: "sides"}, ...["true", "found"].map(name => make("div", {}, chip(item, name))));
    if (sidesOf(item).some(one => one.spans)) {
      row.classList.add("item");
      const places = sidesOf(item).flatMap(one => one.spans ?? [])
        .map(span => ({...span, kind: "place", label: span.part, title: span.part}));
      // Both sides may have a part at one place.
      row.onclick = () => point([...new Map(places.map(one => [JSON.stringify(one), one])).values()]);
    }
    return row;
  });
  return make("div", {className: "items"}, heading, ...rows);
}

// The characters that two texts have in common in this order are plain, the others marked.
function differing(text, other, kind) {
  const [a, b] = [Array.from(text), Array.from(other)];
  const box = make("div", {className: "text", dir: "auto"});
  if (a.length * b.length > 1e6) { box.append(text); return box; }
  const table = Array.from({length: a.length + 1}, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) {
    table[i][j] = a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
  }
  let i = 0, j = 0, run = "", same = true;
  const flush = () => {
    if (run) box.append(same ? run : make("mark", {className: kind}, run));
    run = "";
  };
  while (i < a.length) {
    const common = j < b.length && a[i] === b[j];
    if (!common && j < b.length && table[i][j + 1] >= table[i + 1][j]) { j++; continue; }
    if (common !== same) { flush(); same = common; }
    run += a[i++];
    if (common) j++;
  }
  flush();
  return box;
}

function show(example) {
  const facts = Object.entries(example.measures ?? {}).map(([name, value]) => name + " " + number(value));
  const head = [`#${example.number}`, ...(example.items ? [`${example.wrong} wrong`] : []), ...facts].join(" · ");
  const node = make("article", {}, make("header", {}, head));
  const parts = Object.entries(example.parts), last = parts.pop();
  const body = make("div");
  const draw = (whole, places) => {
    body.replaceChildren();
    for (const [name, text] of parts) body.append(side(name, make("div", {className: "text", dir: "auto"}, text)));
    if (layout === "marks") body.append(showMarks(example, whole));
    else {
      const text = marked(last[1], places, whole || layout === "items");
      body.append(parts.length ? side(last[0], text) : text);
    }
    if (layout === "items") body.append(showItems(example, pointed => draw(whole, pointed)));
    if (example.true != null || example.found != null) {
      const [wanted, said] = [example.true ?? "", example.found ?? ""];
      body.append(make("div", {className: "sides"},
        side("true", differing(wanted, said, "missed")), side("predicted", differing(said, wanted, "invented"))));
    }
    if (!whole && layout !== "items" && Array.from(last[1]).length > LONG) {
      body.append(make("button", {onclick: () => draw(true, places)}, "whole text"));
    }
  };
  draw(false, []);
  node.append(body);
  return node;
}

function render() {
  const found = chosen(), pages = Math.max(1, Math.ceil(found.length / PER_PAGE));
  state.page = Math.min(Math.max(0, state.page), pages - 1);
  const from = state.page * PER_PAGE;
  document.getElementById("examples").replaceChildren(...found.slice(from, from + PER_PAGE).map(show));
  const turn = (to, text) => make("button", {disabled: to < 0 || to >= pages,
    onclick: () => { state.page = to; render(); document.getElementById("list").scrollIntoView(); }}, text);
  const shown = found.length ? `${from + 1}–${Math.min(from + PER_PAGE, found.length)} of ${found.length}` : "none";
  document.getElementById("pages").replaceChildren(
    turn(state.page - 1, "previous"), make("span", {}, shown), turn(state.page + 1, "next"),
    make("label", {}, "page ", make("input", {type: "number", min: 1, max: pages, value: state.page + 1,
      onchange: event => { state.page = event.target.value - 1; render(); }})));
  controls();
}

function change(values, move = false) {
  Object.assign(state, {page: 0}, values);
  render();
  if (move) document.getElementById("list").scrollIntoView();
}

const counts = {};
const labels = new Set();
for (const example of examples) for (const item of example.items ?? []) {
  counts[item.kind] = (counts[item.kind] ?? 0) + 1;
  for (const one of sidesOf(item)) labels.add(nameOf(one));
}
const search = make("input", {type: "search", placeholder: "search", "aria-label": "search",
  oninput: event => change({words: event.target.value})});
const select = (name, options, state_name) => make("select", {"aria-label": name,
  onchange: event => change({[state_name]: event.target.value, pair: null})},
  ...options.map(([value, text]) => make("option", {value}, text)));
const labelSelect = select("label", [["", "every label"], ...[...labels].sort().map(one => [one, one])], "label");
const orderSelect = select("order", [["worst", "worst first"], ["file", "as in the file"], ["long", "longest first"],
  ["short", "shortest first"]], "order");
const kindButtons = layout === "texts" ? [] : [["wrong", "all that is wrong"], ["", "everything"],
  ...Object.entries(kinds)].filter(([kind]) => !(kind in kinds) || counts[kind]).map(([kind, text]) =>
  [kind, make("button", {className: kind in kinds ? "kind " + kind : "", onclick: () => change({kind})},
    kind in kinds ? `${text} ${counts[kind]}` : text)]);
const pairNote = make("button", {onclick: () => change({pair: null})});
document.getElementById("controls").append(
  make("div", {className: "row"}, ...kindButtons.map(pair => pair[1])),
  make("div", {className: "row"}, labels.size ? labelSelect : null, orderSelect, search, pairNote));

function controls() {
  for (const [kind, button] of kindButtons) button.setAttribute("aria-pressed", String(kind === state.kind));
  if (state.label && ![...labelSelect.options].some(one => one.value === state.label)) {
    labelSelect.append(make("option", {value: state.label}, state.label));
  }
  labelSelect.value = state.label;
  pairNote.hidden = !state.pair;
  if (state.pair) pairNote.textContent = `${state.pair[0]} taken for ${state.pair[1]} ✕`;
}

for (const button of document.querySelectorAll("button[data-label]")) {
  button.onclick = () => change({label: button.dataset.label, pair: null}, true);
}
for (const button of document.querySelectorAll("button[data-true]")) {
  button.onclick = () => change({pair: [button.dataset.true, button.dataset.found], kind: "wrong", label: ""}, true);
}
if (layout !== "texts" && !examples.some(example => example.wrong)) state.kind = "";
render();
</script>
"""
