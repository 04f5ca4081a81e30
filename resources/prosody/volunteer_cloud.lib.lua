-- What a guest's user name says, and who is shut out; for the modules beside this file.
--
--   volunteer_cloud_revoked = "/path/revoked.txt"    one owner or account a line, then a space and whatever;
--                                                    read again when it changes; missing: nobody is shut out
local lfs = require "lfs";

local path = module:get_option_string("volunteer_cloud_revoked");
local names, stamp, looked_at, complained = {}, nil, 0, false;

local lib = {};

-- Until when an account is good (seconds since the epoch) and whose it is; nil: it is no guest's.
function lib.guest(username)
	local expires_at, owner, word = username:match("^agent%-(%d+)%-(%x+)%-(%x+)$");
	if not word then
		expires_at, word = username:match("^agent%-(%d+)%-(%x+)$");
	end
	if not word or #word ~= 16 or #expires_at > 12 or (owner and #owner ~= 16) then
		return nil;
	end
	return tonumber(expires_at), owner;
end

local function read()
	local about = lfs.attributes(path);
	local seen = about and table.concat({ about.ino, about.modification, about.size }, " ");
	-- A second change within the second of the first may leave the stamp as it is, so a young file is read again.
	if seen == stamp and not (about and about.modification > os.time() - 3) then
		return;
	end
	local found = {};
	if about then
		local file, problem = io.open(path);
		if not file then
			if not complained then
				module:log("error", "Who is shut out cannot be read: %s", problem);
				complained = true;
			end
			return;
		end
		for line in file:lines() do
			local name = line:match("^(%S+)");
			if name then
				found[name] = true;
			end
		end
		file:close();
	end
	names, stamp, complained = found, seen, false;
end

-- Whether an account or its owner is shut out; the list is at most a second old.
function lib.is_revoked(username)
	if not path then
		return false;
	end
	if looked_at ~= os.time() then
		looked_at = os.time();
		read();
	end
	local _, owner = lib.guest(username);
	return names[username] or (owner and names[owner]) or false;
end

return lib;
