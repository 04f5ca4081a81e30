-- The queue in Redis, 2: where jobs wait. A lane holds the waiting units of one priority, requirement, kind and
-- submitter, in the order of submission; handing out walks the lanes that are not empty, never the units.
-- Kinds: 0, not replicated; 1, units of replicated jobs that never went out; 2, such units that came back.

local FIRST_COST_S, LEAST_COST_S = 60, 0.001
local LANES_AT_ONCE = 100

local function lane_of(row)
  return table.concat({row.priority, row.requirement, row.kind, row.submitter}, ' ')
end

local function weight_of(submitter)
  return tonumber(terms.shares[submitter] or 1)
end

local function virtual_time(submitter)
  return count(call('HGET', prefix .. 'virtual', submitter))
end

-- Who had nothing waiting has saved nothing up in that time.
local function begin_again(submitter)
  local least
  for _, other in ipairs(call('HKEYS', prefix .. 'waits')) do
    local theirs = virtual_time(other)
    if other ~= submitter and (not least or theirs < least) then
      least = theirs
    end
  end
  if least and least > virtual_time(submitter) then
    call('HSET', prefix .. 'virtual', submitter, text(least))
  end
end

local function put_in_lane(row)
  local lane = lane_of(row)
  if call('HINCRBY', prefix .. 'waits', row.submitter, 1) == 1 then
    begin_again(row.submitter)
  end
  call('ZADD', prefix .. 'lane:' .. lane, row.place, row.id)
  call('ZADD', prefix .. 'lanes', row.priority, lane)
end

local function take_from_lane(row)
  local lane = lane_of(row)
  call('ZREM', prefix .. 'lane:' .. lane, row.id)
  if call('EXISTS', prefix .. 'lane:' .. lane) == 0 then
    call('ZREM', prefix .. 'lanes', lane)
  end
  if call('HINCRBY', prefix .. 'waits', row.submitter, -1) <= 0 then
    call('HDEL', prefix .. 'waits', row.submitter)
  end
end

-- Who gets a job pays for it: the mean time that their hand-outs lasted, by their weight. Hand-outs that end at once
-- must count too, or their submitter would be served for ever.
local function charge(submitter)
  local ended, mean = count(call('HGET', prefix .. 'ended', submitter)), FIRST_COST_S
  if ended > 0 then
    mean = math.max(LEAST_COST_S, count(call('HGET', prefix .. 'held', submitter)) / ended)
  end
  local paid = virtual_time(submitter) + mean / weight_of(submitter)
  call('HSET', prefix .. 'virtual', submitter, text(paid))
end

local function note_held(row)
  call('HINCRBY', prefix .. 'ended', row.submitter, 1)
  local held = count(call('HGET', prefix .. 'held', row.submitter)) + math.max(0, now - count(row.leased_at))
  call('HSET', prefix .. 'held', row.submitter, text(held))
end

-- Requirements are met or not in Python; each text has a number, counted from 1, and 0 is none. A number whose jobs are
-- all forgotten is free, its text empty; when it is given anew the epoch is another, and all judge anew.
local TEXTS, NUMBERS, USES = prefix .. 'requirement_texts', prefix .. 'requirements', prefix .. 'requirement_uses'
local FREE, EPOCH = prefix .. 'requirement_free', prefix .. 'requirement_epoch'

local function fresh_number(said)
  local free = call('SPOP', FREE)
  if free and call('LINDEX', TEXTS, tonumber(free) - 1) == '' then
    call('LSET', TEXTS, tonumber(free) - 1, said)
    call('INCR', EPOCH)
    return tonumber(free)
  end
  return call('RPUSH', TEXTS, said)
end

-- The number for one job more.
local function use_requirement(said)
  if said == '' then
    return 0
  end
  local number = call('HGET', NUMBERS, said)
  if not number then
    number = text(fresh_number(said))
    call('HSET', NUMBERS, said, number)
    call('HSET', USES, number, 1)
  elseif call('HEXISTS', USES, number) == 1 then
    -- Those of a version before are not counted, and stay.
    call('HINCRBY', USES, number, 1)
  end
  return tonumber(number)
end

-- A job less has this number.
local function leave_requirement(number)
  if call('HEXISTS', USES, number) == 0 or call('HINCRBY', USES, number, -1) > 0 then
    return
  end
  call('HDEL', USES, number)
  call('HDEL', NUMBERS, call('LINDEX', TEXTS, tonumber(number) - 1) or '')
  call('LSET', TEXTS, tonumber(number) - 1, '')
  call('SADD', FREE, number)
end

local function epoch()
  return call('GET', EPOCH) or '0'
end

-- `judged`: so many requirements the asker has judged; `met`: the numbers of those that its host meets, with commas;
-- `last`: the epoch and the text of the last one. When they are others here, numbers were given anew, or a copy of Redis
-- has taken over that did not have them all: then none is judged.
local function read_met(judged, met, last)
  local found = {['0'] = true, judged = tonumber(judged)}
  if found.judged > 0 and epoch() .. ' ' .. (call('LINDEX', TEXTS, found.judged - 1) or '') ~= last then
    return {['0'] = true, judged = 0}
  end
  for number in met:gmatch('%d+') do
    found[number] = true
  end
  return found
end

-- Show `use` the lanes for a host as {name, priority, kind, submitter}, highest priority first, until it has enough: there
-- may be a priority for each job. Answers nil; or, when the asker must judge more requirements first, what tells it which.
local function each_lane(met, use)
  for from = 0, math.huge, LANES_AT_ONCE do
    local names = call('ZREVRANGE', prefix .. 'lanes', from, from + LANES_AT_ONCE - 1)
    for _, name in ipairs(names) do
      local priority, requirement, kind, submitter = name:match('^(%S+) (%S+) (%S+) (.*)$')
      if tonumber(requirement) > met.judged then
        return {'judge', met.judged, epoch(), unpack(call('LRANGE', TEXTS, met.judged, met.judged + 999))}
      end
      if met[requirement] and use({name = name, priority = tonumber(priority), kind = kind, submitter = submitter}) then
        return nil
      end
    end
    if #names < LANES_AT_ONCE then
      return nil
    end
  end
end
