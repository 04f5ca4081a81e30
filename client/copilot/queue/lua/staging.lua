-- The queue in Redis, 8: very many jobs at once. They are brought in parts, committed in one step, and put into the
-- queue in parts, so that nobody waits long. `staged:<token>` has those of one call, `staged_ids` their ids, `staging`
-- the calls by the time of their last part, `committed` the calls that count. Whoever committed and ended is finished
-- by the managers; what was never committed is forgotten.

local FORGET_STAGED_S = 3600
local MOST_MOVED = 500

local function staged_key(token)
  return prefix .. 'staged:' .. token
end

-- The next jobs of a call, taken off; none when the call is at its end, which is then forgotten.
local function next_staged(token)
  local packed = call('LPOP', staged_key(token), MOST_MOVED)
  if not packed then
    call('ZREM', prefix .. 'staging', token)
    call('LREM', prefix .. 'committed', 1, token)
    return {}
  end
  local orders = {}
  for at, order in ipairs(packed) do
    orders[at] = cmsgpack.unpack(order)
    call('HDEL', prefix .. 'staged_ids', orders[at].id)
  end
  return orders
end

-- 1 token, then JOB_ARGUMENTS of each job
function verbs.stage()
  local token, orders = argument(1), read_orders(2)
  if #orders > 0 and call('HGET', prefix .. 'staged_ids', orders[1].id) == token then
    return {}
  end
  local taken = taken_id(orders)
  if taken then
    return {taken}
  end
  for _, order in ipairs(orders) do
    order.at = now
    call('RPUSH', staged_key(token), cmsgpack.pack(order))
    call('HSET', prefix .. 'staged_ids', order.id, token)
  end
  call('ZADD', prefix .. 'staging', text(now), token)
  return {}
end

-- Whether they count now. Not if some were forgotten meanwhile: then none do.
-- 1 token, 2 number of jobs
function verbs.commit()
  if call('LPOS', prefix .. 'committed', argument(1)) then
    return 1
  end
  if call('LLEN', staged_key(argument(1))) ~= tonumber(argument(2)) then
    return 0
  end
  call('RPUSH', prefix .. 'committed', argument(1))
  return 1
end

local function publish(token)
  local orders, later = next_staged(token), now
  add_jobs(orders, token)
  now = later
  return #orders > 0 and 1 or 0
end

-- Whether there may be more.
-- 1 token
function verbs.publish()
  return publish(argument(1))
end

-- Also for a call whose first part was refused.
-- 1 token
function verbs.unstage()
  return #next_staged(argument(1)) > 0 and 1 or 0
end

function verbs.expire()
  local committed = call('LINDEX', prefix .. 'committed', 0)
  if committed then
    publish(committed)
  else
    local old = call('ZRANGEBYSCORE', prefix .. 'staging', '-inf', text(now - FORGET_STAGED_S), 'LIMIT', 0, 1)
    if old[1] then
      next_staged(old[1])
    end
  end
  return expire()
end
