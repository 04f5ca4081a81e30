-- The queue in Redis, 10: forgetting jobs that ended long ago. What they left on the disk is not the queue's.

-- So many ended jobs are looked at by one verb.
local MOST_EXAMINED = 2000

local function forget(row)
  for _, unit in ipairs(units_of(row)) do
    -- An agent may have claimed it after the job's end.
    if is_open(unit) then
      move(unit, 'dead')
    end
    call('DEL', prefix .. 'job:' .. unit.id, prefix .. 'leases:' .. unit.id)
  end
  leave_requirement(row.requirement)
  for _, kind in ipairs({'job:', 'leases:', 'history:', 'candidates:', 'had:'}) do
    call('DEL', prefix .. kind .. row.id)
  end
  call('ZREM', prefix .. 'state:' .. row.state, row.id)
  call('ZREM', prefix .. 'ids', row.id)
end

-- Part of the ended jobs behind a place. First how many were forgotten, then how far was looked, empty when to the end.
-- 1 done or dead, 2 place, 3 forgotten are those that ended before, 4 limit
function verbs.prune()
  local before, limit, forgotten = tonumber(argument(3)), tonumber(argument(4)), 0
  local part = call('ZRANGEBYSCORE', prefix .. 'state:' .. argument(1), '(' .. argument(2), '+inf', 'WITHSCORES',
    'LIMIT', 0, MOST_EXAMINED)
  for at = 1, #part, 2 do
    if count(call('HGET', prefix .. 'job:' .. part[at], 'finished_at')) < before then
      forget(read(part[at]))
      forgotten = forgotten + 1
    end
    if forgotten == limit then
      return {forgotten, part[at + 1]}
    end
  end
  return {forgotten, #part == 2 * MOST_EXAMINED and part[#part] or ''}
end
