-- The queue in Redis, 5: handing out, and how long an agent has a unit.

local HELD_TOO_LONG = 'the job was held for too long'

local function lease_seconds(row, extends)
  if extends == '1' then
    return terms.lease_s
  end
  return tonumber(row.limit) or terms.silent_lease_s
end

-- Put a unit back that an agent had, or give it up after its last attempt.
local function give_back(row, agent, reason)
  local attempts = count(row.attempts)
  local given_up = attempts >= (tonumber(row.max) or terms.max_attempts)
  if given_up then
    reason = attempts .. (attempts == 1 and ' attempt' or ' attempts') .. '; the last: ' .. reason
  end
  if row.group then
    write(row, 'kind', 2)
  end
  move(row, given_up and 'dead' or 'waiting')
  write(row, 'finished_at', given_up and now or 0, 'reason', cut(reason))
  note(row, given_up and 'given up' or 'returned', agent, reason)
  follow(row)
end

local function expire()
  local ended = call('ZRANGEBYSCORE', prefix .. 'leased', '-inf', text(now), 'LIMIT', 0, MOST_EXPIRED)
  for _, id in ipairs(ended) do
    local row = read(id)
    if row then
      tally(row.owner, row.agent, 'lost')
      give_back(row, row.agent, 'the lease ended')
    else
      -- Somebody else removed the job from this Redis; all verbs would fail over it.
      call('ZREM', prefix .. 'leased', id)
    end
  end
  return ended
end

local function lease(row, lease_id, agent, owner, extends)
  local seconds = lease_seconds(row, extends)
  hold(row, agent, owner, now + seconds)
  write(row, 'attempts', count(row.attempts) + 1, 'resends', 0, 'extends', extends, 'confirmed', 0,
    'lease_id', lease_id, 'leased_at', now)
  call('HSET', prefix .. 'unconfirmed', agent, row.id)
  remember_lease(row, lease_id, agent, extends)
  charge(row.submitter)
  if row.group then
    note_holder(row, owner)
    local group = read(row.group)
    write(group, 'attempts', count(group.attempts) + 1, 'agent', agent)
    settle(row.group)
  end
  note(row, 'handed out', agent, 'for ' .. seconds .. ' s')
  return {'lease', lease_id, seconds, answer(row)}
end

local function send_again(row)
  local seconds = lease_seconds(row, row.extends)
  hold(row, row.agent, row.owner, now + seconds)
  write(row, 'resends', count(row.resends) + 1)
  note(row, 'sent again', row.agent, 'for ' .. seconds .. ' s')
  return {'lease', row.lease_id, seconds, answer(row)}
end

-- Give a unit back to an agent that had it. The lease keeps its id, so that asking twice does no harm.
local function renew(row, lease_id, agent, owner)
  -- Claiming again and again is holding it, too.
  local since = row.state == 'leased' and row.leased_at or now
  confirmed(row)
  hold(row, agent, owner, now + terms.lease_s)
  write(row, 'extends', 1, 'lease_id', lease_id, 'leased_at', since, 'finished_at', 0)
  remember_lease(row, lease_id, agent, 1)
  note_holder(row, owner)
  follow(row)
  note(row, 'claimed', agent, 'for ' .. terms.lease_s .. ' s')
  return {'lease', lease_id, terms.lease_s, answer(row)}
end

-- Why a lease cannot go on; nil when it can.
local function why_lost(row, lease_id, owner)
  if not row then
    return 'there is no such job'
  end
  if row.cancelled == '1' then
    -- A unit that is not needed any more tells why.
    return row.reason == 'cancelled' and 'the job was cancelled' or row.reason
  end
  if row.state == 'done' then
    return 'the job is done'
  end
  if call('HEXISTS', prefix .. 'leases:' .. row.id, lease_id) == 0 then
    return 'there is no such lease'
  end
  if row.state == 'leased' and row.lease_id ~= lease_id then
    return 'another computer does the job'
  end
  if had_another(row.group, owner, row.id) then
    return 'another computer of this owner had the same job'
  end
end

-- The first unit, from a place on, of a job that the owner had no other unit of, with its place; nil when there is
-- none, or none among the first `most`.
local function first_allowed(lane, owner, from, most)
  local passed = 0
  while passed < most do
    local found = call('ZRANGEBYSCORE', prefix .. 'lane:' .. lane, from, '+inf', 'WITHSCORES', 'LIMIT', passed, 16)
    for at = 1, #found, 2 do
      if not had_another(call('HGET', prefix .. 'job:' .. found[at], 'group'), owner, found[at]) then
        return found[at], tonumber(found[at + 1])
      end
    end
    if #found < 32 then
      return nil
    end
    passed = passed + 16
  end
end

