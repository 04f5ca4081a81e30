// Asks the monitor for its figures and shows them. Names come from computers that nobody vouches for: they are only ever
// set as text, and the page's policy (Content-Security-Policy, trusted types) forbids anything else.

import { Chart, roundTimeUp } from "./chart.js";

const ASK_MS = 2000;
const LATE_MS = 8000;
const STALE_S = 15;
/** Where this page is, without the password that may stand in its address: `fetch` refuses such. */
const HERE = location.origin + location.pathname.replace(/[^/]*$/, "");
const KEPT = "monitor-window";
/** Words for what managers count; what is not here is shown as it was told. */
const FAILURES = {
  "job.late": "Came too late: the job was done",
  "job.refused.archive": "Refused: the archive is damaged",
  "job.refused.content": "Refused: the content is not right",
  "job.refused.differs": "Refused: others have another result",
  "job.refused.exit-code": "Refused: the job ended with an error",
  "job.refused.no-output": "Refused: no output came",
  "job.refused.no-quorum": "Refused: too few agree",
  "job.refused.no-validator": "Refused: there is no such check here",
  "job.refused.own-validation": "Refused by the job's own check",
  "job.refused.too-large": "Refused: the output is too large",
  "job.returned.disk-full": "Given back: the disk is full",
  "job.returned.input": "Given back: the input could not be fetched",
  "job.returned.other": "Given back: other reasons",
  "job.returned.output-limit": "Given back: too much output",
  "job.returned.requirement": "Given back: the agent lacks something",
  "job.returned.start": "Given back: the job did not start",
  "job.returned.time-limit": "Given back: the time was up",
  "job.returned.upload": "Given back: the output could not be sent",
  "lease.ended": "The agent was not heard of any more",
  "error.invalidJobId": "Output of a job that does not exist",
};

const byId = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dayAndClock = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** A number for reading: 0.42, 4.2, 42, 420,000, 4.2M. */
function told(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 1000000) return short.format(value);
  if (value >= 100 || Number.isInteger(value)) return whole.format(value);
  if (value > 0 && value < 0.005) return "< 0.01";
  return value.toFixed(value >= 10 ? 1 : 2).replace(/\.?0+$/, "") || "0";
}

function toldWhole(value) {
  return told(Math.round(value));
}

/** Seconds for reading: 3 s, 2.5 min, 4 h, 2 d. */
function lasting(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size * 1.5 || (unit !== "d" && seconds >= size)) return `${told(Math.round((seconds / size) * 10) / 10)} ${unit}`;
  }
  return `${told(Math.round(seconds * 10) / 10)} s`;
}

