-- The queue in Redis, 1: what all verbs use. The files of this folder are joined, in the order of their use, to one
-- script that runs as a whole or not at all: nothing else happens in Redis meanwhile. An error in the middle would
-- leave a verb half done, so everything is looked up and checked before the first change.
--
-- ARGV: prefix of all keys, terms (JSON), verb, now, then the verb's own.

local prefix, terms, now = ARGV[1], cjson.decode(ARGV[2]), tonumber(ARGV[4])
local call = redis.call
local verbs = {}
local MOST_EVENTS, MOST_REASON = 1000, 500
-- As many leases are taken back by one verb; the next one goes on.
local MOST_EXPIRED = 1000
-- So many units that an owner may not have are looked at in a lane; the others then wait for other owners.
local MOST_PASSED = 1024
local SEPARATOR = '\31'

local function argument(number)
  return ARGV[4 + number]
end

-- Numbers become texts that give the very same number again; Redis would cut off what is behind the point.
local function text(value)
  if type(value) == 'number' then
    return string.format('%.17g', value)
  end
  return value
end

local function count(value)
  return tonumber(value or 0) or 0
end

local function bare(jid)
  return jid:match('^[^/]*')
end

-- Texts are cut between two characters, not within one.
local function cut(said)
  if #said <= MOST_REASON then
    return said
  end
  local last = MOST_REASON
  while last > 0 and said:byte(last + 1) >= 128 and said:byte(last + 1) < 192 do
    last = last - 1
  end
  return said:sub(1, last)
end

-- A job, or a unit of a replicated one, by its id: field -> text; nil when there is none.
local function read(id)
  local flat = call('HGETALL', prefix .. 'job:' .. id)
  if #flat == 0 then
    return nil
  end
  local row = {}
  for at = 1, #flat, 2 do
    row[flat[at]] = flat[at + 1]
  end
  row.id = id
  return row
end

local function write(row, ...)
  local changes = {...}
  for at = 1, #changes, 2 do
    changes[at + 1] = text(changes[at + 1])
    row[changes[at]] = changes[at + 1]
  end
  call('HSET', prefix .. 'job:' .. row.id, unpack(changes))
end

-- What Python makes a Job of: id, fields and values; a unit brings the order of its job.
local function answer(row)
  local flat = {'id', row.id}
  for name, value in pairs(row) do
    if name ~= 'id' then
      flat[#flat + 1] = name
      flat[#flat + 1] = value
    end
  end
  if row.group then
    flat[#flat + 1] = 'order'
    flat[#flat + 1] = call('HGET', prefix .. 'job:' .. row.group, 'order')
  end
  return flat
end

local function note(row, what, agent, detail)
  local kept = prefix .. 'history:' .. (row.group or row.id)
  local event = {row.id, text(now), what, agent, cut(detail)}
  if call('RPUSH', kept, table.concat(event, SEPARATOR)) > MOST_EVENTS then
    call('LTRIM', kept, -MOST_EVENTS, -1)
  end
end
