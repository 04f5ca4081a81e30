-- The queue in Redis, 11: what is remembered of agents, by their owner. `agent:<owner>` has it, and `agents` says when
-- each was seen last.

local FORGET_AFTER_S = 90 * 86400
local MOST_FORGOTTEN = 100
local SEEN_ARGUMENTS = 8

-- 1 owner
function verbs.may_work()
  local owner = argument(1)
  if call('SISMEMBER', prefix .. 'drained', owner) == 1 or call('SISMEMBER', prefix .. 'drained', '') == 1 then
    return 0
  end
  local said = call('HMGET', agent_key(owner), 'in_a_row', 'failed_at')
  if count(said[1]) == 0 then
    return 1
  end
  local pause = math.min(terms.longest_pause_s, 2 ^ math.min(count(said[1]) - 1, 30))
  local since = now - count(said[2])
  -- A clock that was set back must not lock anybody out.
  return (since >= 0 and since < pause) and 0 or 1
end

local function forget_old()
  local old = call('ZRANGEBYSCORE', prefix .. 'agents', '-inf', text(now - FORGET_AFTER_S), 'LIMIT', 0, MOST_FORGOTTEN)
  for _, owner in ipairs(old) do
    call('ZREM', prefix .. 'agents', owner)
    call('DEL', agent_key(owner), prefix .. 'looked:' .. owner)
  end
end

-- owner, agent, version, platform, memory, processors, time and description (JSON) of each
function verbs.note_agents()
  for at = 1, #ARGV - 4, SEEN_ARGUMENTS do
    local owner, key = argument(at), agent_key(argument(at))
    call('HSET', key, 'agent', argument(at + 1), 'version', argument(at + 2), 'platform', argument(at + 3),
      'memory_mib', argument(at + 4), 'cpus', argument(at + 5), 'last_seen', argument(at + 6),
      'host', argument(at + 7))
    call('HSETNX', key, 'first_seen', argument(at + 6))
    call('ZADD', prefix .. 'agents', argument(at + 6), owner)
  end
  forget_old()
  return {}
end

-- Descriptions of those seen since then, the last first.
-- 1 since, 2 limit
function verbs.hosts()
  local told = {}
  local seen = call('ZREVRANGEBYSCORE', prefix .. 'agents', '+inf', argument(1), 'LIMIT', 0, tonumber(argument(2)))
  for _, owner in ipairs(seen) do
    local said = call('HGET', agent_key(owner), 'host')
    if said then
      told[#told + 1] = said
    end
  end
  return told
end

-- 1 limit
function verbs.agents()
  local told, all = {}, call('SISMEMBER', prefix .. 'drained', '')
  for _, owner in ipairs(call('ZREVRANGE', prefix .. 'agents', 0, tonumber(argument(1)) - 1)) do
    local flat = call('HGETALL', agent_key(owner))
    local more = {'owner', owner, 'job_id', call('SRANDMEMBER', holds_key(owner)) or '',
      'drained', text(math.max(all, call('SISMEMBER', prefix .. 'drained', owner)))}
    for _, value in ipairs(more) do
      flat[#flat + 1] = value
    end
    told[#told + 1] = flat
  end
  return told
end

-- 1 owner, 2 whether on
function verbs.set_drained()
  call(argument(2) == '1' and 'SADD' or 'SREM', prefix .. 'drained', argument(1))
  return {}
end

function verbs.drained()
  return call('SMEMBERS', prefix .. 'drained')
end
