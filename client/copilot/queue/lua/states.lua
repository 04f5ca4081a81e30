-- The queue in Redis, 3: from one state to another. `job:<id>` has it for jobs and units; jobs also stand in one of
-- the sorted sets `state:<state>`, whose scores are their places in the order of submission. The state of a
-- replicated job follows from its units, see `settle`.

local function set_job_state(row, state)
  if row.state then
    call('ZREM', prefix .. 'state:' .. row.state, row.id)
  end
  call('ZADD', prefix .. 'state:' .. state, row.place, row.id)
  write(row, 'state', state)
end

local function agent_key(owner)
  return prefix .. 'agent:' .. owner
end

local function holds_key(owner)
  return prefix .. 'holds:' .. owner
end

local function forget_unconfirmed(row)
  if call('HGET', prefix .. 'unconfirmed', row.agent) == row.id then
    call('HDEL', prefix .. 'unconfirmed', row.agent)
  end
end

local function stop_holding(row)
  call('ZREM', prefix .. 'leased', row.id)
  call('SREM', holds_key(row.owner), row.id)
  forget_unconfirmed(row)
  note_held(row)
end

-- Every change of a unit's state goes through here, so that it is in the sets that its state says, and in no other.
local function move(row, state)
  local was = row.state
  if was == 'waiting' then
    take_from_lane(row)
  elseif was == 'leased' then
    stop_holding(row)
  end
  if state == 'waiting' then
    put_in_lane(row)
  end
  if row.group then
    write(row, 'state', state)
  else
    set_job_state(row, state)
  end
end

-- Let an agent have a unit until `ends_at`; also when it has it already, or another one had it.
local function hold(row, agent, owner, ends_at)
  if row.state == 'leased' and row.owner ~= owner then
    call('SREM', holds_key(row.owner), row.id)
  end
  if row.state ~= 'leased' then
    move(row, 'leased')
  end
  write(row, 'agent', agent, 'owner', owner, 'ends_at', ends_at)
  call('ZADD', prefix .. 'leased', row.ends_at, row.id)
  call('SADD', holds_key(owner), row.id)
end

local function confirmed(row)
  forget_unconfirmed(row)
  write(row, 'confirmed', 1)
end

local function remember_lease(row, lease_id, agent, extends)
  call('HSET', prefix .. 'leases:' .. row.id, lease_id, extends .. ' ' .. agent)
end

-- One more of what became of an owner's hand-outs: accepted, refused, failed or lost; nil: the owner is only noted.
local function tally(owner, agent, what)
  if what then
    call('HINCRBY', agent_key(owner), what, 1)
  end
  if not call('ZSCORE', prefix .. 'agents', owner) then
    call('ZADD', prefix .. 'agents', text(now), owner)
    call('HSET', agent_key(owner), 'agent', agent, 'first_seen', text(now), 'last_seen', text(now))
  end
end

local function blame(owner)
  call('HINCRBY', agent_key(owner), 'in_a_row', 1)
  call('HSET', agent_key(owner), 'failed_at', text(now))
end
