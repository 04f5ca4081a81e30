-- The queue in Redis, 4: jobs that are done several times, because volunteers are not trusted. `candidates:<job>` has
-- the valid results so far: unit, agent, owner and class of agreement; `had:<job>` says which unit each owner had, `*`
-- when it was more than one.

local function note_holder(row, owner)
  if row.group and call('HSETNX', prefix .. 'had:' .. row.group, owner, row.id) == 0
    and call('HGET', prefix .. 'had:' .. row.group, owner) ~= row.id then
    call('HSET', prefix .. 'had:' .. row.group, owner, '*')
  end
end

local function had_another(group, owner, unit)
  local had = group and call('HGET', prefix .. 'had:' .. group, owner)
  return had and had ~= unit
end

local function add_unit(group, number)
  local id = group.id .. '.' .. number
  local place = call('INCR', prefix .. 'places')
  local row = {id = id}
  write(row, 'group', group.id, 'priority', group.priority, 'requirement', group.requirement,
    'submitter', group.submitter, 'limit', group.limit, 'max', group.max, 'place', place,
    'kind', 1, 'submitted_at', now)
  move(row, 'waiting')
end

-- Ids of jobs that come with the same call and are not there yet.
local reserved = {}

-- Another job may have been given the very name of a unit, or will be given it.
local function is_taken(id)
  return reserved[id] or call('EXISTS', prefix .. 'job:' .. id) == 1 or call('HEXISTS', prefix .. 'staged_ids', id) == 1
end

local function add_units(group, wanted)
  local number = count(group.units)
  for _ = 1, wanted do
    number = number + 1
    while is_taken(group.id .. '.' .. number) do
      number = number + 1
    end
    add_unit(group, number)
  end
  write(group, 'units', number)
end

-- All units of a job.
local function units_of(group)
  local found = {}
  for number = 1, count(group.units) do
    local unit = read(group.id .. '.' .. number)
    if unit and unit.group == group.id then
      found[#found + 1] = unit
    end
  end
  return found
end

local function candidates(group_id)
  local found = {}
  for _, line in ipairs(call('LRANGE', prefix .. 'candidates:' .. group_id, 0, -1)) do
    local unit, agent, owner, agreement = line:match('^([^\31]*)\31([^\31]*)\31([^\31]*)\31(.*)$')
    found[#found + 1] = {unit = unit, agent = agent, owner = owner, agreement = agreement}
  end
  return found
end

-- How many results there are of each class: the sizes in falling order.
local function class_sizes(found)
  local sizes, order = {}, {}
  for _, candidate in ipairs(found) do
    sizes[candidate.agreement] = (sizes[candidate.agreement] or 0) + 1
  end
  for _, size in pairs(sizes) do
    order[#order + 1] = size
  end
  table.sort(order, function(one, other) return one > other end)
  return order, sizes
end

local function is_open(unit)
  return unit.state == 'waiting' or unit.state == 'leased'
end

-- Have nobody do the units that are left.
local function drop_units(group, reason)
  for _, unit in ipairs(units_of(group)) do
    if is_open(unit) then
      move(unit, 'dead')
      write(unit, 'cancelled', 1, 'finished_at', now, 'reason', reason)
    end
  end
end

local function give_job_up(group, sizes, units)
  local said = 'classes ' .. table.concat(sizes, '+')
  if #sizes == 0 then
    local last = ''
    for _, unit in ipairs(units) do
      last = unit.state == 'dead' and unit.reason or last
    end
    said = 'no valid result; the last: ' .. last
  end
  local reason = 'no quorum: ' .. group.quorum .. ' of ' .. #units .. ' needed, ' .. said
  drop_units(group, 'the job was given up')
  set_job_state(group, 'dead')
  write(group, 'finished_at', now, 'reason', cut(reason))
  note(group, 'given up', '', reason)
end

-- Bring a job to what its units are now: its state, more units, or its end.
local function settle(group_id)
  local group = read(group_id)
  if group.cancelled == '1' or group.state == 'done' then
    return
  end
  local units, open, leased = units_of(group), 0, false
  for _, unit in ipairs(units) do
    open = open + (is_open(unit) and 1 or 0)
    leased = leased or unit.state == 'leased'
  end
  local sizes = class_sizes(candidates(group_id))
  local best, quorum = sizes[1] or 0, count(group.quorum)
  local room = math.max(0, terms.max_copies - #units)
  if best + open + room < quorum then
    if group.state ~= 'dead' then
      give_job_up(group, sizes, units)
    end
    return
  end
  if open == 0 then
    add_units(group, math.min(quorum - best, room))
    note(group, 'more copies made', '', best .. ' of ' .. quorum .. ' agree')
  end
  local state = leased and 'leased' or 'waiting'
  if group.state ~= state then
    set_job_state(group, state)
    write(group, 'finished_at', 0, 'reason', '')
  end
end

-- After a step of a unit that leaves it to be done, or being done.
local function follow(row)
  if row.group then
    settle(row.group)
  end
end