function ago(seconds) {
  return seconds < 5 ? "now" : `${lasting(Math.round(seconds))} ago`;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const charts = {
  results: new Chart(byId("chart-results"), {
    title: "Results", note: "", format: told, none: "No results in this time.",
    series: [
      { key: "accepted", name: "accepted", look: "accent", kind: "bar" },
      { key: "refused", name: "refused", look: "bad", kind: "bar" },
    ],
  }),
  queue: new Chart(byId("chart-queue"), {
    title: "Queue", note: "jobs", format: toldWhole, least: 4, none: "The queue has not been read in this time.",
    series: [
      { key: "waiting", name: "waiting", look: "accent", kind: "area" },
      { key: "leased", name: "running", look: "second", kind: "line" },
    ],
  }),
  duration: new Chart(byId("chart-duration"), {
    title: "Time a job takes", note: "of those that ended well", format: lasting, round: roundTimeUp, none: "No job ended in this time.",
    series: [
      { low: "duration_low_s", high: "duration_high_s", name: "least – most", look: "accent", kind: "band" },
      { key: "duration_s", name: "mean", look: "accent", kind: "line" },
    ],
  }),
  agents: new Chart(byId("chart-agents"), {
    title: "Agents", note: "seen in 10 minutes", format: toldWhole, least: 4, none: "The queue has not been read in this time.",
    series: [{ key: "agents", name: "present", look: "accent", kind: "area" }],
  }),
};

let chosen = ["hour", "day", "month"].find((name) => name === kept()) ?? "hour";
let last = null;
let trouble = "";
let timer = 0;
let asking = null;

function show(figures) {
  document.title = `${figures.title} · Monitor`;
  byId("title").textContent = figures.title;
  showTiles(figures);
  showCharts(figures.charts);
  showFailures(figures.failures);
  showAgents(figures.queue, figures.now);
  const graphite = figures.graphite;
  byId("graphite").textContent = graphite ? graphiteTold(graphite) : "";
}

function graphiteTold(graphite) {
  if (graphite.connected) return "Graphite gets everything.";
  return `Graphite is away: ${told(graphite.waiting)} lines wait, ${told(graphite.dropped)} were dropped.`;
}

function showTiles({ rates, queue }) {
  byId("rate").textContent = told(rates.minute);
  byId("rate-more").textContent = `hour ${told(rates.hour)} · day ${told(rates.day)}`;
  for (const state of ["waiting", "leased", "done", "dead"]) {
    byId(state).textContent = queue.read ? told(queue.jobs[state]) : "–";
  }
  byId("dead").parentElement.classList.toggle("alarm", queue.read && queue.jobs.dead > 0);
  byId("agents").textContent = queue.read ? told(queue.active) : "–";
  const parts = [`${told(queue.working)} at work`, `${told(queue.known)} known`];
  if (queue.drained) parts.push(`${told(queue.drained)} drained`);
  byId("agents-more").textContent = queue.read ? parts.join(" · ") : "\u00a0";
}

function showCharts(data) {
  const format = data.window === "hour" ? clock : data.window === "day" ? clock : day;
  const when = (seconds) => format.format(new Date(seconds * 1000));
  for (const chart of Object.values(charts)) chart.show(data, when);
  charts.results.show(data, when, `in each ${{ hour: "minute", day: "quarter of an hour", month: "6 hours" }[data.window]}`);
}

function showFailures(failures) {
  const rows = failures.map(({ event, number }) => [FAILURES[event] ?? event, number]);
  showBars("failures", rows, "Nothing went wrong.");
}

function showAgents(queue, now) {
  const silent = queue.read ? "No agent was seen lately." : "The queue cannot be read.";
  showBars("versions", queue.read ? queue.by_version : [], silent);
  const rows = (queue.read ? queue.top : []).map((owner) => ownerRow(owner, now));
  byId("owners").tBodies[0].replaceChildren(...rows);
  byId("owners").hidden = !rows.length;
  byId("owners-empty").hidden = rows.length > 0;
  byId("owners-empty").textContent = queue.read ? "No result was accepted yet." : silent;
}

function showBars(id, rows, silent) {
  const most = Math.max(1, ...rows.map(([, number]) => number));
  byId(id).replaceChildren(...rows.map(([name, number]) => {
    const row = element("li");
    const track = element("div", "track");
    const fill = element("div", "fill");
    fill.style.width = `${(100 * number) / most}%`;
    track.append(fill);
    row.append(element("span", "what", name), element("span", "many", told(number)), track);
    return row;
  }));
  byId(`${id}-empty`).hidden = rows.length > 0;
  byId(`${id}-empty`).textContent = silent;
}

function ownerRow(owner, now) {
  const row = element("tr");
  row.append(element("td", "", owner.owner));
  for (const name of ["accepted", "refused", "failed", "lost"]) row.append(element("td", "number", told(owner[name])));
  row.append(element("td", "number", `${Math.round(owner.reliability * 100)} %`));
  row.append(element("td", "version", owner.version || "unknown"));
  row.append(element("td", "number", ago(Math.max(0, now - owner.last_seen))));
  return row;
}

/** What an operator must know before believing the figures: [is it bad, what, what it means]. */
function notices() {
  const found = [];
  if (trouble) found.push([true, trouble, last ? "The figures below are the last that came." : "It is asked again by itself."]);
  if (!last) return found;
  const { session, queue, store_fault: fault } = last;
  if (!session.connected) {
    const since = dayAndClock.format(new Date(session.since * 1000));
    found.push([true, `The monitor has had no session since ${since}.`, "Managers cannot reach it, so results and failures are missing. It tries again by itself; jobs go on without it."]);
  }
  for (const [component, at] of Object.entries(last.silent)) {
    const since = dayAndClock.format(new Date(at * 1000));
    found.push([true, `The manager ${component} has told nothing since ${since}.`, "It does not run, is stuck, or cannot reach the monitor: see main.py site status and its log."]);
  }
  if (queue.fault) found.push([true, "The queue cannot be read.", `It is tried again by itself. The system says: ${queue.fault}`]);
  if (fault) found.push([true, "What is told cannot be kept.", `Make room on the disk: what comes until then will be missing over time and in the rates. The system says: ${fault}`]);
  if (queue.all_drained) found.push([false, "The site is drained.", "Nobody gets a new job until the operator ends that."]);
  return found;
}

function showNotices() {
  const now = notices();
  const told = JSON.stringify(now);
  if (byId("notices").dataset.told === told) return;
  byId("notices").dataset.told = told;
  byId("notices").replaceChildren(...now.map(([bad, what, meaning]) => {
    const notice = element("p", bad ? "notice bad" : "notice");
    notice.append(element("strong", "", what), meaning);
    return notice;
  }));
}

function showLive() {
  const age = last ? Date.now() / 1000 - last.came_at : Infinity;
  const bad = Boolean(trouble) || age > STALE_S;
  const good = !bad && last.session.connected && last.queue.read;
  const wait = !trouble && !last;
  byId("live").dataset.state = wait ? "wait" : good ? "good" : "bad";
  byId("live-text").textContent = wait ? "Asking the monitor" : age === Infinity ? "No answer" : `${good ? "Live" : "Trouble"} · ${ago(age)}`;
  document.body.classList.toggle("stale", bad && Boolean(last));
}

async function ask() {
  clearTimeout(timer);
  asking?.abort();
  const mine = asking = new AbortController();
  const late = setTimeout(() => mine.abort(), LATE_MS);
  const wanted = chosen;
  try {
    const answer = await fetch(`${HERE}figures.json?window=${wanted}`, { signal: mine.signal, cache: "no-store" });
    if (!answer.ok) throw new Error(await answer.text());
    const figures = await answer.json();
    if (mine !== asking || wanted !== chosen) return;
    last = { ...figures, came_at: Date.now() / 1000 };
    trouble = "";
    show(last);
  } catch (error) {
    if (mine !== asking) return;
    trouble = error instanceof TypeError || error.name === "AbortError" ? "The monitor does not answer." : `The monitor says: ${error.message.slice(0, 200)}`;
  } finally {
    clearTimeout(late);
    if (mine === asking) {
      showNotices();
      showLive();
      if (!document.hidden) timer = setTimeout(ask, ASK_MS);
    }
  }
}

/** What was chosen the last time; a browser that keeps nothing for this page throws an error instead. */
function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keep(name) {
  try {
    localStorage.setItem(KEPT, name);
  } catch {
    // Then it is the hour again the next time.
  }
}

function choose(name) {
  chosen = name;
  keep(name);
  for (const button of document.querySelectorAll("[data-window]")) {
    button.setAttribute("aria-pressed", String(button.dataset.window === name));
  }
}

for (const button of document.querySelectorAll("[data-window]")) {
  button.addEventListener("click", () => {
    choose(button.dataset.window);
    ask();
  });
}
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : ask()));
setInterval(showLive, 1000);
choose(chosen);
ask();