-- Units that never went out. Who had one of a job may never have another, so what an owner has passed he need not
-- look at again; units that come back are not passed for good, and stand in a lane of their own.
local function first_fresh(lane, owner)
  local looked = prefix .. 'looked:' .. owner
  local start = call('HGET', looked, lane) or '0'
  local id, place = first_allowed(lane, owner, start, math.huge)
  local passed = text(place or count(call('GET', prefix .. 'places')) + 1)
  if passed ~= start then
    call('HSET', looked, lane, passed)
  end
  return id, place
end

local function first_of(lane, owner)
  if lane.kind == '1' then
    return first_fresh(lane.name, owner)
  end
  if lane.kind == '2' then
    return first_allowed(lane.name, owner, '-inf', MOST_PASSED)
  end
  local found = call('ZRANGE', prefix .. 'lane:' .. lane.name, 0, 0, 'WITHSCORES')
  return found[1], tonumber(found[2])
end

-- The unit that goes out next. Of the lanes of the highest priority that has something for this owner: that of the
-- submitter who had least, then the first submitted. Second, what `each_lane` answers.
local function choose(met, owner)
  local best, best_place
  local unknown = each_lane(met, function(lane)
    if best and lane.priority < best.priority then
      return true
    end
    lane.had = virtual_time(lane.submitter)
    if not best or lane.had <= best.had then
      local id, place = first_of(lane, owner)
      if id and (not best or lane.had < best.had or place < best_place) then
        lane.first = id
        best, best_place = lane, place
      end
    end
  end)
  return best and best.first, unknown
end

-- 1 agent, 2 owner, 3 whether it extends, 4 a fresh id, 5 to 7: see read_met
function verbs.hand_out()
  local agent, owner, extends, lease_id = argument(1), argument(2), argument(3), argument(4)
  expire()
  local open = call('HGET', prefix .. 'unconfirmed', agent)
  local row = open and read(open)
  if open and not row then
    call('HDEL', prefix .. 'unconfirmed', agent)
  end
  if row then
    if count(row.resends) < terms.max_resends then
      return send_again(row)
    end
    give_back(row, agent, 'not confirmed after ' .. count(row.resends) .. ' times')
  end
  local id, unknown = choose(read_met(argument(5), argument(6), argument(7)), owner)
  if unknown then
    return unknown
  end
  return id and lease(read(id), lease_id, agent, owner, extends) or {'none'}
end

-- 1 job, 2 agent
function verbs.confirm()
  local row = read(argument(1))
  if row and row.state == 'leased' and not row.quorum and row.agent == argument(2) then
    confirmed(row)
    hold(row, row.agent, row.owner, math.max(count(row.ends_at), now + terms.lease_s))
  end
  return {}
end

-- Take a unit away that one agent has had for too long; whether it was.
local function end_hold(row, lease_id, agent, owner)
  if row.state ~= 'leased' or now - count(row.leased_at) <= terms.hold_limit_s then
    return false
  end
  -- No agent can name it any more, ids have no blanks; that the agent had the unit stays known.
  local leases = prefix .. 'leases:' .. row.id
  local had = call('HGET', leases, lease_id)
  call('HDEL', leases, lease_id)
  call('HSET', leases, 'ended ' .. lease_id, had)
  tally(owner, agent, 'lost')
  give_back(row, agent, 'held for too long')
  return true
end

-- 1 job, 2 lease, 3 agent, 4 owner
function verbs.extend()
  expire()
  local row, lease_id, agent, owner = read(argument(1)), argument(2), argument(3), argument(4)
  local lost = why_lost(row, lease_id, owner)
  if lost then
    return {'lost', lost}
  end
  if row.state ~= 'leased' then
    return renew(row, lease_id, agent, owner)
  end
  if end_hold(row, lease_id, agent, owner) then
    return {'lost', HELD_TOO_LONG}
  end
  confirmed(row)
  hold(row, agent, owner, now + terms.lease_s)
  remember_lease(row, lease_id, agent, row.extends)
  return {'lease', lease_id, terms.lease_s, answer(row)}
end

-- 1 job, 2 lease, 3 agent, 4 owner
function verbs.claim()
  expire()
  local row = read(argument(1))
  local lost = why_lost(row, argument(2), argument(4))
  if lost then
    return {'lost', lost}
  end
  if end_hold(row, argument(2), argument(3), argument(4)) then
    return {'lost', HELD_TOO_LONG}
  end
  return renew(row, argument(2), argument(3), argument(4))
end

-- 1 job, 2 lease, 3 agent, 4 owner, 5 cause; 6, when that is a limit of the job: who says so within so many seconds has to
-- pause, but it counts as no failure of the agent (`causes.py`); else empty
function verbs.fail()
  local row = read(argument(1))
  if not row or row.state ~= 'leased' or row.lease_id ~= argument(2) then
    return 0
  end
  local soon = tonumber(argument(6))
  if not soon then
    tally(argument(4), argument(3), 'failed')
    blame(argument(4))
  elseif now - count(row.leased_at) < soon then
    tally(argument(4), argument(3))
    blame(argument(4))
  end
  give_back(row, argument(3), 'failed: ' .. argument(5))
  return 1
end
