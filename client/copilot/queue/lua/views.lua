-- The queue in Redis, 9: what can be read of it.

local STATES = {'waiting', 'leased', 'done', 'dead'}
-- So many jobs are looked at by one verb.
local MOST_LOOKED_AT = 2000

-- 1 whether any host, 2 to 4: see read_met
function verbs.has_work()
  if argument(1) == '1' then
    return call('EXISTS', prefix .. 'lanes')
  end
  local found = 0
  local unknown = each_lane(read_met(argument(2), argument(3), argument(4)), function()
    found = 1
    return true
  end)
  return unknown or found
end

-- Of at most so many lanes: the text of their requirement, and how many units wait there.
-- 1 limit
function verbs.waiting()
  local told = {}
  for _, name in ipairs(call('ZREVRANGE', prefix .. 'lanes', 0, tonumber(argument(1)) - 1)) do
    local number = tonumber(name:match('^%S+ (%S+) '))
    told[#told + 1] = number > 0 and call('LINDEX', TEXTS, number - 1) or ''
    told[#told + 1] = call('ZCARD', prefix .. 'lane:' .. name)
  end
  return told
end

-- 1 job
function verbs.get()
  local row = read(argument(1))
  return row and answer(row) or {}
end

-- 1 beginning of an id, 2 limit
function verbs.find()
  local first = '[' .. argument(1)
  return call('ZRANGEBYLEX', prefix .. 'ids', first, first .. '\255', 'LIMIT', 0, tonumber(argument(2)))
end

-- 1 job
function verbs.leases()
  return call('HVALS', prefix .. 'leases:' .. argument(1))
end

-- 1 job, or a unit of it
function verbs.candidates()
  local group = call('HGET', prefix .. 'job:' .. argument(1), 'group') or argument(1)
  return call('LRANGE', prefix .. 'candidates:' .. group, 0, -1)
end

-- 1 job
function verbs.history()
  local group = call('HGET', prefix .. 'job:' .. argument(1), 'group') or argument(1)
  return call('LRANGE', prefix .. 'history:' .. group, 0, -1)
end

function verbs.counts()
  local numbers = {}
  for at, state in ipairs(STATES) do
    numbers[at] = call('ZCARD', prefix .. 'state:' .. state)
  end
  return numbers
end

-- The place of a job; 0 when there is none.
-- 1 job
function verbs.place()
  return call('HGET', prefix .. 'job:' .. argument(1), 'place') or '0'
end

-- A part of the jobs behind a place. First how far was looked, empty when to the end; then the jobs.
-- 1 state or empty, 2 place, 3 limit, 4 submitter or empty, 5 whether the newest come first, and behind is before
function verbs.jobs()
  local limit, submitter, newest = tonumber(argument(3)), argument(4), argument(5) == '1'
  local range, last = newest and 'ZREVRANGEBYSCORE' or 'ZRANGEBYSCORE', newest and '-inf' or '+inf'
  local most = submitter == '' and limit or MOST_LOOKED_AT
  local found = {}
  for _, state in ipairs(argument(1) == '' and STATES or {argument(1)}) do
    local part = call(range, prefix .. 'state:' .. state, '(' .. argument(2), last, 'WITHSCORES', 'LIMIT', 0, most)
    for at = 1, #part, 2 do
      found[#found + 1] = {id = part[at], place = tonumber(part[at + 1])}
    end
  end
  table.sort(found, function(one, other) return one.place ~= other.place and (one.place > other.place) == newest end)
  local told = {''}
  for at, job in ipairs(found) do
    if at > most or #told > limit then
      told[1] = text(found[at - 1].place)
      break
    end
    local row = read(job.id)
    if submitter == '' or row.submitter == submitter then
      told[#told + 1] = answer(row)
    end
    if at == most then
      told[1] = text(job.place)
    end
  end
  return told
end
