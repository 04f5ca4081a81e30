-- The queue in Redis, last: the verb that was asked for.

local LAYOUT = 1
local layout = tonumber(call('GET', prefix .. 'layout') or LAYOUT)
if layout > LAYOUT then
  return redis.error_reply('NEWER its jobs were written by a newer version (' .. layout .. ')')
end
return verbs[ARGV[3]]()
