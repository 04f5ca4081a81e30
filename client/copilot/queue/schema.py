"""The tables of the SQLite queue, version by version."""

from typing import Final

# `place` is the order of submission; a job that returns keeps it, so it goes before younger ones. The partial indexes
# hold only the rows that their question is about, so handing out takes the same time whatever the queue's length.
_JOBS: Final = """
CREATE TABLE jobs (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'leased', 'done', 'dead')),
    priority INTEGER NOT NULL,
    order_json TEXT NOT NULL,
    time_limit_s INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    resends INTEGER NOT NULL DEFAULT 0,
    agent TEXT NOT NULL DEFAULT '',
    extends INTEGER NOT NULL DEFAULT 0,
    confirmed INTEGER NOT NULL DEFAULT 0,
    lease_id TEXT NOT NULL DEFAULT '',
    leased_at REAL NOT NULL DEFAULT 0,
    lease_ends_at REAL NOT NULL DEFAULT 0,
    submitted_at REAL NOT NULL,
    finished_at REAL NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX jobs_waiting ON jobs (priority DESC, place) WHERE state = 'waiting';
CREATE INDEX jobs_leased ON jobs (lease_ends_at) WHERE state = 'leased';
CREATE INDEX jobs_unconfirmed ON jobs (agent) WHERE state = 'leased' AND confirmed = 0;
CREATE TABLE leases (
    lease_id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    extends INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_of_job ON leases (job_id);
CREATE TABLE history (
    job_id TEXT NOT NULL,
    at REAL NOT NULL,
    what TEXT NOT NULL,
    agent TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX history_of_job ON history (job_id);
"""
# Accounts whose last jobs failed, one after the other; forgotten with the first that is accepted.
_FAILURES: Final = """
CREATE TABLE failures (
    account TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    last_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""
# A lane is the jobs that are alike to who hands them out; `waiting` is how many of them wait. A row of `jobs` is
# handed out if it has a lane. A replicated job has none: its units are rows of their own, with `unit_of` = its place.
# `came_back`: of units only, whether it waits for another time (see `client.copilot.queue.lanes`).
_LANES: Final = """
ALTER TABLE jobs ADD COLUMN submitter TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN lane INTEGER;
ALTER TABLE jobs ADD COLUMN unit_of INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN quorum INTEGER NOT NULL DEFAULT 1;
ALTER TABLE jobs ADD COLUMN max_attempts INTEGER;
ALTER TABLE jobs ADD COLUMN came_back INTEGER NOT NULL DEFAULT 0;
CREATE TABLE lanes (
    id INTEGER PRIMARY KEY,
    submitter TEXT NOT NULL,
    priority INTEGER NOT NULL,
    requirements TEXT NOT NULL,
    replicated INTEGER NOT NULL,
    waiting INTEGER NOT NULL DEFAULT 0,
    UNIQUE (submitter, priority, requirements, replicated)
) STRICT;
CREATE INDEX lanes_waiting ON lanes (priority DESC) WHERE waiting > 0;
CREATE TABLE submitters (
    name TEXT PRIMARY KEY,
    spent REAL NOT NULL DEFAULT 0,
    ended INTEGER NOT NULL DEFAULT 0,
    held_s REAL NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
UPDATE jobs SET submitter = json_extract(order_json, '$.submitter');
INSERT INTO submitters (name) SELECT DISTINCT submitter FROM jobs;
INSERT INTO lanes (submitter, priority, requirements, replicated, waiting)
    SELECT submitter, priority, '', 0, sum(state = 'waiting') FROM jobs GROUP BY submitter, priority;
UPDATE jobs SET lane = (
    SELECT id FROM lanes WHERE lanes.submitter = jobs.submitter AND lanes.priority = jobs.priority);
DROP INDEX jobs_waiting;
DROP INDEX jobs_leased;
CREATE INDEX jobs_waiting ON jobs (lane, came_back, place) WHERE state = 'waiting' AND lane IS NOT NULL;
CREATE INDEX jobs_leased ON jobs (lease_ends_at) WHERE state = 'leased' AND lane IS NOT NULL;
CREATE INDEX jobs_units ON jobs (unit_of) WHERE unit_of > 0;
CREATE INDEX jobs_listed ON jobs (state, place) WHERE unit_of = 0;
CREATE TRIGGER job_waits AFTER UPDATE OF state ON jobs
    WHEN NEW.state = 'waiting' AND OLD.state <> 'waiting' AND NEW.lane IS NOT NULL
    BEGIN UPDATE lanes SET waiting = waiting + 1 WHERE id = NEW.lane; END;
CREATE TRIGGER job_waits_no_more AFTER UPDATE OF state ON jobs
    WHEN OLD.state = 'waiting' AND NEW.state <> 'waiting' AND NEW.lane IS NOT NULL
    BEGIN UPDATE lanes SET waiting = waiting - 1 WHERE id = NEW.lane; END;
"""
# Of replicated jobs, all by the place of the job: which owner had which unit; what valid results there are; and up to
# where in a lane an owner has looked.
_COPIES: Final = """
CREATE TABLE holders (
    job INTEGER NOT NULL,
    owner TEXT NOT NULL,
    unit INTEGER NOT NULL,
    PRIMARY KEY (job, owner, unit)
) STRICT, WITHOUT ROWID;
CREATE TABLE candidates (
    number INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    unit_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    owner TEXT NOT NULL,
    agreement TEXT NOT NULL
) STRICT;
CREATE INDEX candidates_of_job ON candidates (job, number);
CREATE TABLE looked (
    owner TEXT NOT NULL,
    lane INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (owner, lane)
) STRICT, WITHOUT ROWID;
"""
# What is remembered of agents, by owner; the failures of the version before go in.
_AGENTS: Final = """
CREATE TABLE agents (
    owner TEXT PRIMARY KEY,
    agent TEXT NOT NULL,
    version TEXT NOT NULL DEFAULT '',
    platform TEXT NOT NULL DEFAULT '',
    memory_mib INTEGER NOT NULL DEFAULT 0,
    cpus INTEGER NOT NULL DEFAULT 0,
    first_seen REAL NOT NULL,
    last_seen REAL NOT NULL,
    accepted INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    in_a_row INTEGER NOT NULL DEFAULT 0,
    failed_at REAL NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX agents_seen ON agents (last_seen);
CREATE TABLE drained (owner TEXT PRIMARY KEY, since REAL NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO agents (owner, agent, first_seen, last_seen, in_a_row, failed_at)
    SELECT owner_of(account), max(account), min(last_at), max(last_at), max(number), max(last_at)
    FROM failures GROUP BY owner_of(account);
DROP TABLE failures;
"""
# What an agent said of its computer, as JSON; empty where a version before noted it.
_HOSTS: Final = """
ALTER TABLE agents ADD COLUMN host TEXT NOT NULL DEFAULT '';
"""
#: Statements that bring the tables from each version, kept in the file's user_version, to the next.
STEPS: Final = (_JOBS, _FAILURES, _LANES, _COPIES, _AGENTS, _HOSTS)
