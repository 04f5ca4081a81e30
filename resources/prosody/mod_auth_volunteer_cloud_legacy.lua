-- Accounts of agents of the original Co-Pilot, and the walls around them: they know the managers, the room for
-- heartbeats, and nobody else. In the room they talk; they make no others, and invite, govern and shut out nobody. The
-- accounts stand in a file of lines `name = "password"`, read anew when it changes, so that one that is added or removed
-- counts at once.
--
--   authentication = "volunteer_cloud_legacy"
--   volunteer_cloud_legacy_file = "/path/legacy.toml"
--   volunteer_cloud_legacy_managers = { "jm@localhost" }       bare JIDs
--   volunteer_cloud_legacy_room = "pilots-lounge@conference.legacy.localhost"
local lfs = require "lfs";
local jid_bare = require "util.jid".bare;
local new_sasl = require "util.sasl".new;
local doors = module:require "volunteer_cloud_doors";

local host = module.host;
local path = module:get_option_string("volunteer_cloud_legacy_file");
local managers = module:get_option_set("volunteer_cloud_legacy_managers", {});
local room = module:get_option_string("volunteer_cloud_legacy_room", "");

local accounts, read_at = {}, nil;

-- The site replaces the file as a whole, so a changed one has another number, size or time.
local function stamp()
	local found = lfs.attributes(path);
	return found and table.concat({ found.ino, found.size, found.modification }, ":") or "none";
end

local function password_of(wanted)
	local now = stamp();
	if now ~= read_at then
		accounts, read_at = {}, now;
		local file = io.open(path, "r");
		for line in file and file:lines() or function () end do
			local name, password = line:match('^([%w][%w._-]*) = "([%w]+)"$');
			if name and #password >= 16 then
				accounts[name:lower()] = password;
			end
		end
		if file then
			file:close();
		end
	end
	return accounts[wanted];
end

local provider = doors.provider(password_of);

-- The original takes the first of PLAIN and DIGEST-MD5 that it sees, and this server has no DIGEST-MD5.
function provider.get_sasl_handler()
	return new_sasl(host, {
		plain_test = function (_, username, password)
			return provider.test_password(username, password), true;
		end
	});
end

module:provides("auth", provider);

-- The first in a room owns it, and would govern it by an iq; a message to the room that is not for all invites others.
local function is_talk(stanza, to)
	if stanza.name == "iq" then
		return stanza.attr.type ~= "set";
	end
	return stanza.name == "presence" or stanza.attr.type == "groupchat" or jid_bare(to) ~= to;
end

local function is_allowed(session, stanza)
	local to = stanza.attr.to;
	local bare = to and jid_bare(to);
	if not to or bare == session.username .. "@" .. host or to == host or managers:contains(bare) then
		return true;
	end
	return bare == room and is_talk(stanza, to);
end

local function over(session)
	return not password_of(session.username) and "the account was removed" or nil;
end

doors.guard(function () return true; end, over, is_allowed);
