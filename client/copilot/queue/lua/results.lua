-- The queue in Redis, 6: results.

local function finish(row, agent, detail)
  write(row, 'finished_at', now, 'agent', agent, 'reason', '', 'detail', detail)
  note(row, 'done', agent, detail)
end

local function credit(owner, agent)
  tally(owner, agent, 'accepted')
  call('HDEL', agent_key(owner), 'in_a_row', 'failed_at')
end

local function refuse_second(row, agent, taken)
  note(row, 'result not needed', agent, taken)
  return taken
end

-- The same agent says the same again: it has not heard that its result was accepted.
local function is_repeated(row, agent, detail)
  return row.state == 'done' and detail ~= '' and row.agent == agent and row.detail == cut(detail)
end

-- The results are enough: those who agree are credited, those who differ are blamed.
local function agree(group, found, mine, equal)
  drop_units(group, 'others did it')
  set_job_state(group, 'done')
  write(group, 'winner', mine.unit)
  finish(group, mine.agent, equal .. ' of ' .. #found .. ' results agree')
  for _, candidate in ipairs(found) do
    if candidate.agreement == mine.agreement then
      credit(candidate.owner, candidate.agent)
    else
      tally(candidate.owner, candidate.agent, 'refused')
      blame(candidate.owner)
    end
  end
  return 'accepted'
end

local function keep(row, group, found, detail)
  local mine = found[#found]
  local line = table.concat({row.id, mine.agent, mine.owner, mine.agreement}, SEPARATOR)
  call('RPUSH', prefix .. 'candidates:' .. group.id, line)
  note_holder(row, mine.owner)
  move(row, 'done')
  write(row, 'finished_at', now, 'agent', mine.agent, 'owner', mine.owner, 'reason', '', 'detail', cut(detail))
  note(row, 'result kept', mine.agent, detail)
  local _, sizes = class_sizes(found)
  if sizes[mine.agreement] >= count(group.quorum) then
    return agree(group, found, mine, sizes[mine.agreement])
  end
  settle(group.id)
  return 'kept'
end

local function accept_unit(row, agent, owner, detail, agreement, seen)
  local group, found = read(row.group), candidates(row.group)
  if is_repeated(row, agent, detail) then
    return group.winner == row.id and 'accepted' or 'kept'
  end
  if group.cancelled == '1' or row.cancelled == '1' or group.state == 'done' then
    local beaten = group.state == 'done' and group.cancelled ~= '1'
    return refuse_second(row, agent, beaten and 'second' or 'cancelled')
  end
  for _, candidate in ipairs(found) do
    if candidate.owner == owner then
      return refuse_second(row, agent, 'second')
    end
  end
  if row.state == 'done' then
    return refuse_second(row, agent, 'second')
  end
  if #found > seen then
    return 'stale'
  end
  found[#found + 1] = {unit = row.id, agent = agent, owner = owner, agreement = agreement}
  return keep(row, group, found, detail)
end

-- 1 job, 2 agent, 3 owner, 4 detail, 5 agreement, 6 candidates seen
function verbs.accept()
  local row, agent, owner, detail = read(argument(1)), argument(2), argument(3), argument(4)
  if not row then
    return 'unknown'
  end
  if row.group then
    return accept_unit(row, agent, owner, detail, argument(5), tonumber(argument(6)))
  end
  if row.quorum and row.state ~= 'done' and row.cancelled ~= '1' then
    return 'unknown'
  end
  if row.cancelled == '1' then
    return refuse_second(row, agent, 'cancelled')
  end
  if is_repeated(row, agent, detail) then
    return 'accepted'
  end
  if row.state == 'done' then
    return refuse_second(row, agent, 'second')
  end
  move(row, 'done')
  finish(row, agent, cut(detail))
  credit(owner, agent)
  return 'accepted'
end

-- 1 job, 2 agent, 3 owner, 4 reason
function verbs.refuse()
  local row, agent, owner, reason = read(argument(1)), argument(2), argument(3), argument(4)
  if not row then
    return {}
  end
  tally(owner, agent, 'refused')
  blame(owner)
  if row.state == 'leased' and not row.quorum and bare(row.agent) == bare(agent) then
    give_back(row, agent, 'output refused: ' .. reason)
  else
    note(row, 'late output refused', agent, reason)
  end
  return {}
end
