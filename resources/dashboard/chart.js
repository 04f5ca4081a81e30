// Small charts in SVG: bars, lines with gaps, a band. One pixel of the drawing is one of the screen, so text stays sharp.

const SVG = "http://www.w3.org/2000/svg";
const BOTTOM = 22;
const TOP = 8;
const RIGHT = 10;

/** An element of SVG with attributes. */
function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A round number not below `value`: 1, 2 or 5 times a power of ten; and how many parts it is shown in. */
export function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const [factor, parts] of [[1, 2], [2, 2], [3, 3], [4, 4], [5, 5], [6, 3], [8, 4], [10, 2]]) {
    if (value <= factor * power * 1.0000001) return [factor * power, parts];
  }
  return [10 * power, 2];
}

const SECOND_STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
const TICKS = [300, 600, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 432000, 864000];

/** The same for seconds: whole minutes and hours instead of powers of ten. */
export function roundTimeUp(value) {
  const step = SECOND_STEPS.find((size) => value <= 4 * size) ?? roundUp(value / 4)[0];
  const parts = Math.max(1, Math.ceil(value / step));
  return [step * parts, parts];
}

/** One chart in a figure: heading, key with the figures, plot. It keeps its data and draws anew when its width changes. */
export class Chart {
  /**
   * title, note: words. series: [{key, name, look: "accent"|"second"|"bad", kind: "bar"|"line"|"area"|"band"}], where
   * a band has `low` and `high` in place of `key`. format: number -> text. round: as `roundUp`. none: words for when
   * there is nothing.
   */
  constructor(figure, { title, note, series, format, round, least, none }) {
    Object.assign(this, { series, format, round: round ?? roundUp, least, none, title });
    const head = element("figcaption", "chart-head");
    const heading = element("h3", "", title);
    heading.append(element("small", "", note));
    this.note = heading.lastChild;
    this.key = element("ul", "key");
    head.append(heading, this.key);
    this.plot = element("div", "plot");
    figure.replaceChildren(head, this.plot);
    this.place = null;
    this.plot.addEventListener("pointermove", (event) => this.point(event.clientX));
    this.plot.addEventListener("pointerdown", (event) => this.point(event.clientX));
    this.plot.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  /** data: the part `charts` of the figures. when: start of a step, in seconds, -> text. */
  show(data, when, note) {
    this.data = data;
    this.when = when;
    if (note !== undefined) this.note.textContent = note;
    this.draw();
  }

  point(x) {
    const place = x === null || !this.scale ? null : this.scale.placeAt(x - this.plot.getBoundingClientRect().left);
    if (place === this.place) return;
    this.place = place;
    this.draw();
  }

  get lines() {
    return this.series.filter((one) => one.kind !== "band");
  }

  draw() {
    const width = this.plot.clientWidth;
    const height = this.plot.clientHeight;
    if (!this.data || width < 60) return;
    const keys = this.series.flatMap((one) => (one.kind === "band" ? [one.low, one.high] : [one.key]));
    const all = keys.flatMap((key) => this.data[key]).filter((value) => value !== null);
    const greatest = Math.max(0, ...all, ...this.stacks());
    if (!all.length || (this.least === undefined && !greatest)) {
      this.scale = null;
      this.key.replaceChildren();
      this.plot.replaceChildren(element("p", "none", this.none));
      return;
    }
    this.scale = this.scaleFor(width, height, Math.max(greatest, this.least ?? 0));
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
    svg.append(shape("title", {}, this.told()));
    this.drawGrid(svg, width);
    this.piled = new Array(this.scale.number).fill(0);
    for (const one of this.series) this.drawSeries(svg, one);
    this.drawPointer(svg);
    this.plot.replaceChildren(svg);
    this.drawKey();
  }

  /** Bars stand on each other. */
  stacks() {
    const bars = this.series.filter((one) => one.kind === "bar").map((one) => this.data[one.key]);
    return bars.length ? bars[0].map((_, place) => bars.reduce((sum, values) => sum + (values[place] ?? 0), 0)) : [];
  }

  scaleFor(width, height, greatest) {
    const [top, parts] = this.round(greatest);
    const number = this.data[this.lines[0].key].length;
    const labels = Array.from({ length: parts + 1 }, (_, place) => this.format((top * place) / parts));
    const left = 12 + 7 * Math.max(...labels.map((label) => label.length));
    const step = (width - left - RIGHT) / number;
    const span = height - TOP - BOTTOM;
    return {
      left, step, number, labels, top, bottom: height - BOTTOM,
      x: (place) => left + step * (place + 0.5),
      y: (value) => TOP + span * (1 - Math.min(value, top) / top),
      placeAt: (x) => (x < left ? null : Math.min(number - 1, Math.max(0, Math.floor((x - left) / step)))),
    };
  }

  drawGrid(svg, width) {
    const { left, labels, top, y, x, number, bottom } = this.scale;
    labels.forEach((label, place) => {
      const at = Math.round(y((top * place) / (labels.length - 1)));
      svg.append(shape("line", { class: "grid", x1: left, x2: width - RIGHT, y1: at, y2: at }));
      svg.append(shape("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, label));
    });
    const most = Math.max(2, Math.floor((width - left) / 62));
    const span = number * this.data.step_s;
    const tick = TICKS.find((size) => size >= this.data.step_s && span / size <= most) ?? TICKS.at(-1);
    for (let place = 0; place < number; place += 1) {
      const time = this.timeAt(place);
      // Round in the reader's own time.
      const local = time - new Date(time * 1000).getTimezoneOffset() * 60;
      const at = x(place) - this.scale.step / 2;
      if (local % tick || at < left + 14 || at > width - RIGHT - 14) continue;
      svg.append(shape("text", { x: at, y: bottom + 16, "text-anchor": "middle" }, this.when(time)));
    }
  }

  drawSeries(svg, one) {
    if (one.kind === "bar") this.drawBars(svg, one);
    else if (one.kind === "band") this.drawBand(svg, one);
    else this.drawLine(svg, one);
  }

  drawBars(svg, { key, look }) {
    const { x, y, step } = this.scale;
    const width = Math.max(1, Math.min(step - 1, 14));
    this.data[key].forEach((value, place) => {
      if (!value) return;
      const floor = y(this.piled[place]);
      this.piled[place] += value;
      const height = Math.max(1, floor - y(this.piled[place]));
      svg.append(shape("rect", { class: `${look} bar`, x: x(place) - width / 2, y: floor - height, width, height }));
    });
  }

  drawBand(svg, { low, high }) {
    const { x, y } = this.scale;
    for (const run of this.runs(this.data[high])) {
      const upper = run.map((place) => `${x(place)},${y(this.data[high][place])}`);
      const lower = run.map((place) => `${x(place)},${y(this.data[low][place])}`).reverse();
      if (run.length > 1) svg.append(shape("polygon", { class: "band", points: [...upper, ...lower].join(" ") }));
      else svg.append(this.stick(run[0], low, high));
    }
  }

  stick(place, low, high) {
    const { x, y, step } = this.scale;
    const top = y(this.data[high][place]);
    const height = Math.max(1, y(this.data[low][place]) - top);
    return shape("rect", { class: "band", x: x(place) - step / 2, y: top, width: step, height });
  }

  drawLine(svg, { key, look, kind }) {
    const { x, y, bottom } = this.scale;
    for (const run of this.runs(this.data[key])) {
      const points = run.map((place) => `${x(place)},${y(this.data[key][place])}`);
      if (kind === "area" && run.length > 1) {
        const floor = [`${x(run.at(-1))},${bottom}`, `${x(run[0])},${bottom}`];
        svg.append(shape("polygon", { class: "area", points: [...points, ...floor].join(" ") }));
      }
      if (run.length > 1) svg.append(shape("polyline", { class: `${look} line`, points: points.join(" ") }));
      else svg.append(shape("circle", { class: `${look} dot`, cx: x(run[0]), cy: y(this.data[key][run[0]]), r: 2.25 }));
    }
  }

  drawPointer(svg) {
    if (this.place === null || this.place >= this.scale.number) return;
    const { x, y, bottom } = this.scale;
    const at = Math.round(x(this.place)) + 0.5;
    svg.append(shape("line", { class: "pointer", x1: at, x2: at, y1: TOP, y2: bottom }));
    for (const { key, look } of this.lines.filter((one) => one.kind !== "bar")) {
      const value = this.data[key][this.place];
      if (value !== null) svg.append(shape("circle", { class: `${look} dot`, cx: at, cy: y(value), r: 3.5 }));
    }
  }

  drawKey() {
    const place = this.place;
    const items = this.series.map((one) => {
      const item = element("li", one.kind === "band" ? "band" : one.look, `${one.name} `);
      item.append(element("b", "", place === null ? this.lastOf(one) : this.valueAt(one, place)));
      return item;
    });
    if (this.place !== null) items.unshift(element("li", "when", this.when(this.timeAt(place))));
    this.key.replaceChildren(...items);
  }

  valueAt(one, place) {
    const told = (key) => (this.data[key][place] === null ? "–" : this.format(this.data[key][place]));
    if (one.kind !== "band") return told(one.key);
    return this.data[one.low][place] === null ? "–" : `${told(one.low)} – ${told(one.high)}`;
  }

  /** Of bars their sum, of all others the newest. */
  lastOf(one) {
    if (one.kind === "bar") return this.format(this.data[one.key].reduce((sum, value) => sum + (value ?? 0), 0));
    const last = this.data[one.key ?? one.high].findLastIndex((value) => value !== null);
    return last < 0 ? "–" : this.valueAt(one, last);
  }

  /** What a reader of the screen says in place of the drawing. */
  told() {
    const now = this.series.map((one) => `${one.name} ${this.lastOf(one)}`);
    return `${this.title}: ${now.join(", ")}`;
  }

  timeAt(place) {
    return this.data.since + place * this.data.step_s;
  }

  /** Places that follow each other and have a value: a gap in the data is a gap in the line. */
  runs(values) {
    const found = [];
    values.forEach((value, place) => {
      if (value === null) return;
      if (place && values[place - 1] !== null && found.length) found.at(-1).push(place);
      else found.push([place]);
    });
    return found;
  }
}
