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

-- Requirements are met or not in Python; each text has a number, counted from 1, and 0 is none.
local function requirement_number(said)
  if said == '' then
    return 0
  end
  local known = call('HGET', prefix .. 'requirements', said)
  if known then
    return tonumber(known)
  end
  local fresh = call('RPUSH', prefix .. 'requirement_texts', said)
  call('HSET', prefix .. 'requirements', said, fresh)
  return fresh
end

-- `judged`: so many requirements the asker has judged; `met`: the numbers of those that its host meets, with commas;
-- `last`: the text of the last one. When it is another here, a copy of Redis has taken over that did not have them all,
-- and numbers were given anew: then none is judged.
local function read_met(judged, met, last)
  local found = {['0'] = true, judged = tonumber(judged)}
  if found.judged > 0 and call('LINDEX', prefix .. 'requirement_texts', found.judged - 1) ~= last then
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
        return {'judge', met.judged, unpack(call('LRANGE', prefix .. 'requirement_texts', met.judged, met.judged + 999))}
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
