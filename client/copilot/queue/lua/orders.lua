-- The queue in Redis, 7: what operators do. A token names one call of a verb: Python asks again with the same one when
-- the connection broke and it cannot know whether Redis had understood.

local JOB_ARGUMENTS = 9

local function order_at(at)
  return {
    id = argument(at), order = argument(at + 1), priority = argument(at + 2), submitter = argument(at + 3),
    requirement = argument(at + 4), limit = argument(at + 5), max = argument(at + 6),
    copies = tonumber(argument(at + 7)), quorum = tonumber(argument(at + 8)),
  }
end

local function read_orders(first)
  local orders = {}
  for at = first, #ARGV - 4, JOB_ARGUMENTS do
    orders[#orders + 1] = order_at(at)
  end
  return orders
end

-- The id that is taken already; nil when there is none.
local function taken_id(orders)
  local ids = {}
  for _, order in ipairs(orders) do
    if ids[order.id] or call('EXISTS', prefix .. 'job:' .. order.id) == 1 then
      return order.id
    end
    if call('HEXISTS', prefix .. 'staged_ids', order.id) == 1 then
      return order.id
    end
    ids[order.id] = true
  end
end

local function add_job(order, token)
  local row = {id = order.id}
  write(row, 'order', order.order, 'priority', order.priority, 'submitter', order.submitter,
    'requirement', use_requirement(order.requirement), 'limit', order.limit, 'max', order.max,
    'place', call('INCR', prefix .. 'places'), 'submitted_at', now, 'token', token, 'kind', 0)
  call('ZADD', prefix .. 'ids', 0, row.id)
  note(row, 'submitted', '', order.submitter)
  if order.quorum > 1 then
    write(row, 'quorum', order.quorum, 'copies', order.copies)
    set_job_state(row, 'waiting')
    add_units(row, order.copies)
  else
    move(row, 'waiting')
  end
  return row
end

local function add_jobs(orders, token)
  for _, order in ipairs(orders) do
    reserved[order.id] = true
  end
  for _, order in ipairs(orders) do
    now = order.at or now
    add_job(order, token)
  end
end

-- 1 token, then JOB_ARGUMENTS of each job
function verbs.submit()
  local token, orders = argument(1), read_orders(2)
  if #orders == 0 or call('HGET', prefix .. 'job:' .. orders[1].id, 'token') == token then
    return {}
  end
  local taken = taken_id(orders)
  if taken then
    return {taken}
  end
  add_jobs(orders, token)
  return {}
end

-- 1 job, 2 token
function verbs.cancel()
  local row = read(argument(1))
  if row and row.token == argument(2) then
    return 1
  end
  if not row or row.group or row.state == 'done' or row.cancelled == '1' then
    return 0
  end
  if row.quorum then
    drop_units(row, 'cancelled')
    row = read(row.id)
    set_job_state(row, 'dead')
  else
    move(row, 'dead')
  end
  write(row, 'cancelled', 1, 'reason', 'cancelled', 'finished_at', now, 'token', argument(2))
  note(row, 'cancelled', '', '')
  return 1
end

-- Forget all that became of a replicated job; what was made beyond its copies is no more.
local function start_again(group)
  call('DEL', prefix .. 'candidates:' .. group.id, prefix .. 'had:' .. group.id)
  local last
  for number, unit in ipairs(units_of(group)) do
    if number > count(group.copies) then
      move(unit, 'dead')
      call('DEL', prefix .. 'job:' .. unit.id, prefix .. 'leases:' .. unit.id)
    else
      last = unit.id:match('%.(%d+)$')
      -- Somebody may have passed it already, so it stands with those that came back.
      move(unit, 'dead')
      write(unit, 'cancelled', 0, 'attempts', 0, 'reason', '', 'finished_at', 0, 'kind', 2)
      move(unit, 'waiting')
    end
  end
  write(group, 'units', last)
end

-- 1 job, 2 token
function verbs.retry()
  local row = read(argument(1))
  if row and row.token == argument(2) then
    return 1
  end
  if not row or row.group or row.state ~= 'dead' or row.broken then
    return 0
  end
  local reason = row.reason
  write(row, 'cancelled', 0, 'attempts', 0, 'reason', '', 'finished_at', 0, 'token', argument(2))
  if row.quorum then
    set_job_state(row, 'waiting')
    start_again(row)
  else
    move(row, 'waiting')
  end
  note(row, 'put back by the operator', '', reason)
  return 1
end
