-- Guests are untrusted and know nobody but the managers: whatever a guest sends to anybody else is refused. Its session
-- ends when its account does, or a few seconds after it was shut out. A guest's account has one session: a newer one
-- takes the place of the older, since a guest that was cut off must not wait for its own ghost; two that fight for one
-- account do so every few seconds, not all the time.
local jid_bare = require "util.jid".bare;
local jid_split = require "util.jid".split;
local guests = module:require "volunteer_cloud";
local doors = module:require "volunteer_cloud_doors";

-- How often sessions are looked at, and how long a session that took another's place is safe; in seconds.
local LOOK = 3;
local SAFE = 5;

local accounts = module:get_option("volunteer_cloud_accounts", {});
-- Accounts of the configuration that guests have no business with.
local hidden = module:get_option_set("volunteer_cloud_hidden", {});

local function is_guest(session)
	return not accounts[session.username];
end

-- Why a guest's session has to end now; nil: it may go on.
local function over(session)
	if (guests.guest(session.username) or 0) <= os.time() then
		return "the account has expired";
	end
	return guests.is_revoked(session.username) and "the account was revoked" or nil;
end

local function turn_out(session, why)
	session:close({ condition = "not-authorized", text = why });
end

local function is_allowed(session, stanza)
	local to = stanza.attr.to;
	if not to or jid_bare(to) == session.username .. "@" .. session.host or to == session.host then
		return true;
	end
	local username, to_host = jid_split(to);
	return to_host == session.host and username and accounts[username] ~= nil and not hidden:contains(username);
end

doors.guard(is_guest, over, is_allowed);

module:add_timer(LOOK, function ()
	local ended = {};
	for username, user in pairs(prosody.hosts[module.host].sessions) do
		if not accounts[username] then
			for _, session in pairs(user.sessions) do
				ended[session] = over(session);
			end
		end
	end
	for session, why in pairs(ended) do
		module:log("info", "Ending the session of %s: %s", session.full_jid, why);
		turn_out(session, why);
	end
	return LOOK;
end);

-- When a session of an account took another's place last.
local replaced = {};

local function make_room(event)
	local session = event.session;
	local username = session.username;
	local user = prosody.hosts[module.host].sessions[username];
	if accounts[username] or not user then
		return nil;
	end
	local others, alive = {}, false;
	for _, other in pairs(user.sessions) do
		others[#others + 1] = other;
		alive = alive or not other.hibernating;
	end
	if alive and (replaced[username] or 0) > os.time() - SAFE then
		session:close({ condition = "resource-constraint", text = "the account is in use" });
		event.error = { type = "wait", condition = "resource-constraint", text = "the account is in use" };
		return false;
	end
	if alive then
		replaced[username] = os.time();
		module:log("info", "A newer session of %s takes the place of the older", username);
	end
	for _, other in ipairs(others) do
		other:close({ condition = "conflict", text = "replaced by a newer session" });
	end
	return nil;
end

module:hook("pre-resource-bind", make_room, 100);

module:add_timer(600, function ()
	for username, at in pairs(replaced) do
		if at < os.time() - SAFE then
			replaced[username] = nil;
		end
	end
	return 600;
end);
