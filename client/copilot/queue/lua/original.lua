-- The queue in Redis, 12: jobs that the original's copilot-job-submit put into its own list.

local LONGEST_DESCRIPTION = 256 * 1024
-- Descriptions of one look, all in all; the rest comes with the next one.
local MOST_READ = 4 * 1024 * 1024

local function description_of(id)
  local key = 'job:' .. id .. ':description'
  local length = redis.pcall('STRLEN', key)
  if type(length) ~= 'number' or length == 0 or length > LONGEST_DESCRIPTION then
    return false
  end
  return call('GET', key)
end

-- The oldest jobs of the list, and their descriptions. copilot-job-submit pushes at the head, so they are at the end.
-- 1 list, 2 limit
function verbs.look_at_original()
  local ids = redis.pcall('LRANGE', argument(1), -tonumber(argument(2)), -1)
  if ids.err then
    return {'wrong', ids.err}
  end
  local told, length = {'jobs'}, 0
  for at = #ids, 1, -1 do
    local said = description_of(ids[at])
    length = length + #(said or '')
    if length > MOST_READ then
      break
    end
    told[#told + 1] = ids[at]
    told[#told + 1] = said
  end
  return told
end

local function give_up_unread(row, reason)
  move(row, 'dead')
  write(row, 'broken', 1, 'finished_at', now, 'reason', cut(reason))
  note(row, 'given up', '', reason)
end

local function take(order, reason)
  local row = read(order.id)
  if row and (row.state ~= 'dead' or row.quorum) then
    -- It has never left the queue, so there is no second one to make.
    note(row, 'submitted again', '', order.submitter)
    return
  end
  if row then
    -- Somebody mended its description, or wants it once more.
    write(row, 'order', order.order, 'cancelled', 0, 'attempts', 0, 'reason', '', 'finished_at', 0)
    call('HDEL', prefix .. 'job:' .. row.id, 'broken')
    move(row, 'waiting')
    note(row, 'submitted again', '', order.submitter)
  else
    row = add_job(order, '')
  end
  if reason ~= '' then
    give_up_unread(row, reason)
  end
end

-- Move jobs from the list to the queue; what somebody else took meanwhile is left to him.
-- 1 list, then of each job: its word in the list, why it cannot be done, and as for submit
function verbs.take_original()
  local taken = 0
  for at = 2, #ARGV - 4, JOB_ARGUMENTS + 2 do
    -- One that a submitter is just bringing stays in the list until it is known what became of that.
    local is_staged = call('HEXISTS', prefix .. 'staged_ids', argument(at + 2)) == 1
    if not is_staged and call('LREM', argument(1), -1, argument(at)) == 1 then
      take(order_at(at + 2), argument(at + 1))
      taken = taken + 1
    end
  end
  return taken
end
